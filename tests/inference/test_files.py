"""Where results go, and doing one photograph."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glcic_jax.data.images import read_image, write_image
from glcic_jax.errors import UserError
from glcic_jax.inference.files import plan_many, plan_one
from glcic_jax.inference.masks import HoleSource
from glcic_jax.inference.search import find_images
from tests.support.pictures import photograph


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in (
        "a.jpg",
        "b.png",
        "sub/a.jpg",
        "sub/c.gif",
        "masks/a_mask1.png",
        "masks/b.png",
        "masks/sub/c_mask.png",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def outputs(jobs) -> list[tuple[str, str, str]]:
    return [(str(job.photograph), str(job.source.file), str(job.output)) for job in jobs]


def test_results_mirror_the_folders(here):
    photographs = find_images(["."], Path("masks")).files
    jobs, errors = plan_many(photographs, HoleSource(), find_images(["masks"]).files, Path("out"), None)
    assert outputs(jobs) == [
        ("a.jpg", "masks/a_mask1.png", "out/a.jpg"),
        ("b.png", "masks/b.png", "out/b.png"),
        ("sub/c.gif", "masks/sub/c_mask.png", "out/sub/c.png"),
    ]
    assert errors == ["sub/a.jpg: no mask of its name; call it sub/a.png or a_mask.png, beside it"]
    with pytest.raises(UserError, match="not one of 1 photographs has a mask"):
        plan_many(find_images(["sub/a.jpg"]).files, HoleSource(), find_images(["masks/b.png"]).files, Path("o"), None)


def test_several_masks_give_several_results(here):
    for name in ("many/a_mask.png", "many/a_mask.jpg", "many/a_mask2.png"):
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).write_bytes(b"")
    jobs, _ = plan_many(find_images(["a.jpg"]).files, HoleSource(), find_images(["many"]).files, Path("out"), ".webp")
    assert [str(job.output) for job in jobs] == ["out/a_mask_jpg.webp", "out/a_mask_png.webp", "out/a_mask2.webp"]


def test_one_mask_for_all_and_names_that_collide(here):
    source = HoleSource(Path("masks/b.png"))
    jobs, _ = plan_many(find_images(["b.png", "sub"]).files, source, None, Path("out"), None)
    assert {job.source for job in jobs} == {source}
    assert [str(job.output) for job in jobs] == ["out/b.png", "out/a.jpg", "out/c.png"]
    with pytest.raises(UserError, match=r"results would overwrite masks/b.png"):
        plan_many(find_images(["b.png"]).files, source, None, Path("masks"), None)
    with pytest.raises(UserError, match=r"a.jpg and .*sub/a.jpg would both become out/a.jpg"):
        plan_many(find_images(["a.jpg", "sub/a.jpg"]).files, source, None, Path("out"), None)


def test_where_one_result_goes(here):
    def output(photo, given, **more):
        return str(plan_one(Path(photo), HoleSource(), given and Path(given), **more).output)

    assert output("a.jpg", None) == "a_completed.jpg"
    assert output("sub/c.gif", None) == "sub/c_completed.png"
    assert output("a.jpg", "masks") == output("a.jpg", "masks", into_folder=True) == "masks/a.jpg"
    assert output("a.jpg", "x.tif") == "x.tif"
    assert output("a.jpg", "new") == "new/a.jpg" and output("a.jpg", "v1.5", into_folder=True) == "v1.5/a.jpg"
    assert output("a.jpg", None, suffix=".png") == "a_completed.png"
    (here / "link.jpg").symlink_to("a.jpg")
    for photo, mask, out in (
        ("a.jpg", "b.png", "./a.jpg"),
        ("a.jpg", "b.png", "sub/../b.png"),
        ("a.jpg", "b.png", "link.jpg"),
    ):
        with pytest.raises(UserError, match="would overwrite"):
            plan_one(Path(photo), HoleSource(Path(mask)), Path(out)).check()
    with pytest.raises(UserError, match="does not exist"):
        plan_one(Path("a.jpg"), HoleSource(), Path("gone/x.png")).check()


def invert(pixels, mask):
    return 255 - pixels, ["a note"]


def test_a_job(tmp_path):
    pixels = photograph(0, 40, 50)
    write_image(tmp_path / "a.png", pixels)
    job = plan_one(tmp_path / "a.png", HoleSource(rectangle=(10, 5, 20, 8)), None)
    assert job.run(invert, preview=True) == ["a note"]
    hole = np.zeros((40, 50, 1), bool)
    hole[5:13, 10:30] = True
    np.testing.assert_array_equal(read_image(job.output), np.where(hole, 255 - pixels, pixels))
    assert read_image(tmp_path / "a_completed_preview.jpg").shape == pixels.shape


def test_previews_take_nobody_s_name(tmp_path):
    """A photograph that is called like a preview stays; a preview of before is replaced."""
    for name in ("a.png", "b_preview.jpg"):
        write_image(tmp_path / name, photograph(0, 40, 50))
    before = (tmp_path / "b_preview.jpg").read_bytes()
    job = plan_one(tmp_path / "a.png", HoleSource(rectangle=(10, 5, 20, 8)), tmp_path / "b.png")
    for _ in range(2):
        notes = job.run(invert, preview=True)
        assert notes[0].endswith(f"b_preview.jpg is another file; the preview is {tmp_path}/b_preview2.jpg")
    assert (tmp_path / "b_preview.jpg").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png", "b_preview.jpg", "b_preview2.jpg"]
    taken = [tmp_path / "b_preview2.jpg"]  # as another photograph's result
    assert "b_preview3.jpg" in job.run(invert, True, taken)[0]


def test_what_was_erased_becomes_opaque(tmp_path):
    """Painted where the photograph is transparent, with a mask file: it must be seen."""
    alpha = np.full((40, 50), 255, np.uint8)
    alpha[5:13, 10:30] = 0
    layer = np.dstack([photograph(0, 40, 50), alpha])
    Image.fromarray(layer).save(tmp_path / "a.png")
    job = plan_one(tmp_path / "a.png", HoleSource(rectangle=(8, 4, 24, 10)), tmp_path / "b.png")
    assert "the photograph is transparent in the hole; made opaque there" in job.run(invert, False)
    with Image.open(tmp_path / "b.png") as found:
        assert np.array(found)[..., 3].min() == 255


def test_results_are_no_wider_readable_than_the_photograph(tmp_path):
    write_image(tmp_path / "a.png", photograph(0, 40, 50))
    (tmp_path / "a.png").chmod(0o600)
    job = plan_one(tmp_path / "a.png", HoleSource(rectangle=(10, 5, 20, 8)), None)
    job.run(invert, preview=True)
    assert {p.stat().st_mode & 0o777 for p in tmp_path.iterdir()} == {0o600}
