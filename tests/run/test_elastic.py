"""Continued on another number of devices or processes: the parameters of a run that nobody disturbed.

In float64: float32's rounding grows from step to step, and would hide a wrong batch.
"""

import os
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from glcic_jax.run.loop import Stopped, train
from glcic_jax.run.progress import Progress
from glcic_jax.run.restore import read_checkpoint
from tests.support.paths import ROOT
from tests.support.tiny import TINY_SIZES, checked

EVERY = 3  # steps between two switches


def compare(workdir, other, steps):
    """Every part of both networks, norm-relative, at each of the steps."""
    for step in steps:
        one, two = (read_checkpoint(folder / "checkpoints" / str(step))[0] for folder in (workdir, other))
        assert int(one["step"]) == int(two["step"]) == step
        for network in ("completion", "discriminator"):
            for part in ("params", "batch_stats"):
                pairs = list(zip(*(jax.tree.leaves(state[network][part]) for state in (one, two)), strict=True))
                assert pairs and all(leaf.dtype == np.float64 for pair in pairs for leaf in pair)
                difference = np.sqrt(sum(np.sum((a - b) ** 2) for a, b in pairs))
                assert difference <= 1e-9 * np.sqrt(sum(np.sum(a**2) for a, _ in pairs)), (step, network, part)


@pytest.mark.long
def test_8_devices_to_2_to_1_in_every_stage(tiny, tmp_path, quiet, float64):
    tiny.update_from_flattened_dict(
        {
            "compute_dtype": "float64",
            "completion_steps": 3 * EVERY,
            "discriminator_steps": 3 * EVERY,
            "joint_steps": 3 * EVERY,
            "checkpoint_every_steps": EVERY,
            "keep_checkpoints": 9,
            "validate_every_steps": 100,
            # Half of the discriminator's layers take half of its nine compilations.
            "discriminator.global_depth": 2,
            "discriminator.local_depth": 1,
        }
    )
    devices = jax.devices()
    train(checked(tiny), tmp_path / "undisturbed", Progress(quiet), devices=devices)
    steps = range(EVERY, 9 * EVERY + 1, EVERY)
    for index, stop_at in enumerate(steps):
        count = (8, 2, 1)[index % 3]
        with pytest.raises(Stopped, match=f"stopped after step {stop_at},"):
            train(
                checked(tiny),
                tmp_path / "run",
                Progress(quiet),
                should_stop=lambda step, at=stop_at: step == at,
                devices=devices[:count],
            )
    compare(tmp_path / "undisturbed", tmp_path / "run", steps)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(workdir, shards, stages, process_id=0, count=1, port=0):
    """One process of `train` with one device, until the stages have as many steps as given."""
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": "1", "JAX_ENABLE_X64": "1"}
    several = [f"--coordinator=127.0.0.1:{port}", f"--process_id={process_id}", f"--process_count={count}"]
    names = ("completion_steps", "discriminator_steps", "joint_steps")
    command = [
        sys.executable, str(ROOT / "launch" / "train.py"), "--config=tests/support/tiny_recipe.py",
        f"--workdir={workdir}",
        f"--config.data_dir={shards}", *TINY_SIZES, "--config.batch_size=4", "--config.compute_dtype=float64",
        *(f"--config.{name}={steps}" for name, steps in zip(names, stages, strict=True)),
        f"--config.validate_every_steps={3 * EVERY}", "--config.validation_samples=4",
        f"--config.checkpoint_every_steps={EVERY}", "--config.keep_checkpoints=9",
        *(several if count > 1 else []),
    ]  # fmt: skip
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finish(*processes):
    for process in processes:
        said = process.communicate(timeout=300)[0].decode()
        assert process.returncode == 0, said


@pytest.mark.long
def test_2_processes_to_1_and_back(shards, tmp_path):
    """A run is lengthened step by step; one log, one model, and the validation pictures of a run of one process."""
    one, run = tmp_path / "one", tmp_path / "run"
    lengths = [(3, 0, 0), (6, 0, 0), (9, 3, 0), (9, 6, 0), (9, 9, 3), (9, 9, 6), (9, 9, 9)]
    finish(start(one, shards, lengths[-1]))
    for index, stages in enumerate(lengths):
        if index % 2:
            finish(start(run, shards, stages))
        else:
            port = free_port()
            finish(*[start(run, shards, stages, process_id, 2, port) for process_id in range(2)])
    compare(one, run, range(EVERY, sum(lengths[-1]) + 1, EVERY))
    grids = [{path.name for path in (folder / "grids").iterdir()} for folder in (one, run)]
    assert grids[0] and grids[0] <= grids[1]
    assert (run / "model" / "card.json").exists()
