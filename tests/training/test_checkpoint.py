"""Checkpoints that can be trusted: whatever happens to their files is detected, or has changed nothing."""

import json
import random
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glcic_jax.training.checkpoint import CHECKSUMS, Checkpoints, restore_newest, steps_in
from glcic_jax.training.checksums import described, device_checksums, text_checksum
from glcic_jax.training.mesh import make_mesh, replicated

ABOUT = {"config": {"seed": 0, "alpha": 0.0004}, "mean_color": [0.41, 0.42, 0.43]}


def state_of(seed):
    """Small, of every type that a state may hold."""
    rng = np.random.default_rng(seed)
    return {
        "step": jnp.int32(seed),
        "kernel": jnp.asarray(rng.normal(size=(3, 3, 8, 16)), jnp.float32),
        "half": jnp.asarray(rng.normal(size=(5, 7)), jnp.bfloat16),
        "moments": [jnp.asarray(rng.normal(size=(40,)), jnp.float32), jnp.asarray(rng.integers(0, 9, 4), jnp.uint32)],
    }


def restore(folder, said=None):
    like = jax.eval_shape(lambda: state_of(0))
    one = replicated(make_mesh(jax.devices()[:1]))
    return restore_newest(folder, like, one, lambda *_: None, (said if said is not None else []).append)


def equal(found, seed):
    state, about, step = found
    same = jax.tree.map(lambda a, b: a.dtype == b.dtype and np.array_equal(a, b), state, state_of(seed))
    return step == seed and about == ABOUT and all(jax.tree.leaves(same))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Checkpoints of steps 1 and 2."""
    folder = tmp_path_factory.mktemp("saved") / "checkpoints"
    with Checkpoints(folder, 2) as checkpoints:
        for seed in (1, 2):
            checkpoints.save(seed, state_of(seed), ABOUT)
    assert all((folder / step / CHECKSUMS).exists() for step in ("1", "2"))
    return folder


def test_what_is_saved_comes_back(saved):
    assert equal(restore(saved), 2)
    assert restore(saved / "nothing") is None


def files_of(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def detected_or_harmless(folder):
    """Either the damage is told and the checkpoint before is used, or all values are as they were."""
    said = []
    found = restore(folder, said)
    if said:
        assert "the checkpoint of step 2 is damaged" in said[0] and equal(found, 1)
        assert steps_in(folder) == [1] and (folder / "damaged-2").is_dir()
    else:
        assert equal(found, 2)
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
    assert equal(restore(folder, said), 1) and "half is not as it was saved" in said[0]


def test_a_kill_before_the_checksums(saved, tmp_path):
    """Nobody can tell whether it is whole: it is used only where there is no better one."""
    folder = shutil.copytree(saved, tmp_path / "copy")
    (folder / "2" / CHECKSUMS).unlink()
    assert equal(restore(folder), 1)
    assert (folder / "damaged-2").is_dir()
    (folder / "1" / CHECKSUMS).unlink()
    assert equal(restore(folder), 1)


def test_checksums_see_every_bit_and_every_place():
    x = np.arange(1000, dtype=np.float32)
    right = described(x, device_checksums(x))
    for place in (0, 1, 500, 999):
        for bit in range(32):
            wrong = x.copy()
            wrong.view(np.uint32)[place] ^= np.uint32(1 << bit)
            assert described(wrong, device_checksums(wrong)) != right
    swapped = x[::-1].copy()
    assert described(swapped, device_checksums(swapped)) != right
    with jax.enable_x64(True):
        wide = np.arange(3, dtype=np.float64)
        altered = np.nextafter(wide, 9)
        assert described(wide, device_checksums(wide)) != described(altered, device_checksums(altered))


def test_a_failed_save_is_told_and_the_last_good_one_stays(tmp_path, monkeypatch):
    with Checkpoints(tmp_path, 1) as checkpoints:
        checkpoints.save(1, state_of(1), ABOUT)
        checkpoints.wait()
        assert checkpoints.failure() == ""

        def full(*arguments, **options):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as broken:
            broken.setattr(checkpoints._manager, "save", full)
            checkpoints.save(2, state_of(2), ABOUT)
            checkpoints.wait()
            assert "No space left on device" in checkpoints.failure() and checkpoints.failure() == ""
        assert steps_in(tmp_path) == [1]
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(100, 90, 10))
        checkpoints.save(2, state_of(2), ABOUT)
        assert "no space left: 0.0 MB needed, 0.0 MB free" in checkpoints.failure()
        monkeypatch.undo()
        checkpoints.save(2, state_of(2), ABOUT)
    assert equal(restore(tmp_path), 2)
