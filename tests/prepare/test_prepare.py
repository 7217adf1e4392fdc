"""Photographs into shards: all good ones in, whatever the order; bad ones named; nothing half-written."""

import hashlib
import io
import random
import tarfile

import numpy as np
import pytest

from glcic_jax.data.images import decode
from glcic_jax.data.manifest import MANIFEST, read_manifest
from glcic_jax.data.shards import open_split
from glcic_jax.errors import UserError
from glcic_jax.prepare.pipeline import prepare
from glcic_jax.prepare.plan import Settings
from tests.support.pictures import encoded, photograph


def run(source, output, split=None, val_fraction=0.0, workers=0):
    return prepare([str(source)], output, Settings(split, val_fraction), workers)


def files_of(folder):
    return {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.iterdir()
        if p.is_file() and p.name != MANIFEST
    }


def write_tar(path, files, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


@pytest.fixture
def easyformat(tmp_path):
    """The layout of Places365's easyformat archive, with a few bad files."""
    files = [(f"places/train/abbey/{i}.jpg", encoded(photograph(i))) for i in range(6)]
    files += [(f"places/val/abbey/{i}.jpg", encoded(photograph(100 + i))) for i in range(3)]
    files += [
        ("places/train/abbey/copy.jpg", encoded(photograph(0))),
        ("places/train/broken.jpg", encoded(photograph(50))[:600]),
        ("places/train/empty.jpg", b""),
    ]
    return files


def test_folder_tar_and_shuffled_tar_give_the_same_shards(easyformat, tmp_path):
    folder = tmp_path / "folder"
    for name, data in easyformat:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    write_tar(tmp_path / "a.tar", easyformat)
    write_tar(tmp_path / "b.tar.gz", random.Random(0).sample(easyformat, len(easyformat)), "w:gz")
    manifests = []
    for source in (folder, tmp_path / "a.tar", tmp_path / "b.tar.gz"):
        output = tmp_path / "out" / source.name
        manifest = run(source, output)
        assert manifest == read_manifest(output)
        assert manifest.sources[0].name == source.name
        manifests.append(manifest)
    for other in manifests[1:]:
        assert (other.splits, other.left_out) == (manifests[0].splits, manifests[0].left_out)
    shards = [files_of(tmp_path / "out" / name) for name in ("folder", "a.tar", "b.tar.gz")]
    assert shards[0] == shards[1] == shards[2]
    assert sorted(shards[0]) == ["train-00000-of-00001.array_record", "val-00000-of-00001.array_record"]

    manifest = manifests[0]
    assert {name: split.count for name, split in manifest.splits.items()} == {"train": 6, "val": 3}
    assert [file.name for file in manifest.left_out] == [
        "places/train/abbey/copy.jpg",
        "places/train/broken.jpg",
        "places/train/empty.jpg",
    ]
    assert "same bytes as places/train/abbey/0.jpg" in manifest.left_out[0].reason
    assert all(file.reason for file in manifest.left_out)
    source = open_split(tmp_path / "out" / "folder", read_manifest(tmp_path / "out" / "folder"), "train")
    expected = {data for name, data in easyformat if "train/abbey" in name}
    assert {source[i] for i in range(len(source))} == expected
    mean = np.mean([np.array(decode(data)).mean((0, 1)) for data in expected], axis=0) / 255
    np.testing.assert_allclose(manifest.splits["train"].mean_color, mean, rtol=1e-9)


def test_a_share_is_set_apart_where_there_is_no_val(photographs, tmp_path):
    manifest = run(photographs, tmp_path / "out", val_fraction=0.1)
    assert {name: split.count for name, split in manifest.splits.items()} == {"train": 36, "val": 4}


def test_splits_are_added_one_by_one(photographs, tmp_path):
    run(photographs / "a", tmp_path / "out", split="train")
    manifest = run(photographs / "b", tmp_path / "out", split="val")
    assert {name: split.count for name, split in manifest.splits.items()} == {"train": 20, "val": 20}
    before = files_of(tmp_path / "out")
    with pytest.raises(UserError, match="already holds 'train'"):
        run(photographs / "b", tmp_path / "out")
    assert files_of(tmp_path / "out") == before


def test_the_share_never_takes_all(photographs, tmp_path):
    for name in ("train", "test"):
        (tmp_path / "source" / name).mkdir(parents=True)
    for index in range(3):
        (tmp_path / "source" / "train" / f"{index}.jpg").write_bytes(encoded(photograph(index)))
    (tmp_path / "source" / "test" / "9.jpg").write_bytes(encoded(photograph(9)))
    manifest = run(tmp_path / "source", tmp_path / "out", val_fraction=0.99)
    assert {name: split.count for name, split in manifest.splits.items()} == {"test": 1, "train": 1, "val": 2}


def test_a_flipped_byte_names_the_record(photographs, tmp_path):
    run(photographs, tmp_path / "out")
    shard = tmp_path / "out" / "train-00000-of-00001.array_record"
    data = bytearray(shard.read_bytes())
    data[len(data) // 8] ^= 255
    shard.write_bytes(data)
    source = open_split(tmp_path / "out", read_manifest(tmp_path / "out"), "train")
    with pytest.raises(ValueError, match=r"number \d+ in train-00000-of-00001.array_record is damaged"):
        for index in range(len(source)):
            source[index]


def test_sources_without_images(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "page.jpg").write_text("<html>")
    (tmp_path / "cut.tar").write_bytes(b"\x1f\x8b nothing")
    for name, message in (
        ("gone", "no source"),
        ("empty", r"no readable image in empty \(it is empty\)"),
        ("bad", "no readable image in bad: all 1 files were left out, page.jpg, for one: not an image"),
        ("cut.tar", "neither a folder nor a tar or zip archive"),
    ):
        with pytest.raises(UserError, match=message):
            run(tmp_path / name, tmp_path / "out")
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda shard: shard.unlink(), "is missing"),
        (lambda shard: shard.write_bytes(shard.read_bytes()[:-10]), "its manifest says"),
        (lambda shard: shard.write_bytes(bytes(shard.stat().st_size)), "cannot be read|holds? 0 records"),
    ],
)
def test_shards_that_do_not_match_their_manifest(photographs, tmp_path, damage, message):
    run(photographs, tmp_path / "out")
    damage(tmp_path / "out" / "train-00000-of-00001.array_record")
    with pytest.raises(UserError, match=message):
        open_split(tmp_path / "out", read_manifest(tmp_path / "out"), "train")


def test_missing_shards_name_the_command(tmp_path):
    with pytest.raises(UserError, match=r"python launch/prepare.py --source=PHOTOGRAPHS --output=.*nothing"):
        read_manifest(tmp_path / "nothing")
