"""The doctor: its decisions with fakes, everything missing, and the real command on a tiny recipe."""

import os
import re
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glcic_jax.cli.doctor import main
from glcic_jax.run.schedule import Stage
from glcic_jax.system.memory import host_memory
from glcic_jax.tools.doctor import machine
from glcic_jax.tools.doctor.checks import Status
from glcic_jax.tools.doctor.machine import check_accelerator, check_all_reduce, find_nvidia_signs
from glcic_jax.tools.doctor.run_folder import check_disk, check_workdir
from glcic_jax.tools.doctor.steps import assess_stage
from glcic_jax.tools.synthetic import needed_bytes
from tests.support.paths import ROOT
from tests.support.tiny import TINY_SIZES, checked

TINY = [f"--config={ROOT}/tests/support/tiny_recipe.py", "--config.batch_size=8", *TINY_SIZES]


@pytest.mark.parametrize(
    ("platforms", "signs", "environment", "status", "words"),
    [
        (["gpu", "gpu"], ["/dev/nvidia0"], {}, Status.OK, "computes on: gpu"),
        (["cpu"], [], {}, Status.OK, "no NVIDIA GPU"),
        (["cpu"], [], {"JAX_PLATFORMS": "cpu"}, Status.OK, "no NVIDIA GPU"),
        (["cpu"], ["/dev/nvidia0"], {}, Status.PROBLEM, "(/dev/nvidia0), but JAX fell back"),
        (["cpu"], ["/dev/nvidia0"], {"JAX_PLATFORMS": ""}, Status.PROBLEM, "fell back"),
        (["cpu"], ["/dev/nvidia0"], {"CUDA_VISIBLE_DEVICES": ""}, Status.PROBLEM, "CUDA_VISIBLE_DEVICES= hides it"),
        (["cpu"], ["/dev/nvidia0"], {"JAX_PLATFORMS": "cpu"}, Status.WARNING, "JAX_PLATFORMS=cpu keeps"),
    ],
)
def test_whether_the_gpu_is_used(platforms, signs, environment, status, words):
    check = check_accelerator(platforms, signs, environment)
    assert check.status is status and words in check.result + check.advice
    assert bool(check.advice) == (status is not Status.OK)


def test_a_busy_machine():
    """Times that are measured beside other programs say little; a machine that nobody uses is not worth a line."""
    (check,) = machine.check_load(19.6, 2)
    assert check.status is Status.WARNING and check.result == "20 threads of other programs want 2 cores"
    assert not [*machine.check_load(0.9, 2), *machine.check_load(3.0, 8)]


def test_the_way_out_of_a_fall_back(monkeypatch):
    """JAX without CUDA, and JAX with it that cannot use it, need different things."""
    monkeypatch.setattr(machine, "installed_version", lambda package: None)
    assert '".[cuda]"' in check_accelerator(["cpu"], ["/dev/nvidia0"], {}).advice
    monkeypatch.setattr(machine, "installed_version", lambda package: "0.10.2")
    assert "driver" in check_accelerator(["cpu"], ["/dev/nvidia0"], {}).advice


def test_signs_of_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_nvidia_signs(tmp_path) == []
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H100 (UUID: GPU-1)'\n")
    assert find_nvidia_signs(tmp_path) == []  # no program yet
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert find_nvidia_signs(tmp_path) == ["GPU 0: NVIDIA H100"]
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 'No devices were found'; exit 6\n")
    assert find_nvidia_signs(tmp_path) == [], "the program without a GPU, as on a login host"
    for path in ("proc/driver/nvidia", "dev/nvidia0"):
        (tmp_path / path).mkdir(parents=True)
    for name, vendor, kind in (("0:1", "0x10de", "0x030200"), ("0:2", "0x10de", "0x040300"), ("0:3", "0x8086", "0x03")):
        (device := tmp_path / "sys/bus/pci/devices" / name).mkdir(parents=True)
        (device / "vendor").write_text(vendor + "\n")
        (device / "class").write_text(kind + "\n")
    assert find_nvidia_signs(tmp_path) == ["/proc/driver/nvidia", "/dev/nvidia0", "PCI device 0:1"]


def test_host_memory_of_a_machine_and_of_a_container(tmp_path):
    assert host_memory(tmp_path) == (0, 0)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal:  1000 kB\nMemFree:  1 kB\nMemAvailable:  600 kB\nHugePages: 0\n")
    assert host_memory(tmp_path) == (1024_000, 614_400)
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/memory.current").write_text("100000\n")
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("max\n")
    assert host_memory(tmp_path) == (1024_000, 614_400)
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("300000\n")
    assert host_memory(tmp_path) == (300_000, 200_000)


def test_disk_arithmetic():
    """Two newest, three stage ends and the one being written: six."""
    gib = 2**30
    assert (
        check_disk(60 * gib, gib, keep=2, stage_ends=3, present=0).result
        == "60.0 GiB for 6 checkpoints of 1.0 GiB, 6.0 GiB in all"
    )
    for free, present, status in (
        (6 * gib - 1, 0, Status.PROBLEM),
        (6 * gib, 0, Status.WARNING),
        (9 * gib - 1, 0, Status.WARNING),
        (9 * gib, 0, Status.OK),
        (1 * gib, 4 * gib, Status.PROBLEM),
        (1 * gib, 8 * gib, Status.OK),  # those that are there take their places
    ):
        assert check_disk(free, gib, 2, 3, present).status is status
    assert "free 2.0 GiB" in check_disk(4 * gib, gib, 2, 3, 0).advice
    assert check_disk(5 * gib, gib, 1, 1, 0).status is Status.OK


