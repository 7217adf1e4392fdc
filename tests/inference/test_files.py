"""Which photographs and masks belong together, and where results go."""

from pathlib import Path

import numpy as np
import pytest

from glcic_jax.data.images import read_image, write_image
from glcic_jax.errors import UserError
from glcic_jax.inference.files import batch_jobs, find_masks, find_photographs, single_job
from glcic_jax.inference.masks import HoleSource
from tests.conftest import photograph


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.png", "sub/c.gif", "a_mask001.png", "a_mask002.png", "masks/b.png", "masks/c_mask.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "notes.txt").write_text("")
    return tmp_path


def names(paths) -> list[str]:
    return [str(path) for path in paths]


def test_folders_patterns_and_files(here):
    assert names(find_photographs(["."])) == ["a.jpg", "b.png", "masks/b.png", "sub/c.gif"]
    assert names(find_photographs(["*.png", "b.png"])) == ["a_mask001.png", "a_mask002.png", "b.png"]
    assert names(find_photographs(["gone.jpg"])) == ["gone.jpg"]  # reading it says what is wrong
    for nothing in ("*.tiff", str(here / "sub" / "deeper*")):
        with pytest.raises(UserError, match="no image in"):
            find_photographs([nothing])


def test_masks_by_name(here):
    found = find_photographs(["a.jpg", "b.png", "sub"])
    jobs, errors = batch_jobs(found, HoleSource(), find_masks("."), Path("out"), None)
    pairs = [(str(job.photograph), str(job.source.file), str(job.output)) for job in jobs]
    assert pairs == [
        ("a.jpg", "a_mask001.png", "out/a_mask001.jpg"),
        ("a.jpg", "a_mask002.png", "out/a_mask002.jpg"),
        ("b.png", "masks/b.png", "out/b.png"),
        ("sub/c.gif", "masks/c_mask.png", "out/c.png"),
    ]
    assert errors == []
    jobs, errors = batch_jobs(found, HoleSource(), find_masks("masks"), Path("out"), ".webp")
    assert names(job.output for job in jobs) == ["out/b.webp", "out/c.webp"]
    assert len(errors) == 1 and errors[0].startswith("a.jpg: no mask of its name")
    with pytest.raises(UserError, match="not one of 1 photographs has a mask"):
        batch_jobs([Path("a.jpg")], HoleSource(), find_masks("masks"), Path("out"), None)


def test_one_mask_for_all_and_names_that_collide(here):
    source = HoleSource(Path("masks/b.png"))
    jobs, _ = batch_jobs([Path("a.jpg"), Path("b.png")], source, None, Path("out"), None)
    assert {job.source for job in jobs} == {source}
    with pytest.raises(UserError, match=r"results would overwrite masks/b.png"):
        batch_jobs([Path("a.jpg"), Path("b.png")], source, None, Path("masks"), None)
    with pytest.raises(UserError, match=r"a.jpg and .*sub/a.jpg would both become out/a.jpg"):
        batch_jobs([Path("a.jpg"), Path("sub/a.jpg")], source, None, Path("out"), None)


def test_where_one_result_goes(here):
    def output(photo, given):
        return str(single_job(Path(photo), HoleSource(), given and Path(given)).output)

    assert output("a.jpg", None) == "a_completed.jpg"
    assert output("sub/c.gif", None) == "sub/c_completed.png"
    assert output("a.jpg", "masks") == "masks/a.jpg"
    assert output("a.jpg", "x.tif") == "x.tif"
    assert str(single_job(Path("a.jpg"), HoleSource(), None, ".png").output) == "a_completed.png"
    for photo, mask, out in (("a.jpg", "b.png", "./a.jpg"), ("a.jpg", "b.png", "sub/../b.png")):
        with pytest.raises(UserError, match="would overwrite"):
            single_job(Path(photo), HoleSource(Path(mask)), Path(out)).check()


def test_a_job(tmp_path):
    pixels = photograph(0, 40, 50)
    write_image(tmp_path / "a.png", pixels)
    job = single_job(tmp_path / "a.png", HoleSource(rectangle=(10, 5, 20, 8)), None)
    notes = job.run(lambda pixels, mask: (255 - pixels, ["a note"]), preview=True)
    assert notes == ["a note"]
    hole = np.zeros((40, 50, 1), bool)
    hole[5:13, 10:30] = True
    np.testing.assert_array_equal(read_image(job.output), np.where(hole, 255 - pixels, pixels))
    assert read_image(tmp_path / "a_completed_preview.jpg").shape == pixels.shape
