"""The program that hits runs, on a small run; docs/cluster.md has the figures of longer ones."""

import errno
import os
import random
import re
import shutil
import subprocess
import sys
import time

import pytest

from glcic_jax.run.events import EventLog
from glcic_jax.run.signature import sign
from glcic_jax.tools.chaos.disk import damage_newest_checkpoint
from glcic_jax.tools.chaos.page import Cell, Page, compile_faulty_files
from glcic_jax.tools.chaos.witness import Witness
from tests.support.launching import launch
from tests.support.tiny import TINY_SIZES


@pytest.mark.long
def test_a_run_survives(shards, tmp_path):
    """Six kinds of hits; the parameters at the end are those of a run in peace, which the program compares."""
    result = launch(
        "chaos", f"--workdir={tmp_path}/chaos", "--hits=6", "--devices_per_process=1", "--",
        "--config=tests/support/tiny_recipe.py",
        f"--config.data_dir={shards}", *TINY_SIZES, "--config.batch_size=4", "--config.completion_steps=90",
        "--config.discriminator_steps=90", "--config.joint_steps=90", "--config.checkpoint_every_steps=10",
        "--config.validate_every_steps=100", "--config.validation_samples=4",
        timeout_secs=900,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    hits = re.findall(r"^(\d)/6 step \d+: (.*?):", result.stdout, re.MULTILINE)
    assert [number for number, _ in hits] == list("123456")
    assert len({fault for _, fault in hits}) == 6
    assert {"SIGINT", "SIGTERM in the middle of a save", "out of memory in a save"} <= {fault for _, fault in hits}
    assert "none behind what was there" in result.stdout
    assert "the parameters after step 270 are those of the undisturbed run" in result.stdout


def write_checkpoint(folder, step):
    (folder / str(step)).mkdir(parents=True)
    (folder / str(step) / "array").write_bytes(bytes(range(step)))
    sign(folder / str(step), {}, {}, {"about": step})


def test_a_witness_sees_what_was_not_as_it_was_said(tmp_path):
    checkpoints, events = tmp_path / "checkpoints", EventLog(tmp_path / "events.jsonl")
    witness = Witness(tmp_path / "events.jsonl", checkpoints)
    for step in (10, 20):
        write_checkpoint(checkpoints, step)
        events.record("saved", step=step)
    witness.expect_start()
    events.record("continued", step=20)
    witness.look()
    assert witness.problems == [] and (witness.saved, witness.starts) == (2, [20])
    shutil.rmtree(checkpoints / "10")  # an older one is taken away
    witness.look()
    (checkpoints / "30").mkdir()
    events.record("saved", step=30)  # said of what is not signed
    witness.look()
    assert witness.problems == ["step 30 was said to be saved, and no signed checkpoint is there"]
    witness.expect_start()
    events.record("continued", step=0)
    witness.look()
    assert witness.problems[1:] == ["a start went on from step 0, although step 20 was intact"]
    (checkpoints / "20" / "array").write_bytes(b"damaged")
    witness.excuse_damage()
    witness.expect_start()
    events.record("continued", step=0)
    witness.look()
    assert len(witness.problems) == 2


READ = """
import sys
for name in sys.argv[1:]:
    try:
        print(open(name).read())
    except OSError as error:
        print(error.errno)
"""


def test_file_calls_fail_as_the_page_says(tmp_path):
    library = compile_faulty_files(tmp_path / "faulty.so")
    if library is None:
        pytest.skip("there is no C compiler here")
    (tmp_path / "inside").mkdir()
    files = [tmp_path / "inside" / "file", tmp_path / "outside"]
    for file in files:
        file.write_text("read")
    page = Page(tmp_path / "page", new=True)
    page[Cell.ERROR], page[Cell.PER_MILLE] = errno.ESTALE, 1000
    environment = dict(os.environ) | page.environment([tmp_path / "inside"], library)
    command = [sys.executable, "-S", "-c", READ, *files]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert said.split() == [str(errno.ESTALE), "read"]
    assert Page(tmp_path / "page")[Cell.FAILURES] >= 1
    page[Cell.ERROR], page[Cell.DELAY_MS] = 0, 300
    began = time.monotonic()
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert said.split() == ["read", "read"] and time.monotonic() - began > 0.3


def test_damage_is_done(tmp_path):
    """To the newest checkpoint, and never none."""
    for seed in range(20):
        for step in ("5", "10"):
            (tmp_path / str(seed) / step).mkdir(parents=True)
            (tmp_path / str(seed) / step / "file").write_bytes(bytes(range(100)))
        damage_newest_checkpoint(tmp_path / str(seed), random.Random(seed))
        assert (tmp_path / str(seed) / "5" / "file").read_bytes() == bytes(range(100))
        newest = tmp_path / str(seed) / "10" / "file"
        assert not newest.exists() or newest.read_bytes() != bytes(range(100))
