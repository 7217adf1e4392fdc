"""`glcic complete` on one photograph and on many."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glcic_jax.cli.main import run
from glcic_jax.data.images import read_image, write_image
from glcic_jax.inference.record import RECORD
from glcic_jax.models import folder as model_folder
from glcic_jax.models.card import Card, Trained
from glcic_jax.models.completion import CompletionNetwork
from glcic_jax.models.shipped import shipped_model
from tests.support.networks import shaken
from tests.support.paths import ROOT
from tests.support.pictures import photograph


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    network = CompletionNetwork(width_multiplier=0.03125)
    folder = tmp_path_factory.mktemp("complete") / "model"
    model_folder.save(
        folder, (network, shaken(network, seed=3)), None, Card(trained=Trained(crop_px=64, hole_px=(8, 16)))
    )
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


def results(folder) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.name != RECORD)


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
    assert results(here / "done") == ["x.png", "y.png", "z.png"]
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
    assert results(here / "done") == ["a_mask000.png", "a_mask001.png"]


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


def many(here, *names: str) -> None:
    for number, name in enumerate(names):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(here / name, photograph(number, 60, 70))


def test_folders_are_mirrored_and_a_second_run_continues(here, capsys):
    many(here, "photos/day1/1.png", "photos/day2/1.png")
    arguments = ["photos", "--mask=mask.png", "--output=photos/done"]
    assert run("complete", arguments) == 0
    assert results(here / "photos/done") == ["day1/1.png", "day2/1.png"]
    assert run("complete", arguments) == 0
    assert "0 completed, 2 were there already, 0 failed: photos/done" in capsys.readouterr().out


def test_other_options_than_those_that_made_the_results(here, capsys):
    many(here, "photos/x.png", "photos/y.png")
    arguments = ["photos", "--mask=mask.png", "--output=done"]
    assert run("complete", arguments) == 0
    before = (here / "done/x.png").read_bytes()
    capsys.readouterr()
    assert run("complete", arguments) == 0
    assert capsys.readouterr().err.count("note") == 0
    assert run("complete", [*arguments, "--dilate_px=9", "--nocoarse"]) == 0
    said = capsys.readouterr().err
    assert "2 of the results that were there already were made with other options, such as done/x.png" in said
    assert "coarse on then, off now" in said and "dilate_px 0 then, 9 now" in said and "--overwrite" in said
    assert run("complete", [*arguments, "--copy_texture"]) == 0
    assert "copy_texture none then, on now" in capsys.readouterr().err
    assert (here / "done/x.png").read_bytes() == before
    assert run("complete", [*arguments, "--dilate_px=9", "--overwrite"]) == 0
    assert "2 completed, 0 were there already" in capsys.readouterr().out
    assert (here / "done/x.png").read_bytes() != before


def test_a_folder_that_is_not_there(here):
    for output in ("new/", "other/deep", "v1.5/"):
        assert run("complete", ["photo.jpg", "--mask=mask.png", f"--output={output}"]) == 0
        assert (here / output / "photo.jpg").is_file()
    assert run("complete", ["photo.jpg", "--mask=gone.png", "--output=never/"]) == 2
    assert not (here / "never").exists()


def test_previews_in_folders(here):
    """Neither a photograph's result nor a photograph that is called so is overwritten."""
    many(here, "photos/x.png", "photos/x_preview.jpg")
    assert run("complete", ["photos", "--mask=mask.png", "--output=done", "--preview"]) == 0
    assert results(here / "done") == ["x.png", "x_preview.jpg", "x_preview2.jpg", "x_preview_preview.jpg"]
    assert np.abs(read_image(here / "done/x_preview.jpg").astype(int) - photograph(1, 60, 70))[40:].mean() < 3


def test_the_home_folder(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here / "home"))
    (here / "home").mkdir()
    assert run("complete", ["photo.jpg", "--mask=mask.png", "--output=~/o.png"]) == 0
    assert (here / "home/o.png").exists() and not (here / "~").exists()


