"""The launch scripts, run as a user runs them: in a process of their own, without installation."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from glcic_jax.data.images import read_image, write_image
from glcic_jax.version import __version__
from tests.support.launching import ENVIRONMENT, TINY_TRAINING, fails, launch
from tests.support.paths import ROOT
from tests.support.pictures import photograph


@pytest.fixture(scope="module")
def trained(photographs, tmp_path_factory) -> Path:
    """The whole way: prepare, train."""
    folder = tmp_path_factory.mktemp("launch")
    made = launch("prepare", f"--source={photographs}", f"--output={folder}/a/b/shards", "--val_fraction=0.2")
    assert made.returncode == 0, made.stderr
    assert "train: 32 images" in made.stdout and "val: 8 images" in made.stdout
    run = launch("train", *TINY_TRAINING, f"--config.data_dir={folder}/a/b/shards", f"--workdir={folder}/run")
    assert run.returncode == 0, run.stderr
    assert "stage 3 (joint)" in run.stdout and f"--model={folder}/run/model" in run.stdout
    return folder


def test_complete_keeps_known_pixels(trained, tmp_path):
    image, mask = photograph(7, 45, 61), np.zeros((45, 61, 3), np.uint8)
    mask[20:30, 40:] = 255
    write_image(tmp_path / "photo.png", image)
    write_image(tmp_path / "mask.png", mask)
    arguments = ["photo.png", f"--model={trained}/run/model", "--mask=mask.png", "--output=out.png"]
    result = launch("complete", *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    found = read_image(tmp_path / "out.png")
    assert found.shape == image.shape
    np.testing.assert_array_equal(found[mask == 0], image[mask == 0])
    assert (found[mask > 0] != image[mask > 0]).mean() > 0.5


def test_complete_with_bad_input(trained, tmp_path):
    """As for `train` below: test_wrong_input.py has the many, within one process."""
    model = f"--model={trained}/run/model"
    write_image(tmp_path / "photo.png", photograph(0))
    write_image(tmp_path / "black.png", np.zeros((80, 96, 3), np.uint8))
    result = launch("complete", model, "photo.png", "--mask=black.png", "--output=o.png", cwd=tmp_path)
    fails(result, "the mask black.png is empty")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["black.png", "photo.png"]


def test_train_with_bad_input(trained, tmp_path):
    data = f"--config.data_dir={trained}/a/b/shards"
    workdir = f"--workdir={tmp_path}/run"
    for arguments, message in (
        (
            ("--config=configs/nothing.py",),
            "no recipe configs/nothing.py; give a file, or one of celeba, context_encoder, places2",
        ),
        ((*TINY_TRAINING, data, workdir, "--config.complete.width_multiplier=1"), "unknown config key: 'complete'"),
        (
            (*TINY_TRAINING, "--config.data_dir=nowhere", workdir),
            "python launch/prepare.py --source=PHOTOGRAPHS --output=nowhere",
        ),
    ):
        fails(launch("train", *arguments), message)
    assert not (tmp_path / "run").exists()


def test_an_overlay_elsewhere(trained, tmp_path):
    """A recipe of one's own, in a folder of one's own, changes a shipped one."""
    (tmp_path / "mine.py").write_text(
        "import quickstart\n\ndef get_config():\n    config = quickstart.get_config()\n"
        "    config.crop_px = 30\n    return config\n"
    )
    fails(launch("train", "--config=mine.py", cwd=tmp_path), "config.crop_px is 30")


def test_train_as_typed_without_data(tmp_path):
    """The README's first command, in a clone without data, says how to prepare them."""
    result = launch("train", "--config=configs/places2.py", cwd=tmp_path)
    fails(
        result,
        "no shards in data/places2 .* python launch/prepare.py --source=PHOTOGRAPHS --output=data/places2",
    )
    assert list(tmp_path.iterdir()) == []


