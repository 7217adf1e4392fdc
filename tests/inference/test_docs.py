"""docs/inference.md: every example runs, and what it and docs/exact_windows.md say of sizes and options is so."""

import importlib
import re
import shlex

import numpy as np
import pytest
from PIL import Image

from glcic_jax.cli.complete import build_parser
from glcic_jax.cli.main import run
from glcic_jax.data.images import read_image, write_image
from glcic_jax.inference.record import RECORD
from glcic_jax.inference.windows import CORES_PX
from glcic_jax.models import folder as model_folder
from glcic_jax.models.card import Card, Trained
from glcic_jax.models.completion import MARGIN_PX, CompletionNetwork
from tests.support.networks import shaken
from tests.support.paths import ROOT
from tests.support.pictures import photograph

TEXT = (ROOT / "docs" / "inference.md").read_text()
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    network = CompletionNetwork(width_multiplier=0.03125)
    folder = tmp_path_factory.mktemp("docs") / "model"
    model_folder.save(
        folder, (network, shaken(network, seed=3)), None, Card(trained=Trained(crop_px=128, hole_px=(24, 48)))
    )
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch, model):
    """A folder with the files that the examples name."""
    monkeypatch.chdir(tmp_path)
    pixels, hole = photograph(0, 62, 90), np.zeros((62, 90), bool)
    hole[20:44, 40:70] = True
    for name in ("photo.jpg", "photo.png", "photos/a.jpg", "photos/b.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_image(tmp_path / name, pixels)
    for name in ("mask.png", "masks/a_mask000.png", "masks/a_mask001.png", "masks/b_mask.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_image(tmp_path / name, hole[..., None].repeat(3, -1) * np.uint8(255))
    write_image(tmp_path / "marked.png", np.where(hole[..., None], np.uint8([255, 0, 255]), pixels))
    Image.fromarray(np.dstack([pixels, ~hole * np.uint8(255)])).save("erased.png")
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "model").symlink_to(model)
    return tmp_path


def test_the_commands(here, monkeypatch, capsys):
    lines = [line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()]
    assert len(lines) == 10
    for line in lines:
        command, *arguments = shlex.split(line)
        if command == "export":
            monkeypatch.setenv(*arguments[0].split("=", 1))
            continue
        assert command == "glcic"
        assert run(arguments[0], arguments[1:]) == 0, (line, capsys.readouterr().err)
    for folder, names in (
        ("one_mask", ["a.jpg", "b.jpg"]),
        ("by_name", ["a_mask000.jpg", "a_mask001.jpg", "b.jpg"]),
        ("by_pattern", ["a_mask000.png", "a_mask001.png", "b.png"]),
    ):
        assert sorted(path.name for path in (here / folder).iterdir() if path.name != RECORD) == names
    for name in ("photo_completed.jpg", "photo_completed.png", "rectangle_preview.jpg", "textured.png"):
        assert (here / name).exists()
    np.testing.assert_array_equal(read_image(here / "alpha.png"), read_image(here / "color.png"))


def test_the_python(here):
    names: dict = {}
    for kind, block in BLOCKS:
        if kind == "python":
            exec(block, names)
    image, mask = read_image(here / "photo.jpg"), names["mask"][..., 0] > 0
    found = read_image(here / "completed.png")
    np.testing.assert_array_equal(found[~mask], image[~mask])
    assert (found != image)[mask].mean() > 0.9 and (here / "kept.jpg").exists()
    assert names["output"].shape == (60, 88, 3)


def test_the_pictures(tmp_path, monkeypatch, model):
    pytest.importorskip("skimage")
    monkeypatch.syspath_prepend(ROOT / "docs")
    importlib.import_module("inference_pictures").main(str(model), tmp_path)
    names = re.findall(r"!\[.*\]\((inference_.*)\)", TEXT)
    assert len(names) == 2
    for name in names:
        assert read_image(tmp_path / name).shape == read_image(ROOT / "docs" / name).shape


def test_sizes_and_options():
    windows = " ".join((ROOT / "docs" / "exact_windows.md").read_text().split())
    for height, width in CORES_PX:
        assert f"{height} x {width}" in windows
    assert f"{MARGIN_PX[0]} px before it and {MARGIN_PX[1]} px after it" in windows
    options = set(re.findall(r"(?<!\w)--\w+", build_parser().format_help())) - {"--help"}
    assert len(options) > 10
    for option in options:
        assert option in TEXT, option
