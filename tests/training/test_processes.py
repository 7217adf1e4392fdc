"""Several processes on one machine, over loopback: the same run as one process makes; and who is where."""

import os
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from glcic_jax.errors import UserError
from glcic_jax.training.checkpoint import read_checkpoint
from glcic_jax.training.processes import Place, all_agree, as_first_says, find_place
from tests.conftest import ROOT, TINY_SIZES


def test_places(monkeypatch):
    for name in ("SLURM_PROCID", "GLCIC_COORDINATOR"):
        monkeypatch.delenv(name, raising=False)
    assert find_place(None, None, None, False) is None
    assert find_place("host:1", 1, 2, False) == Place("host:1", 1, 2)
    with pytest.raises(UserError, match="belong together"):
        find_place("host:1", 0, None, False)
    with pytest.raises(UserError, match="process 2 of 2: processes are counted from 0 to 1"):
        find_place("host:1", 2, 2, False)
    with pytest.raises(UserError, match="finds no scheduler"):
        find_place(None, None, None, True)
    monkeypatch.setenv("GLCIC_COORDINATOR", "pod-0:1234")
    with pytest.raises(UserError, match="JOB_COMPLETION_INDEX"):
        find_place(None, None, None, True)
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "3")
    monkeypatch.setenv("GLCIC_PROCESS_COUNT", "4")
    assert find_place(None, None, None, True) == Place("pod-0:1234", 3, 4)
    monkeypatch.delenv("GLCIC_COORDINATOR")
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert find_place(None, None, None, True) == Place()


def test_alone_one_agrees_with_oneself():
    assert all_agree(True) and not all_agree(False) and as_first_says(7) == 7


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(workdir, shards, process_id, count, port, devices):
    """One process of `train`, in float64."""
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": str(devices), "JAX_ENABLE_X64": "1"}
    several = [f"--coordinator=127.0.0.1:{port}", f"--process_id={process_id}", f"--process_count={count}"]
    command = [
        sys.executable, str(ROOT / "launch" / "train.py"), "--config=configs/quickstart.py", f"--workdir={workdir}",
        f"--config.data_dir={shards}", *TINY_SIZES, "--config.batch_size=4", "--config.completion_steps=3",
        "--config.discriminator_steps=0", "--config.joint_steps=2", "--config.validate_every_steps=2",
        "--config.validation_samples=4", "--config.watchdog_secs=120", *(several if count > 1 else []),
    ]  # fmt: skip
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.mark.slow
def test_two_processes_are_one_run(shards, tmp_path):
    """Parameters as those of one process with as many devices; one log, one model, and the same validation scores."""
    alone = start(tmp_path / "one", shards, 0, 1, 0, 2)
    said = alone.communicate(timeout=300)[0].decode()
    assert alone.returncode == 0, said
    port = free_port()
    both = [start(tmp_path / "two", shards, index, 2, port, 1) for index in (0, 1)]
    for process in both:
        said = process.communicate(timeout=300)[0].decode()
        assert process.returncode == 0, said
    one, two = (read_checkpoint(tmp_path / name / "checkpoints" / "5")[0] for name in ("one", "two"))
    for network in ("completion", "discriminator"):
        for part in ("params", "batch_stats"):
            pairs = list(zip(*(jax.tree.leaves(state[network][part]) for state in (one, two)), strict=True))
            assert pairs and all(leaf.dtype == np.float64 for pair in pairs for leaf in pair)
            difference = np.sqrt(sum(np.sum((a - b) ** 2) for a, b in pairs))
            assert difference <= 1e-9 * np.sqrt(sum(np.sum(a**2) for a, _ in pairs))
    assert len(list((tmp_path / "two" / "grids").iterdir())) == len(list((tmp_path / "one" / "grids").iterdir()))
    assert (tmp_path / "two" / "model" / "card.json").exists()
