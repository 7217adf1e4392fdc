"""Checkpoints that can be trusted: whatever happens to their files is detected, or has changed nothing."""

import errno
import json
import random
import shutil
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from glcic_jax.errors import UserError
from glcic_jax.run import signature
from glcic_jax.run.checkpoint import Checkpoints
from glcic_jax.run.checkpoint_folder import list_steps
from glcic_jax.run.checksums import device_checksums, leaf_checksums, text_checksum
from glcic_jax.run.events import EventLog, read_events
from glcic_jax.run.signature import CHECKSUMS, is_signed
from tests.support.small_state import ORIGIN, is_of, restore, state_of


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Checkpoints of steps 1 and 2."""
    folder = tmp_path_factory.mktemp("saved") / "checkpoints"
    with Checkpoints(folder, ORIGIN, keep_latest=2) as checkpoints:
        for seed in (1, 2):
            checkpoints.save(seed, state_of(seed))
    assert all((folder / step / CHECKSUMS).exists() for step in ("1", "2"))
    return folder


def test_what_is_saved_comes_back(saved):
    assert is_of(restore(saved), 2)
    assert restore(saved / "nothing") is None


def files_of(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def detected_or_harmless(folder):
    """Either the damage is told and the checkpoint before is used, or all values are as they were."""
    said = []
    found = restore(folder, said)
    if said:
        assert "the checkpoint of step 2 is damaged" in said[0] and is_of(found, 1)
        assert list_steps(folder) == [1] and (folder / "damaged-2").is_dir()
    else:
        assert is_of(found, 2)
    return bool(said)


@pytest.mark.parametrize("damage", ["deleted", "half", "empty", "longer"])
def test_every_file_damaged(saved, tmp_path, damage):
    found = 0
    for number, name in enumerate(files_of(saved / "2")):
        folder = shutil.copytree(saved, tmp_path / str(number))
        path = folder / "2" / name
        if damage == "deleted":
            path.unlink()
        else:
            data = path.read_bytes()
            path.write_bytes({"half": data[: len(data) // 2], "empty": b"", "longer": data + b"x"}[damage])
        found += detected_or_harmless(folder)
    assert found or damage == "longer"


def test_flipped_bytes(saved, tmp_path):
    """One byte anywhere in the checkpoint is another one, 200 times."""
    rng, found = random.Random(1), 0
    names = files_of(saved / "2")
    sizes = [(saved / "2" / name).stat().st_size for name in names]
    for number in range(200):
        folder = shutil.copytree(saved, tmp_path / str(number))
        path = folder / "2" / rng.choices(names, sizes)[0]
        data = bytearray(path.read_bytes())
        data[rng.randrange(len(data))] ^= rng.randrange(1, 256)
        path.write_bytes(data)
        found += detected_or_harmless(folder)
        shutil.rmtree(folder)
    assert found > 50


def test_arrays_are_compared_too(saved, tmp_path):
    """Files that are as they were written may have been written wrong."""
    folder = shutil.copytree(saved, tmp_path / "copy")
    signed = json.loads((folder / "2" / CHECKSUMS).read_text())
    del signed["own"]
    signed["leaves"]["half"][2] ^= 1
    (folder / "2" / CHECKSUMS).write_text(json.dumps(signed | {"own": text_checksum(signed)}))
    said = []
    assert is_of(restore(folder, said), 1) and "half is not as it was saved" in said[0]


def test_a_kill_before_the_checksums(saved, tmp_path):
    """Nobody can tell whether it is whole: it is used only where there is no better one."""
    folder = shutil.copytree(saved, tmp_path / "copy")
    (folder / "2" / CHECKSUMS).unlink()
    assert is_of(restore(folder), 1)
    assert (folder / "damaged-2").is_dir()
    (folder / "1" / CHECKSUMS).unlink()
    assert is_of(restore(folder), 1)


def test_checksums_see_every_bit_and_every_place():
    x = np.arange(1000, dtype=np.float32)
    right = leaf_checksums(x, device_checksums(x))
    for place in (0, 1, 500, 999):
        for bit in range(32):
            wrong = x.copy()
            wrong.view(np.uint32)[place] ^= np.uint32(1 << bit)
            assert leaf_checksums(wrong, device_checksums(wrong)) != right
    swapped = x[::-1].copy()
    assert leaf_checksums(swapped, device_checksums(swapped)) != right
    with jax.enable_x64(True):
        wide = np.arange(3, dtype=np.float64)
        altered = np.nextafter(wide, 9)
        assert leaf_checksums(wide, device_checksums(wide)) != leaf_checksums(altered, device_checksums(altered))


def test_a_failed_save_is_told_and_the_last_good_one_stays(tmp_path, monkeypatch):
    with Checkpoints(tmp_path, ORIGIN, keep_latest=1) as checkpoints:
        checkpoints.save(1, state_of(1))
        checkpoints.wait()
        assert checkpoints.failure() == ""

        def full(*arguments, **options):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as broken:
            broken.setattr(ocp.CheckpointManager, "save", full)
            checkpoints.save(2, state_of(2))
            checkpoints.wait()
            assert "No space left on device" in checkpoints.failure() and checkpoints.failure() == ""
        assert list_steps(tmp_path) == [1]
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(100, 90, 10))
        checkpoints.save(2, state_of(2))
        assert "no space left: 0.0 MB needed, 0.0 MB free" in checkpoints.failure()
        monkeypatch.undo()
        checkpoints.save(2, state_of(2))
    assert is_of(restore(tmp_path), 2)


@pytest.mark.parametrize(
    "error", [MemoryError("no more"), RuntimeError("of Orbax"), KeyError("a key"), AttributeError("x")]
)
def test_whatever_the_thread_that_saves_meets_is_a_failure(tmp_path, monkeypatch, error):
    """Nobody else would hear of it, and the run would say that it has saved."""

    def broken(*arguments, **options):
        raise error

    events = EventLog(tmp_path / "events.jsonl")
    with Checkpoints(tmp_path / "checkpoints", ORIGIN, keep_latest=1, events=events) as checkpoints:
        monkeypatch.setattr(ocp.CheckpointManager, "save", broken)
        with pytest.raises(UserError, match=r"the checkpoint of step 3 cannot be saved in .* goes on from the start"):
            checkpoints.save_for_sure(3, state_of(3))
        told = [event["event"] for event in read_events(tmp_path / "events.jsonl")]
        assert "save_failed" in told and "saved" not in told
        monkeypatch.undo()
        checkpoints.save_for_sure(3, state_of(3))
    assert [event["event"] for event in read_events(tmp_path / "events.jsonl")][-1] == "saved"
    assert is_of(restore(tmp_path / "checkpoints"), 3)


@pytest.mark.parametrize("failures", [1, 2])
def test_a_checkpoint_that_could_not_be_signed_is_signed_again(tmp_path, monkeypatch, failures):
    """As when the disk is full just then; at the next start it would be taken for one that was cut off."""
    real, left = signature.atomic_file, [OSError(errno.ENOSPC, "No space left on device")] * failures

    def full(path):
        if left:
            raise left.pop()
        return real(path)

    said, folder, events = [], tmp_path / "checkpoints", tmp_path / "events.jsonl"
    with Checkpoints(folder, ORIGIN, keep_latest=2, say=said.append, events=EventLog(events)) as checkpoints:
        checkpoints.save_for_sure(1, state_of(1))
        monkeypatch.setattr(signature, "atomic_file", full)
        checkpoints.save(2, state_of(2))
        checkpoints.wait()
        assert not is_signed(folder / "2")
        checkpoints.save_again_if_failed(3, state_of(3))  # signed again, or another one is saved
        checkpoints.wait()
        assert checkpoints.failure() == ""
    newest = 2 if failures == 1 else 3
    assert list_steps(folder)[-1] == newest and is_signed(folder / str(newest))
    assert bool(said) == (failures == 2)
    saved_events = [event["step"] for event in read_events(events) if event["event"] == "saved"]
    assert saved_events == [1, newest]
    assert is_of(restore(folder), newest)


def test_saving_a_step_that_is_there_but_not_signed(tmp_path):
    """As after a kill in between, if there was no other to go on from."""
    for signed in (True, False):
        with Checkpoints(tmp_path, ORIGIN, keep_latest=1) as checkpoints:
            checkpoints.save_for_sure(1, state_of(1))
        assert is_signed(tmp_path / "1")
        if signed:
            (tmp_path / "1" / CHECKSUMS).unlink()
    assert is_of(restore(tmp_path), 1)
