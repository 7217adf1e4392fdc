"""The program that hits runs, on a small run; docs/cluster.md has the figures of longer ones."""

import random
import re

import pytest

from glcic_jax.cli.chaos_faults import _damage_newest
from tests.conftest import TINY_SIZES
from tests.test_launch import fails, launch


@pytest.mark.slow
def test_a_run_survives(shards, tmp_path):
    """One hit of each kind; the parameters at the end are those of a run in peace, which the program compares."""
    result = launch(
        "chaos", f"--workdir={tmp_path}/chaos", "--hits=6", "--devices_per_process=1", "--", "--config=quickstart",
        f"--config.data_dir={shards}", *TINY_SIZES, "--config.batch_size=4", "--config.completion_steps=70",
        "--config.discriminator_steps=70", "--config.joint_steps=70", "--config.checkpoint_every_steps=7",
        "--config.validate_every_steps=100", "--config.validation_samples=4",
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    hits = re.findall(r"^(\d)/6 step \d+: (.*?):", result.stdout, re.MULTILINE)
    assert [number for number, _ in hits] == list("123456")
    assert {"SIGTERM", "SIGINT", "SIGKILL", "SIGKILL in the middle of a save"} <= {fault for _, fault in hits}
    assert "the parameters after step 210 are those of the undisturbed run" in result.stdout


def test_damage_is_done(tmp_path):
    """To the newest checkpoint, and never none."""
    for seed in range(20):
        for step in ("5", "10"):
            (tmp_path / str(seed) / step).mkdir(parents=True)
            (tmp_path / str(seed) / step / "file").write_bytes(bytes(range(100)))
        _damage_newest(tmp_path / str(seed), random.Random(seed))
        assert (tmp_path / str(seed) / "5" / "file").read_bytes() == bytes(range(100))
        newest = tmp_path / str(seed) / "10" / "file"
        assert not newest.exists() or newest.read_bytes() != bytes(range(100))


def test_bad_input(tmp_path):
    fails(launch("chaos", f"--workdir={tmp_path}", "--", "--config=quickstart"), "exists already; give --workdir a new")
    fails(launch("chaos", f"--workdir={tmp_path}/new"), "arguments of train are missing")