def test_options_that_read_a_mask(here, capsys):
    mask = np.zeros((60, 70), np.uint8)
    mask[20:30, 30:45], mask[45:55, 10:20] = 255, 100
    Image.fromarray(mask).save("two.png")
    arguments = ["photo.jpg", "--mask=two.png", "--output=o.png"]
    assert run("complete", arguments) == 2
    said = capsys.readouterr().err
    assert "has marks of level 100 of 255 (100 px) beside lighter ones" in said and "--mask_level=100" in said
    before = read_image(here / "photo.jpg")
    for option, count in (("--mask_level=100", 250), ("--mask_level=128", 150), ("--mask_labels=100", 100)):
        assert run("complete", [*arguments, option]) == 0
        changed = (read_image(here / "o.png") != before).any(-1)
        assert not changed[mask == 0].any() and 0.9 * count < changed.sum() <= count
    for bad, message in (
        (["--mask_level=100", "--mask_transparent"], "give one of --mask_level"),
        (["--mask_labels=x"], "mask_labels is 'x'"),
        (["--mask_transparent"], "has no transparent part"),
        (["--mask_labels=7"], "has no label 7; it holds 0, 100, 255"),
        (["--max_megapixels=0.001"], "more than 0 megapixels"),
        (["--max_megapixels=x"], "--max_megapixels is 'x'"),
    ):
        assert run("complete", [*arguments, *bad]) == 2
        assert message in capsys.readouterr().err
    assert run("complete", ["photo.jpg", "--rectangle=1,1,9,9", "--mask_level=3"]) == 2
    assert "say how to read a --mask file" in capsys.readouterr().err


def test_a_batch_survives_anything(here, capsys, monkeypatch):
    """What a file makes a library raise, of whatever kind, is one line."""
    many(here, "photos/a.png", "photos/b.png", "photos/c.png")
    from glcic_jax.inference import files

    read = files.read_photograph

    def odd(path, *rest):
        if path.name == "b.png":
            raise AttributeError("odd\nEXIF")
        return read(path, *rest)

    monkeypatch.setattr(files, "read_photograph", odd)
    assert run("complete", ["photos", "--mask=mask.png", "--output=done"]) == 1
    said = capsys.readouterr()
    assert "error: photos/b.png: AttributeError: odd EXIF" in said.err.splitlines()
    assert "2 completed, 0 were there already, 1 failed" in said.out


def test_an_interruption_does_not_wait_for_the_rest(here, monkeypatch):
    """Those that are being completed end, no others begin, and the same command continues."""
    many(here, *(f"photos/{number}.png" for number in range(8)))
    from glcic_jax.inference import files

    read, begun = files.read_photograph, []

    def interrupted(path, *rest):
        begun.append(path)
        return read(path, *rest)

    def stop(futures):
        next(iter(futures)).result()
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "read_photograph", interrupted)
    with monkeypatch.context() as patch:
        patch.setattr("glcic_jax.inference.complete_files.as_completed", stop)
        assert run("complete", ["photos", "--mask=mask.png", "--output=done", "--workers=2"]) == 130
    assert len(begun) < 8
    assert run("complete", ["photos", "--mask=mask.png", "--output=done"]) == 0
    assert len(results(here / "done")) == 8


def test_names_that_are_no_text(here):
    """Bytes that are not UTF-8, and a terminal that knows ASCII alone."""
    for locale in ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"LC_ALL": "C.UTF-8"}):
        folder = os.fsencode(here) + b"/ph\xe4\xff" + locale["LC_ALL"].encode()
        Path(os.fsdecode(folder)).mkdir()
        for name in (b"\xff.png", "ü.png".encode()):
            shutil.copyfile(here / "mask.png", folder + b"/" + name)
        command = [
            sys.executable,
            "-c",
            "import sys; from glcic_jax.cli.main import main; sys.exit(main())",
            "complete",
        ]
        done = subprocess.run(
            [*command, folder, "--rectangle=5,5,9,9", b"--output=" + folder + b"/out", "--format=jpg"],
            env={**os.environ, **locale}, capture_output=True, cwd=ROOT,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert b"2 completed" in done.stdout and b"Traceback" not in done.stderr
        assert len(results(Path(os.fsdecode(folder)) / "out")) == 2
