"""`glcic report`: one page from a run's folder."""

import json

import numpy as np
import pytest

from glcic_jax.cli.main import run
from glcic_jax.data.images import write_image
from glcic_jax.recipes import load_recipe
from glcic_jax.tools.study.curves import REFERENCES, Curve, references
from tests.support.paths import ROOT
from tests.support.pictures import photograph


@pytest.fixture
def workdir(tmp_path):
    """A run of 40 steps of 16 images at 32 images/s; its discriminator wins from step 24 on."""
    folder = tmp_path / "run"
    (folder / "grids").mkdir(parents=True)
    (folder / "grids" / ".partial-killed.png").write_bytes(b"half a grid")
    config = load_recipe(ROOT / "tests" / "support" / "tiny_recipe.py", [])
    config.completion_steps, config.discriminator_steps, config.joint_steps = 20, 2, 18
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    lines = []
    for step in range(2, 42, 2):
        stage = 1 if step <= 20 else 2 if step <= 22 else 3
        values = {"completion_loss": 1 / step, "images_per_second": 32.0, "data_wait_share": 0.0}
        if stage > 1:
            values |= {"accuracy_real": 1.0, "accuracy_completed": 1.0, "discriminator_loss": 0.1}
        lines.append({"step": step, "stage": stage, "time": 1000.0 + step, **values})
        if step % 10 == 0:
            scores = {"hole_l1": 0.2 - step / 1000, "hole_psnr": 13 + step / 10}
            lines.append({"step": step, "stage": stage, "time": 1000.0 + step, **scores})
            write_image(folder / "grids" / f"{step:08d}.png", photograph(step))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_the_page(workdir, tmp_path, capsys):
    assert run("report", [str(workdir), f"--curve={tmp_path}/curve.json"]) == 0
    said = capsys.readouterr().out
    assert "step 32: ALARM: the discriminator has won since step 24" in said
    page = (workdir / "report.html").read_text()
    for words in (
        "40 of 40", "640", "20.0 s of steps", "in-hole PSNR 17.00 dB, L1 0.1600 at step 40",
        "the discriminator has won since step 24", "quickstart: batch 16",
    ):  # fmt: skip
        assert words in page, words
    assert page.count("<svg") == 6 and page.count("data:image/jpeg") == 4
    assert 'src="http' not in page and "<link" not in page
    curve = json.loads((tmp_path / "curve.json").read_text())
    assert curve["points"] == [[160, 0.19, 14.0], [320, 0.18, 15.0], [480, 0.17, 16.0], [640, 0.16, 17.0]]


def test_reference_curves_rise():
    """Those that ship can be read, and are of runs that learned."""
    like = Curve("mine", "", 64, (24, 32), {"rectangles": 1.0}, [])
    paths = sorted(REFERENCES.glob("*.json"))
    assert len(paths) > 1
    for path in paths:
        curve = json.loads(path.read_text())
        psnr = np.array([point[2] for point in curve["points"]])
        assert psnr[-5:].mean() > psnr[:3].mean(), path
    names = [curve.name for curve in references(like)]
    assert "quickstart" in names and "scenes128" not in names
    assert references(like._replace(hole_shares={"thin": 1.0})) == references(like._replace(crop_px=63)) == []


def test_bad_input(workdir, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text("{}")
    (workdir / "metrics.jsonl").write_text("")
    for arguments, message in (
        ([str(tmp_path / "empty")], "is no run's folder: config.json cannot be read"),
        ([str(tmp_path / "other")], "is no run's folder: config.json cannot be read (the recipe has no config.seed"),
        ([str(workdir)], "holds no figures yet"),
    ):
        assert run("report", arguments) == 2
        line = capsys.readouterr().err.strip()
        assert message in line and "\n" not in line