def test_prepare_with_bad_input(tmp_path):
    (tmp_path / "empty").mkdir()
    fails(launch("prepare", "--source=gone", "--output=out", cwd=tmp_path), "no source gone")
    fails(launch("prepare", "--source=empty", "--output=out", cwd=tmp_path), "no readable image in empty")
    fails(
        launch("prepare", "--source=empty", "--output=out", "--val_fraction=1", cwd=tmp_path),
        "val_fraction is 1.0",
    )
    fails(launch("prepare", "--source=empty", "--output=out", "--part=2/2", cwd=tmp_path), "parts are counted from 0")
    fails(launch("prepare", "--merge", "--output=out", cwd=tmp_path), "holds no prepared parts")
    (tmp_path / "page.tar").write_text("<html>")
    fails(
        launch("prepare", "--source=page.tar", "--output=out", cwd=tmp_path),
        "neither a folder nor a tar or zip",
    )
    fails(launch("prepare", "--source=empty", "--output=page.tar/out", cwd=tmp_path), "cannot write to page.tar/out")
    assert not (tmp_path / "out").exists()


def test_prepare_from_a_pipe_in_parts_and_verified(photographs, tmp_path):
    """The same shards from a folder, from a stream, and from the tasks of an array job; then damage is found."""

    def shards(folder):
        return {path.name: path.read_bytes() for path in folder.glob("*.array_record")}

    made = launch("prepare", f"--source={photographs}", f"--output={tmp_path}/folder", "--workers=2")
    assert made.returncode == 0, made.stderr
    assert "train: 39 images in 1 shard(s)" in made.stdout and "left out: 0 file(s)" in made.stdout
    tar = subprocess.run(["tar", "c", "-C", photographs, "a", "b"], capture_output=True, check=True).stdout
    command = [sys.executable, str(ROOT / "launch" / "prepare.py")]
    subprocess.run(
        [*command, "--source=-", f"--output={tmp_path}/pipe"],
        input=tar,
        env=ENVIRONMENT,
        capture_output=True,
        check=True,
    )
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    for task in ("4", "5"):
        slurm = {"SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_MIN": "4", "SLURM_ARRAY_TASK_COUNT": "2"}
        subprocess.run(
            ["bash", "launch/slurm/prepare.sbatch", f"--source={photographs}", f"--output={tmp_path}/parts"],
            cwd=ROOT, check=True, capture_output=True,
            env=ENVIRONMENT | slurm | {"SLURM_CPUS_PER_TASK": "1", "PATH": path},
        )  # fmt: skip
    merged = launch("prepare", "--merge", f"--output={tmp_path}/parts")
    assert merged.returncode == 0, merged.stderr
    assert len(shards(tmp_path / "folder")) == 2
    assert shards(tmp_path / "folder") == shards(tmp_path / "pipe") == shards(tmp_path / "parts")

    assert launch("prepare", "--verify", f"--output={tmp_path}/pipe").returncode == 0
    shard = next((tmp_path / "pipe").glob("val-*"))
    shard.write_bytes(shard.read_bytes()[:-1])
    damaged = launch("prepare", "--verify", f"--output={tmp_path}/pipe")
    fails(damaged, "1 of the shards in .* are not as the manifest says")
    assert str(shard) in damaged.stdout

    (tmp_path / "cut.tar").write_bytes(tar[: len(tar) // 2])
    cut = launch("prepare", f"--source={tmp_path}/cut.tar", f"--output={tmp_path}/cut")
    assert cut.returncode == 1 and "WARNING: cut.tar is damaged or breaks off" in cut.stdout


def test_holes(tmp_path):
    """A row each kind with a share; the figures are of the recipe that the changes make."""
    recipe = (
        f"--config={ROOT}/tests/support/tiny_recipe.py",
        "--config.holes.thin.share=1",
        "--config.holes.thin.count=(1, 3)",
    )
    result = launch("holes", *recipe, "--output=holes.png", "--count=3", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    rows = [line.split() for line in result.stdout.splitlines() if line.startswith(("rectangles ", "thin "))]
    low, median, mean, high = (float(value) for value in rows[0][1:5])
    assert [row[0] for row in rows] == ["rectangles", "thin"]
    assert low + 0.1 >= 100 * 24**2 / 64**2 and low < median < high and low < mean < high <= 25
    assert read_image(tmp_path / "holes.png").shape == (2 * 68 + 4, 4 * 68 + 4, 3)
    fails(launch("holes", *recipe, "--output=gone/holes.png", cwd=tmp_path), "the folder .*gone does not exist")
    fails(launch("holes", *recipe, "--output=holes.png", "--count=0", cwd=tmp_path), "--count is 0")
    shares = ("--config.holes.rectangles.share=0", "--config.holes.thin.share=0")
    fails(launch("holes", *recipe, *shares, "--output=no.png", cwd=tmp_path), "every share in config.holes is 0")
    assert [path.name for path in tmp_path.iterdir()] == ["holes.png"]


def test_a_signal_saves_and_the_same_command_goes_on(trained, tmp_path):
    command = [
        sys.executable, str(ROOT / "launch" / "train.py"), *TINY_TRAINING, f"--config.data_dir={trained}/a/b/shards",
        f"--workdir={tmp_path}/run", "--config.completion_steps=100000",
    ]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("step 20:"):
                process.send_signal(signal.SIGTERM)
                break
        rest = process.stdout.read()
        assert process.wait(60) == 75
    stopped = re.search(r"stopped after step (\d+), saved", rest)
    assert stopped
    assert (tmp_path / "run" / "checkpoints" / stopped[1]).is_dir()


@pytest.mark.long
def test_benchmarks_of_the_data(trained, photographs, tmp_path):
    """Every contender that needs no extra package runs, and the figures are in the table and in the file."""
    short = ("--rounds=1", f"--json={tmp_path}/figures.json")
    loader = launch("benchmark", "loader", *short, f"--data={trained}/a/b/shards", "--config=scenes128", "--images=16")
    assert loader.returncode == 0, loader.stderr
    rows = {row.pop(""): row for row in next(iter(json.loads((tmp_path / "figures.json").read_text()).values()))}
    assert rows["this loader"]["images/s/core"] > 0 and rows["bare cv2.imdecode"]["of bare decoding"] == "100%"
    assert "this loader" in loader.stdout and float(rows["this loader"]["first batch s"]) > 0
    prepare = launch("benchmark", "prepare", *short, f"--source={photographs}")
    assert prepare.returncode == 0, prepare.stderr
    rows = {row.pop(""): row for row in next(iter(json.loads((tmp_path / "figures.json").read_text()).values()))}
    assert 0 < rows["prepare"]["images/s"] < rows["bare cv2.imdecode"]["images/s"]


@pytest.mark.slow
def test_quickstart(tmp_path):
    """The real command with few steps: every part of it runs and leaves its pictures."""
    steps = [f"--config.{stage}_steps=2" for stage in ("completion", "discriminator", "joint")]
    result = launch("quickstart", f"--workdir={tmp_path}/run", *steps, "--config.batch_size=2")
    assert result.returncode == 0, result.stderr
    assert re.search(r"mean colour +\d+\.\d\d dB", result.stdout)
    assert re.search(r"this model +\d+\.\d\d dB", result.stdout)
    assert read_image(tmp_path / "run" / "completions.png").shape[2] == 3
    # No training tile shares a pixel with a test tile: test tiles are the last columns of each photograph.
    names = {split: [p.stem.rsplit("_", 2) for p in (tmp_path / "run" / "photographs" / split).iterdir()]
             for split in ("train", "val")}  # fmt: skip
    border = {name: int(x) for name, _, x in names["val"]}
    assert len(border) == 5 and len(names["train"]) > 50
    assert all(int(x) + 128 <= border[name] for name, _, x in names["train"])


def test_the_version():
    told = subprocess.run(
        [sys.executable, "-c", "from glcic_jax.cli.main import main; main()", "--version"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert told.stdout == f"glcic-jax {__version__}\n"


def test_help_names_the_commands():
    result = subprocess.run(
        [sys.executable, "-c", "from glcic_jax.cli.main import main; main()", "--help"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    for command in (
        "prepare",
        "holes",
        "train",
        "local",
        "chaos",
        "doctor",
        "complete",
        "serve",
        "evaluate",
        "report",
        "study",
        "import",
        "export",
        "publish",
        "benchmark",
        "quickstart",
    ):
        assert command in result.stdout
        shown = launch(command, "--help")
        assert shown.returncode == 0 and f"usage: {command}" in shown.stdout
