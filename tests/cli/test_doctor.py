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

from glcic_jax.cli import doctor_machine
from glcic_jax.cli.doctor import main
from glcic_jax.cli.doctor_machine import accelerator, all_reduce, host_memory, nvidia_signs
from glcic_jax.cli.doctor_run import disk, workdir_disk
from glcic_jax.cli.doctor_steps import judged, needed_bytes
from glcic_jax.cli.findings import Mark, duration, size
from glcic_jax.training.setup import Stage
from tests.conftest import ROOT, TINY_SIZES

TINY = ["--config=quickstart", "--config.batch_size=8", *TINY_SIZES]


@pytest.mark.parametrize(
    ("platforms", "signs", "environment", "mark", "words"),
    [
        (["gpu", "gpu"], ["/dev/nvidia0"], {}, Mark.OK, "computes on: gpu"),
        (["cpu"], [], {}, Mark.OK, "no NVIDIA GPU"),
        (["cpu"], [], {"JAX_PLATFORMS": "cpu"}, Mark.OK, "no NVIDIA GPU"),
        (["cpu"], ["/dev/nvidia0"], {}, Mark.PROBLEM, "(/dev/nvidia0), but JAX fell back"),
        (["cpu"], ["/dev/nvidia0"], {"JAX_PLATFORMS": ""}, Mark.PROBLEM, "fell back"),
        (["cpu"], ["/dev/nvidia0"], {"CUDA_VISIBLE_DEVICES": ""}, Mark.PROBLEM, "CUDA_VISIBLE_DEVICES= hides it"),
        (["cpu"], ["/dev/nvidia0"], {"JAX_PLATFORMS": "cpu"}, Mark.WARNING, "JAX_PLATFORMS=cpu keeps"),
    ],
)
def test_whether_the_gpu_is_used(platforms, signs, environment, mark, words):
    finding = accelerator(platforms, signs, environment)
    assert finding.mark is mark and words in finding.found + finding.hint
    assert bool(finding.hint) == (mark is not Mark.OK)


def test_the_way_out_of_a_fall_back(monkeypatch):
    """JAX without CUDA, and JAX with it that cannot use it, need different things."""
    monkeypatch.setattr(doctor_machine, "_version", lambda package: None)
    assert '".[cuda]"' in accelerator(["cpu"], ["/dev/nvidia0"], {}).hint
    monkeypatch.setattr(doctor_machine, "_version", lambda package: "0.10.2")
    assert "driver" in accelerator(["cpu"], ["/dev/nvidia0"], {}).hint


def test_signs_of_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert nvidia_signs(tmp_path) == []
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H100 (UUID: GPU-1)'\n")
    assert nvidia_signs(tmp_path) == []  # no program yet
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert nvidia_signs(tmp_path) == ["GPU 0: NVIDIA H100"]
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 'No devices were found'; exit 6\n")
    assert nvidia_signs(tmp_path) == [], "the program without a GPU, as on a login host"
    for path in ("proc/driver/nvidia", "dev/nvidia0"):
        (tmp_path / path).mkdir(parents=True)
    for name, vendor, kind in (("0:1", "0x10de", "0x030200"), ("0:2", "0x10de", "0x040300"), ("0:3", "0x8086", "0x03")):
        (device := tmp_path / "sys/bus/pci/devices" / name).mkdir(parents=True)
        (device / "vendor").write_text(vendor + "\n")
        (device / "class").write_text(kind + "\n")
    assert nvidia_signs(tmp_path) == ["/proc/driver/nvidia", "/dev/nvidia0", "PCI device 0:1"]


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
        disk(60 * gib, gib, keep=2, stage_ends=3, present=0).found
        == "60.0 GiB for 6 checkpoints of 1.0 GiB, 6.0 GiB in all"
    )
    for free, present, mark in (
        (6 * gib - 1, 0, Mark.PROBLEM),
        (6 * gib, 0, Mark.WARNING),
        (9 * gib - 1, 0, Mark.WARNING),
        (9 * gib, 0, Mark.OK),
        (1 * gib, 4 * gib, Mark.PROBLEM),
        (1 * gib, 8 * gib, Mark.OK),  # those that are there take their places
    ):
        assert disk(free, gib, 2, 3, present).mark is mark
    assert "free 2.0 GiB" in disk(4 * gib, gib, 2, 3, 0).hint
    assert disk(5 * gib, gib, 1, 1, 0).mark is Mark.OK


def test_workdir(tiny, tmp_path, monkeypatch):
    (checkpoint := tmp_path / "run/checkpoints/300").mkdir(parents=True)
    (tmp_path / "run/checkpoints/40").mkdir()
    (checkpoint / "array").write_bytes(bytes(600))
    usage = shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    begun, room = workdir_disk(tmp_path / "run", tiny, 100)
    assert "goes on from step 300" in begun.found
    assert room.mark is Mark.WARNING and room.found.startswith("600 bytes for 6 checkpoints of 100 bytes")
    fresh, room = workdir_disk(tmp_path / "a/b", tiny, 100)
    assert "it will be made" in fresh.found and room.mark is Mark.PROBLEM
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
    (tmp_path / "file").touch()
    for workdir in (tmp_path / "file", tmp_path / "file/run"):
        (finding,) = workdir_disk(workdir, tiny, 100)
        assert finding.mark is Mark.PROBLEM and "is a file" in finding.found


def test_time_to_the_end():
    stage = Stage(1, "completion", None, 1000, 3000)
    for done, rate, expected, mark in (
        (0, None, 2000 * 0.5, Mark.OK),
        (1500, 64.0, 1500 * 0.5, Mark.OK),
        (1500, 16.0, 1500 * 2.0, Mark.WARNING),  # 32 images in two seconds
        (4000, 64.0, 0.0, Mark.OK),
    ):
        finding, remaining = judged(stage, 0.5, 10.0, 32, done=done, loader_rate=rate)
        assert remaining == expected and finding.mark is mark
        assert "64.0 images/s" in finding.found
        assert ("the loader makes only 16 images/s" in finding.found) == (mark is Mark.WARNING)


def test_words():
    assert [size(n) for n in (0, 1023, 1536, 700 * 2**20, 2**40, 2**60)] == [
        "0 bytes", "1023 bytes", "1.5 KiB", "700 MiB", "1.0 TiB", "1048576 TiB",
    ]  # fmt: skip
    assert [duration(s) for s in (0.0123, 2.34, 89, 3600, 90_000, 1_000_000)] == [
        "12 ms", "2.3 s", "1 min", "1 h 0 min", "25 h 0 min", "11 d 14 h",
    ]  # fmt: skip


def test_all_reduce(monkeypatch):
    finding = all_reduce(jax.devices())
    assert finding.mark is Mark.OK and f"over {len(jax.devices())} device(s)" in finding.found
    psum = jax.lax.psum
    monkeypatch.setattr(jax.lax, "psum", lambda x, axis: 2 * psum(x, axis))
    finding = all_reduce(jax.devices()[:2])
    assert finding.mark is Mark.PROBLEM and "the sum is 6.0 where it should be 3.0" in finding.found


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