def test_workdir(tiny, tmp_path, monkeypatch):
    (checkpoint := tmp_path / "run/checkpoints/300").mkdir(parents=True)
    (tmp_path / "run/checkpoints/40").mkdir()
    (checkpoint / "array").write_bytes(bytes(600))
    (tmp_path / "run/checkpoints/damaged-200").mkdir()  # which makes no room: it stays
    (tmp_path / "run/checkpoints/damaged-200/array").write_bytes(bytes(600))
    usage = shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    begun, room = check_workdir(tmp_path / "run", checked(tiny), 100)
    assert "goes on from step 300" in begun.result
    assert room.status is Status.WARNING and room.result.startswith("600 bytes for 6 checkpoints of 100 bytes")
    fresh, room = check_workdir(tmp_path / "a/b", checked(tiny), 100)
    assert "it will be made" in fresh.result and room.status is Status.PROBLEM
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
    (tmp_path / "file").touch()
    for workdir in (tmp_path / "file", tmp_path / "file/run"):
        (check,) = check_workdir(workdir, checked(tiny), 100)
        assert check.status is Status.PROBLEM and "is a file" in check.result


def test_time_to_the_end():
    stage = Stage(1, "completion", 1000, 3000)
    for done, rate, expected, status in (
        (0, None, 2000 * 0.5, Status.OK),
        (1500, 64.0, 1500 * 0.5, Status.OK),
        (1500, 16.0, 1500 * 2.0, Status.WARNING),  # 32 images in two seconds
        (4000, 64.0, 0.0, Status.OK),
    ):
        check, remaining = assess_stage(stage, 0.5, 10.0, 32, done=done, loader_rate=rate)
        assert remaining == expected and check.status is status
        assert "64.0 images/s" in check.result
        assert ("the loader makes only 16 images/s" in check.result) == (status is Status.WARNING)


def test_all_reduce(monkeypatch):
    check = check_all_reduce(jax.devices())
    assert check.status is Status.OK and f"over {len(jax.devices())} device(s)" in check.result
    psum = jax.lax.psum
    monkeypatch.setattr(jax.lax, "psum", lambda x, axis: 2 * psum(x, axis))
    check = check_all_reduce(jax.devices()[:2])
    assert check.status is Status.PROBLEM and "the sum is 6.0 where it should be 3.0" in check.result


def test_memory_of_a_step():
    """A megabyte comes in, and one goes out."""
    given = jax.ShapeDtypeStruct((512, 512), np.float32)
    compiled = jax.jit(lambda x: jnp.sin(x) + 1).lower(given).compile()
    assert 2 * 2**20 <= needed_bytes(compiled) < 5 * 2**20


def test_everything_missing(tmp_path, monkeypatch, capfd):
    """Each thing is one line with the way out, and the other checks still run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "220")
    (tmp_path / "file").touch()
    bad = ["--config.batch_size=7", "--config.init_from=gone", "--config.data_dir=nowhere"]
    assert main([*TINY, *bad, "--workdir=file", "--nosteps"]) == 2
    lines = capfd.readouterr().out.splitlines()
    problems = [line for line in lines if line.startswith("problem ")]
    for words in (
        r"batch size +config.batch_size is 7, which 8 devices do not divide +use 8",
        r"data +no shards in nowhere \(no manifest.json\) +make them with: python launch/prepare.py .*--output=nowhere",
        r"workdir .* is a file +give another --workdir",
        r"init_from +config.init_from is gone, .* +give RUN/model",
    ):
        assert any(re.search(words, line) for line in problems), words
    assert len(problems) == 4 and lines[-1].startswith("4 problem(s)")
    assert any(re.match(r"ok +all-reduce", line) for line in lines)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]

    assert main([*TINY, "--config.crop_px=30", "--nosteps"]) == 2
    assert re.search(r"problem +recipe +config.crop_px is 30 +it must be a multiple of 4", capfd.readouterr().out)


def test_the_command(shards, tmp_path):
    """Everything in place: no problem, and a figure for each stage."""
    # Batch and networks of test_launch.py: compiled once for both.
    small = [*TINY, "--config.batch_size=4", f"--config.data_dir={shards}", f"--workdir={tmp_path}/run"]
    environment = {k: v for k, v in os.environ.items() if k not in ("JAX_NUM_CPU_DEVICES", "PYTHONPATH")}
    result = subprocess.run(
        [sys.executable, ROOT / "launch/doctor.py", *small],
        cwd=tmp_path, env=environment | {"COLUMNS": "220"}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 problem(s)" in result.stdout
    for words in (
        rf"packages +jax {re.escape(jax.__version__)}, jaxlib ",
        "split train +32 photographs in 1 shard",
        "split val +8 photographs",
        "disk +.* for 6 checkpoints",
        r"loader +[\d,]+ images/s",
        r"stage 1, completion +.* a step, .* 1,800 steps: ",
        r"stage 2, discriminator .* 30 steps: ",
        r"stage 3, joint .* 100 steps: ",
        "time to the end",
    ):
        assert re.search(words, result.stdout), words
    assert not list(tmp_path.iterdir())
