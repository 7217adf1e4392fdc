"""Which split an image belongs to: by folders as data sets have them, and by lists."""

import pytest

from glcic_jax.prepare.pipeline import prepare
from glcic_jax.prepare.plan import Settings
from glcic_jax.prepare.splits import folder_split, looks_like_a_split, read_list, split_of
from tests.support.pictures import encoded, photograph


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        *((name, "train") for name in ("train", "Train", "training", "TRAIN", "train2017", "train_256", "train_large")),
        *(
            (name, "val")
            for name in ("val", "valid", "Validation", "val2017", "val_256", "val_large", "validation_set")
        ),
        *((name, "test") for name in ("test", "Testing", "test2015", "test-images", "test_a.zip", "test_256.tar.gz")),
        *((name, "") for name in ("steam_train", "trainers", "valley", "testimony", "contest", "images", "vale", "a")),
    ],
)
def test_folders(folder, split):
    assert folder_split(folder) == split
    assert split_of(f"{folder}/1.jpg", lambda path: ()) == (split or "train")


@pytest.mark.parametrize(
    ("folder", "like"), [("DIV2K_valid_HR", True), ("dev", True), ("images", False), ("val", False)]
)
def test_folders_that_sound_like_a_split(folder, like):
    assert looks_like_a_split(folder) == like


def by_lists(lists):
    found = {}
    for name, text in lists.items():
        for path, split in read_list(name, text.splitlines()):
            found.setdefault(path, set()).add(split)
    return lambda path: found.get(path, ())


def test_bare_names_in_two_lists_are_told_apart_by_folders():
    listed = by_lists({"train.txt": "1.jpg\n2.jpg\n3.jpg\n", "val.txt": "1.jpg\n2.jpg\n"})
    for name, split in {
        "train/1.jpg": "train",
        "val/1.jpg": "val",
        "val2017/2.jpg": "val",
        "train/3.jpg": "train",
        "images/1.jpg": "val",  # in both: what may be for measuring is not trained on
        "images/3.jpg": "train",
    }.items():
        assert split_of(name, listed) == split, name


def test_lists_count_for_their_own_folder_first():
    listed = by_lists({"a/train.txt": "1.jpg 0\n", "b/val.txt": "1.jpg 0\n", "c/val.txt": "images/1.jpg"})
    assert split_of("a/1.jpg", listed) == "train"
    assert split_of("b/1.jpg", listed) == "val"
    assert split_of("c/images/1.jpg", listed) == "val"


def write(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return [str(folder)]


def counts(manifest):
    return {name: split.count for name, split in manifest.splits.items()}


def test_coco_and_strange_folders(tmp_path):
    layout = {"train2017": 4, "val2017": 2, "DIV2K_valid_HR": 1}
    files = {
        f"{folder}/{i}.jpg": encoded(photograph(100 * len(folder) + i))
        for folder, n in layout.items()
        for i in range(n)
    }
    manifest = prepare(write(tmp_path / "coco", files), tmp_path / "out", Settings())
    assert counts(manifest) == {"train": 5, "val": 2}
    assert any("DIV2K_valid_HR" in note and "--split" in note for note in manifest.notes)


def test_two_lists_with_bare_names(tmp_path):
    files = {
        f"{folder}/{i}.jpg": encoded(photograph(50 * n + i))
        for n, folder in enumerate(("train", "val"))
        for i in range(3)
    }
    files |= {"train.txt": b"0.jpg\n1.jpg\n2.jpg\n", "val.txt": b"0.jpg\n1.jpg\n2.jpg\n"}
    manifest = prepare(write(tmp_path / "set", files), tmp_path / "out", Settings())
    assert counts(manifest) == {"train": 3, "val": 3}
