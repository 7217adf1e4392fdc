"""The script for two hosts, with a small program in the place of training: its network, its cut, its verdicts."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

# Counts steps by turns with the other host, one message a step; goes on after the last step that it wrote down.
PROGRAM = """
import argparse, pathlib, socket, sys, time
parser = argparse.ArgumentParser()
for name in ("coordinator", "process_id", "process_count", "workdir", "sulk"):
    parser.add_argument("--" + name)
options = parser.parse_args()
host, port = options.coordinator.split(":")
first = options.process_id == "0"
own = socket.gethostbyname(socket.gethostname())
assert (own == host) == first and own.startswith("10.213.7."), own
if first:
    listener = socket.create_server((host, int(port)))
    listener.settimeout(10)
    link = listener.accept()[0]
else:
    for _ in range(100):
        try:
            link = socket.create_connection((host, int(port)), 1)
            break
        except OSError:
            time.sleep(0.1)
link.settimeout(0.5)
done = pathlib.Path(options.workdir, "step" + options.process_id)
step = int(done.read_text()) if done.exists() else 0
print("continuing from step" if step else "starting at step", step, flush=True)
while step < 60:
    try:
        if first:
            link.sendall(b"x"), link.recv(1)
        else:
            link.recv(1), link.sendall(b"x")
    except OSError:
        if options.sulk:
            time.sleep(60)
        sys.exit(print("lost the other host at step", step) or 76)
    step += 1
    done.write_text(str(step))
    print("step", step, flush=True)
    time.sleep(0.02)
print("done")
"""


@pytest.fixture
def two_hosts(tmp_path):
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "program.py").write_text(PROGRAM)
        for file in tmp_path.glob("step*"):
            file.unlink()
        result = subprocess.run(
            ["bash", ROOT / "tests/two_hosts.sh", *arguments, f"--workdir={tmp_path}"],
            capture_output=True, text=True, timeout=100, check=False,
            env=os.environ | {"TWO_HOSTS_COMMAND": f"{sys.executable} -S {tmp_path}/program.py"},
        )  # fmt: skip
        if result.stdout.startswith("SKIPPED"):
            pytest.skip(result.stdout.strip())
        return result

    return run


def test_a_cut_and_the_same_command_again(two_hosts):
    before = set(Path("/run/netns").glob("glcic*"))
    result = two_hosts("--cut_at=^step 20$", "--leave_secs=30", "--")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "cut after: step 20" in result.stdout
    for host in "01":
        assert f"host {host} left" in result.stdout
    assert result.stdout.count("with exit code 76: lost the other host at step") == 2
    assert re.search(r"\ncontinuing from step (2\d|3\d)\nhost 0: done\nPASSED\n$", result.stdout)
    assert set(Path("/run/netns").glob("glcic*")) <= before, "the namespaces are gone"


def test_a_host_that_stays(two_hosts):
    result = two_hosts("--cut_at=^step 5$", "--leave_secs=2", "--", "--sulk=yes")
    assert result.returncode == 1
    assert "FAILED: still running 2 s later" in result.stdout and "--- host 1, last lines" in result.stdout


def test_wrong_arguments(two_hosts):
    for arguments, message in ((("--cut=3", "--"), "unknown argument --cut=3"), ((), "unknown argument --workdir")):
        result = two_hosts(*arguments)
        assert result.returncode == 2 and message in result.stderr
