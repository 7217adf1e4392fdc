"""What a run makes of checkpoints that cannot be read: damage is set aside, everything else leaves them alone."""

import errno
import shutil

import jax
import orbax.checkpoint as ocp
import pytest

from glcic_jax.errors import UserError
from glcic_jax.run.checkpoint import Checkpoints
from glcic_jax.run.checkpoint_folder import list_damaged, list_steps
from glcic_jax.run.events import EventLog, read_events
from glcic_jax.run.signature import CHECKSUMS
from tests.support.small_state import ORIGIN, is_of, restore, state_of


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Checkpoints of steps 1 and 2."""
    folder = tmp_path_factory.mktemp("saved") / "checkpoints"
    with Checkpoints(folder, ORIGIN, keep_latest=2) as checkpoints:
        for seed in (1, 2):
            checkpoints.save(seed, state_of(seed))
    return folder


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "checkpoints")


@pytest.fixture
def quick(monkeypatch):
    """Nobody waits before the next try."""
    monkeypatch.setattr("time.sleep", lambda secs: None)


def fail(monkeypatch, where, *errors):
    """The next calls raise these, one each; later ones work again."""
    owner, name = where
    real, left = getattr(owner, name), list(errors)

    def call(*arguments, **options):
        if left:
            raise left.pop(0)
        return real(*arguments, **options)

    monkeypatch.setattr(owner, name, call)


HASHING = ("glcic_jax.run.signature", "sha256_of")
ORBAX = (ocp.StandardCheckpointer, "restore")


def place(where):
    import importlib

    return (importlib.import_module(where[0]) if isinstance(where[0], str) else where[0], where[1])


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.EINTR])
def test_an_error_that_passes_by_itself(folder, monkeypatch, quick, number):
    fail(monkeypatch, place(HASHING), *[OSError(number, "words")] * 3)
    assert is_of(restore(folder), 2) and list_steps(folder) == [1, 2]


@pytest.mark.parametrize(
    ("where", "error", "raised"),
    [
        (HASHING, OSError(errno.ESTALE, "Stale file handle"), UserError),
        (HASHING, OSError(errno.EIO, "Input/output error"), UserError),
        (HASHING, PermissionError(errno.EACCES, "Permission denied"), UserError),
        (HASHING, OSError(errno.EMFILE, "Too many open files"), UserError),
        (HASHING, MemoryError(), MemoryError),
        (ORBAX, jax.errors.JaxRuntimeError("INTERNAL: CUDA_ERROR_ECC_UNCORRECTABLE"), jax.errors.JaxRuntimeError),
        (ORBAX, AttributeError("'Checkpointer' has no attribute 'restore'"), AttributeError),
        (ORBAX, ValueError("the API has changed"), ValueError),
        (ORBAX, OSError(errno.EIO, "Input/output error"), UserError),
        (ORBAX, KeyError("a key of another version"), KeyError),
    ],
)
def test_an_error_of_machine_or_program_says_nothing_about_checkpoints(
    folder, monkeypatch, quick, where, error, raised
):
    fail(monkeypatch, place(where), *[error] * 9)
    with pytest.raises(raised) as caught:
        restore(folder)
    if raised is UserError:
        assert f"the checkpoint {folder / '2'} cannot be read now" in str(caught.value)
        assert "nothing was changed" in str(caught.value)
    assert list_steps(folder) == [1, 2] and list_damaged(folder) == []
    monkeypatch.undo()
    assert is_of(restore(folder), 2)


def test_a_folder_that_cannot_be_listed_is_not_an_empty_one(folder, monkeypatch):
    fail(monkeypatch, place(("os", "listdir")), OSError(errno.ESTALE, "Stale file handle"))
    with pytest.raises(OSError, match="Stale file handle"):
        restore(folder)


def damage(folder, step):
    """Cuts the largest data file."""
    files = sorted((folder / str(step) / "state").rglob("d/*"), key=lambda path: path.stat().st_size)
    files[-1].write_bytes(files[-1].read_bytes()[: files[-1].stat().st_size // 2])


def test_a_run_without_an_intact_checkpoint_does_not_start_over(folder, tmp_path):
    damage(folder, 1)
    damage(folder, 2)
    said, events = [], tmp_path / "events.jsonl"
    for _ in range(2):  # the second time there are only those that were set aside
        with pytest.raises(UserError, match=r"no checkpoint in .* is intact, only damaged-1, damaged-2: .*--restart"):
            restore(folder, said, events=EventLog(events))
    assert len(said) == 2 and list_steps(folder) == []
    assert [(event["event"], event["step"]) for event in read_events(events)] == [("damaged", 2), ("damaged", 1)]
    assert restore(folder, restart=True) is None
    assert list_damaged(folder) == ["damaged-1", "damaged-2"]


def test_a_run_that_has_an_older_one_goes_on_from_there(folder):
    damage(folder, 2)
    assert is_of(restore(folder), 1)


def test_a_checkpoint_that_does_not_say_what_it_holds(folder, monkeypatch):
    """Orbax gives no description of the arrays, and raises nothing, where the file that holds it is cut."""
    for step in (1, 2):
        (folder / str(step) / CHECKSUMS).unlink()
    real, said = ocp.StandardCheckpointer.metadata, []

    def metadata(checkpointer, path):
        found = real(checkpointer, path)
        return found if path.parent.name == "1" else type("Nothing", (), {"item_metadata": None})()

    monkeypatch.setattr(ocp.StandardCheckpointer, "metadata", metadata)
    assert is_of(restore(folder, said), 1)
    assert "the checkpoint of step 2 is damaged (it does not say which arrays it holds)" in said[0]


def test_damage_without_a_signature(folder):
    """Then Orbax is the only one who can tell."""
    for step in (1, 2):
        (folder / str(step) / CHECKSUMS).unlink()
    damage(folder, 2)
    said = []
    assert is_of(restore(folder, said), 1) and "the checkpoint of step 2 is damaged" in said[0]
