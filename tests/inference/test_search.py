"""What folders and patterns hold, and which mask belongs to which photograph."""

import subprocess
from pathlib import Path

import pytest

from glcic_jax.errors import UserError
from glcic_jax.inference.search import find_images, leave_out_masks, pair


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def files(*names: str) -> None:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"")

    return files


def paths(search) -> list[str]:
    return [str(file.path) for file in search.files]


def pairs(photographs: str, masks: str) -> dict[str, list[str]]:
    all_masks = find_images([masks]).files
    chosen = leave_out_masks(find_images([photographs]), all_masks)
    found = pair(chosen.files, all_masks)
    return {str(photo.path): [str(mask.path) for mask in own] for photo, own in found.items()}


def test_folders_patterns_and_files(make):
    make("a.jpg", "b.png", "sub/c.GIF", "sub/d.heic", "notes.txt", ".hidden.png", ".trash/e.png")
    found = find_images(["."])
    assert paths(found) == ["a.jpg", "b.png", "sub/c.GIF", "sub/d.heic"]
    assert found.notes == ["left out 1 files that are not named like images: notes.txt"]
    assert paths(find_images(["*.png", "b.png", "a.jpg"])) == ["b.png", "a.jpg"]
    assert paths(find_images(["**/*.GIF"])) == ["sub/c.GIF"]
    assert paths(find_images(["gone.jpg"])) == ["gone.jpg"]  # reading it says what is wrong
    for nothing in ("*.tiff", "sub/deeper*"):
        with pytest.raises(UserError, match="no image in"):
            find_images([nothing])


def test_the_output_is_not_searched(make):
    make("photos/a.JPG", "photos/done/a.JPG", "photos/x/done/b.png")
    assert paths(find_images(["photos"], Path("photos/done"))) == ["photos/a.JPG", "photos/x/done/b.png"]
    assert paths(find_images(["photos/**/*.JPG"], Path("photos/done"))) == ["photos/a.JPG"]
    assert len(find_images(["photos"], Path("photos")).files) == 3


def test_deep_folders_and_loops(make, tmp_path):
    make("a.png")
    for depth in range(1, 1101):
        Path("d/" * depth).mkdir()
    Path("d/" * 1100 + "deep.png").write_bytes(b"")
    (tmp_path / "loop").symlink_to(".")
    try:
        assert [Path(path).name for path in paths(find_images(["."]))] == ["a.png", "deep.png"]
    finally:
        subprocess.run(["rm", "-r", "d"], check=True)  # pytest itself fails on so deep a folder


def test_masks_by_path_below_the_folder(make):
    make("photos/day1/1.jpg", "photos/day2/1.jpg", "photos/day2/2.jpg")
    make(
        "masks/day1/1.png",
        "masks/day2/1_mask.png",
        "masks/day2/2_mask000.png",
        "masks/day2/2_mask001.png",
        "masks/1.png",
    )
    assert pairs("photos", "masks") == {
        "photos/day1/1.jpg": ["masks/day1/1.png"],
        "photos/day2/1.jpg": ["masks/day2/1_mask.png"],
        "photos/day2/2.jpg": ["masks/day2/2_mask000.png", "masks/day2/2_mask001.png"],
    }
    assert pairs("photos/*/*.jpg", "masks/*/*.png")["photos/day2/1.jpg"] == ["masks/day2/1_mask.png"]


def test_names_in_another_form_of_unicode(make):
    make("photos/cafe\u0301.jpg", "masks/caf\u00e9.png", "photos/\u00e4.jpg", "masks/a\u0308_mask.png")
    assert all(len(own) == 1 for own in pairs("photos", "masks").values())


def test_masks_among_the_photographs(make):
    make(
        "shared/cat.jpg",
        "shared/cat.png",
        "shared/dog.jpg",
        "shared/dog_mask.png",
        "shared/gas_mask.jpg",
        "shared/eel.png",
    )
    assert pairs("shared", "shared") == {
        "shared/cat.jpg": ["shared/cat.png"],
        "shared/dog.jpg": ["shared/dog_mask.png"],
        "shared/eel.png": [],
        "shared/gas_mask.jpg": [],
    }
    make("shared/dog.webp")
    with pytest.raises(
        UserError, match=r"shared/dog.jpg and shared/dog.webp: which is the mask\? call it dog_mask.png"
    ):
        make("shared/dog.png.bak")
        pairs("shared", "shared")


def test_masks_in_a_folder_below(make):
    make("pm/a.JPG", "pm/sub/a.JPG", "pm/masks/a.png", "pm/masks/sub/a.png")
    assert pairs("pm", "pm/masks") == {"pm/a.JPG": ["pm/masks/a.png"], "pm/sub/a.JPG": ["pm/masks/sub/a.png"]}


def test_photographs_called_like_masks(make):
    make("photos/dog.jpg", "photos/face_mask01.jpg", "photos/gas_mask.jpg", "photos/dog_mask2.png", "photos/m.png")
    found = leave_out_masks(find_images(["photos"]), None, Path("photos/m.png"))
    assert paths(found) == ["photos/dog.jpg", "photos/face_mask01.jpg", "photos/gas_mask.jpg"]
    assert found.notes == ["left out as masks of other photographs: photos/dog_mask2.png"]
    make("masks/gas_mask.png", "masks/face_mask01_mask.png", "masks/dog_mask.png")
    assert pairs("photos/*.jpg", "masks") == {
        "photos/dog.jpg": ["masks/dog_mask.png"],
        "photos/face_mask01.jpg": ["masks/face_mask01_mask.png"],
        "photos/gas_mask.jpg": ["masks/gas_mask.png"],
    }
    assert paths(leave_out_masks(find_images(["photos/dog_mask2.png", "photos/dog.jpg"]), None)) == [
        "photos/dog_mask2.png",
        "photos/dog.jpg",
    ]
