"""One holder at a time, and nobody goes on without a lock in silence."""

import errno
import fcntl
import subprocess
import sys

import pytest

from glcic_jax.errors import UserError
from glcic_jax.system.lock import InUse, locked

HOLD = """
import sys
from pathlib import Path
from glcic_jax.system.lock import locked
with locked(Path(sys.argv[1]), "the run"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_process_has_it(tmp_path):
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"held\n"
        with (
            pytest.raises(InUse, match=rf"the run in x is in use by process {process.pid} on "),
            locked(path, "the run in x"),
        ):
            pass
        process.kill()
    with locked(path, "the run in x"):  # a dead process holds nothing
        pass


def fail_with(monkeypatch, *numbers):
    """Calls of flock fail with these, one after the other."""
    left = list(numbers)

    def flock(file, operation):
        if left:
            raise OSError(left.pop(0), "refused")

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr("time.sleep", lambda secs: None)


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EACCES])
def test_held_elsewhere(tmp_path, monkeypatch, number):
    """Network file systems say EACCES: to go on would mean two writers."""
    fail_with(monkeypatch, number)
    with pytest.raises(InUse), locked(tmp_path / "lock", "the run"):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch, number, capsys):
    fail_with(monkeypatch, number)
    with locked(tmp_path / "lock", "the run in x"):
        pass
    assert "file system without locks: make sure that nobody else uses the run in x" in capsys.readouterr().err


def test_other_errors(tmp_path, monkeypatch):
    fail_with(monkeypatch, errno.ESTALE, errno.EIO)
    with locked(tmp_path / "lock", "the run"):  # it passed by itself
        pass
    fail_with(monkeypatch, *[errno.EIO] * 9)
    with pytest.raises(UserError, match=r"cannot lock .*lock"), locked(tmp_path / "lock", "the run"):
        pass
