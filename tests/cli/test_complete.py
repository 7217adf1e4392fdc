"""`glcic complete` on one photograph and on many."""

import numpy as np
import pytest
from PIL import Image

from glcic_jax.cli.main import run
from glcic_jax.data.images import read_image, write_image
from glcic_jax.inference.shipped import shipped_model
from glcic_jax.models import folder as model_folder
from glcic_jax.models.completion import CompletionNetwork
from tests.conftest import photograph
from tests.inference.conftest import shaken


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    network = CompletionNetwork(width_multiplier=0.03125)
    folder = tmp_path_factory.mktemp("complete") / "model"
    model_folder.save(folder, (network, shaken(network)), None, {"trained": {"crop_px": 64, "hole_px": [8, 16]}})
    return str(folder)


@pytest.fixture
def here(tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GLCIC_MODEL", model)
    write_image(tmp_path / "photo.jpg", photograph(0, 60, 70))
    mask = np.zeros((60, 70, 3), np.uint8)
    mask[20:30, 30:45] = 255
    write_image(tmp_path / "mask.png", mask)
    return tmp_path


def test_one_line_removes_a_thing(here, capsys):
    assert run("complete", ["photo.jpg", "--mask", "mask.png"]) == 0
    out = capsys.readouterr()
    assert "wrote photo_completed.jpg" in out.out and out.err == ""
    before, after = read_image(here / "photo.jpg").astype(int), read_image(here / "photo_completed.jpg")
    assert np.abs(after[20:30, 30:45] - before[20:30, 30:45]).mean() > 10
    assert np.abs(after[:, :10] - before[:, :10]).max() <= 2


def test_ways_to_say_where_the_hole_is(here, capsys):
    """Mask, rectangle, colour and alpha: the same hole, the same result."""
    pixels = read_image(here / "photo.jpg")
    hole = np.zeros((60, 70), bool)
    hole[20:30, 30:45] = True
    write_image(here / "photo.png", pixels)
    write_image(here / "marked.png", np.where(hole[..., None], np.uint8([255, 0, 255]), pixels))
    Image.fromarray(np.dstack([pixels, np.where(hole, 0, 255).astype(np.uint8)])).save(here / "erased.png")
    write_image(here / "inverse.jpg", np.where(hole, 0, 255)[..., None].repeat(3, 2).astype(np.uint8))
    results = []
    for number, arguments in enumerate(
        (
            ["photo.png", "--mask=mask.png"],
            ["photo.png", "--mask=inverse.jpg", "--invert_mask"],
            ["photo.png", "--rectangle=30,20,15,10", "--preview"],
            ["marked.png", "--mask_color=#FF00FF"],
            ["erased.png", "--mask_from_alpha"],
        )
    ):
        assert run("complete", [*arguments, f"--output={number}.png"]) == 0
        results.append(Image.open(f"{number}.png").convert("RGB"))
        np.testing.assert_array_equal(results[-1], results[0])
    np.testing.assert_array_equal(np.array(results[0])[~hole], pixels[~hole])
    assert np.array(Image.open("4.png"))[..., 3].min() == 255
    assert (here / "2_preview.jpg").exists()


def test_a_large_hole_is_told_and_completed_coarse_first(here, capsys):
    write_image(here / "big.jpg", photograph(3, 140, 150))
    arguments = ["big.jpg", "--rectangle=50,50,40,40"]
    assert run("complete", [*arguments, "--output=a.png"]) == 0
    assert "39 px thick, the model was trained on holes of up to 16 px; completed at a lower" in capsys.readouterr().err
    assert run("complete", [*arguments, "--output=b.png", "--nocoarse"]) == 0
    assert run("complete", [*arguments, "--output=c.png", "--blend"]) == 0
    a, b, c = (read_image(here / f"{name}.png") for name in "abc")
    assert (a != b).any() and (a != c).any()


def test_a_folder_goes_on_past_bad_files(here, capsys):
    (here / "photos").mkdir()
    for name in ("x", "y", "z"):
        write_image(here / "photos" / f"{name}.png", photograph(1, 60, 70))
    (here / "photos" / "cut.jpg").write_bytes((here / "photo.jpg").read_bytes()[:300])
    write_image(here / "photos" / "small.png", photograph(1, 10, 10))
    arguments = ["photos", "--mask=mask.png", "--output=done", "--workers=2"]
    assert run("complete", arguments) == 1
    said = capsys.readouterr()
    assert "3 completed, 0 were there already, 2 failed: done" in said.out
    assert "error: cannot read the photograph photos/cut.jpg: " in said.err
    assert (
        "error: photos/small.png: only 10 x 10 px, where 16 px a side are the least; give a larger photograph"
        in said.err
    )
    assert sorted(p.name for p in (here / "done").iterdir()) == ["x.png", "y.png", "z.png"]
    (here / "done" / "y.png").unlink()
    assert run("complete", ["photos/[xyz].png", *arguments[1:], "--format=png"]) == 0
    assert "1 completed, 2 were there already, 0 failed" in capsys.readouterr().out
    assert run("complete", [*arguments[:2], "--output=photos"]) == 2
    assert "the results would overwrite photos/cut.jpg; give another folder as --output" in capsys.readouterr().err


def test_masks_by_name(here, capsys):
    (here / "photos").mkdir()
    for name in ("photos/a.png", "photos/b.png"):
        write_image(here / name, photograph(2, 60, 70))
    for number in ("000", "001"):
        (here / "photos" / f"a_mask{number}.png").write_bytes((here / "mask.png").read_bytes())
    assert run("complete", ["photos", "--mask=photos", "--output=done"]) == 1
    assert "error: photos/b.png: no mask of its name" in capsys.readouterr().err
    assert sorted(p.name for p in (here / "done").iterdir()) == ["a_mask000.png", "a_mask001.png"]


def test_bad_input(here, capsys, monkeypatch):
    (here / "empty").mkdir()
    for arguments, message in (
        (["photo.jpg", "--mask=mask.png", "--output=photo.jpg"], "would overwrite photo.jpg"),
        (["photo.jpg", "--mask=mask.png", "--output=mask.png"], "would overwrite mask.png"),
        (["photo.jpg", "--mask=mask.png", "--output=x.gif"], "unknown image type '.gif'"),
        (["photo.jpg", "--mask=mask.png", "--model=gone"], "no model folder gone"),
        (["photo.jpg", "--mask_color=pink"], "mask_color is 'pink'"),
        (["empty", "--mask=mask.png", "--output=o"], "no image in empty"),
        (["photo.jpg", "mask.png", "--mask=mask.png"], "give --output=FOLDER"),
        (["photo.jpg", "--mask=empty", "--output=o"], "not one of 1 photographs has a mask"),
        (["mask.png", "--rectangle=0,0,99,99"], "mask.png: the hole covers the whole photograph"),
    ):
        assert run("complete", arguments) == 2
        line = capsys.readouterr().err.strip()
        assert message in line and "\n" not in line
    monkeypatch.delenv("GLCIC_MODEL")
    monkeypatch.setattr("glcic_jax.cli.complete.shipped_model", lambda: shipped_model(here / "gone"))
    assert run("complete", ["photo.jpg", "--mask=mask.png"]) == 2
    assert "give --model=FOLDER" in capsys.readouterr().err
    assert sorted(p.name for p in here.iterdir()) == ["empty", "mask.png", "photo.jpg"]
