"""Manifests: written as ever, read whatever their age, and refused in a line where a value cannot be."""

import json

import pytest

from glcic_jax.data.manifest import (
    MANIFEST,
    LeftOut,
    Manifest,
    PreparedSource,
    Shard,
    Split,
    read_manifest,
    write_manifest,
)
from glcic_jax.errors import UserError

SHARD = Shard("train-00000-of-00001.array_record", 3, 700, "0123456789abcdef" * 4)
WRITTEN = Manifest(
    sources=(PreparedSource("photographs", None, 0.02, 512, 32),),
    splits={"train": Split(3, (0.25, 0.5, 1.0), (40, 60, 512), (SHARD,))},
    left_out=(LeftOut(0, "名前.jpg", "the file is empty"),),
)

# As version 0.1.0 wrote it, byte for byte.
TEXT = """{
 "format": "glcic-jax shards",
 "format_version": 1,
 "sources": [
  {
   "name": "photographs",
   "split": null,
   "val_fraction": 0.02,
   "max_short_side_px": 512,
   "min_short_side_px": 32
  }
 ],
 "splits": {
  "train": {
   "count": 3,
   "mean_color": [
    0.25,
    0.5,
    1.0
   ],
   "short_side_px": [
    40,
    60,
    512
   ],
   "shards": [
    {
     "file": "train-00000-of-00001.array_record",
     "count": 3,
     "bytes": 700,
     "sha256": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    }
   ]
  }
 },
 "left_out": [
  {
   "source": 0,
   "name": "名前.jpg",
   "reason": "the file is empty"
  }
 ]
}
"""


def test_the_file_is_that_of_version_0_1(tmp_path):
    write_manifest(tmp_path, WRITTEN)
    assert (tmp_path / MANIFEST).read_text(encoding="utf-8") == TEXT
    assert read_manifest(tmp_path) == WRITTEN


def changed(way, value):
    about = json.loads(TEXT)
    *outer, last = way
    inner = about
    for key in outer:
        inner = inner[key]
    inner[last] = value
    return json.dumps(about)


TRAIN = ("splits", "train")
FIRST = (*TRAIN, "shards", 0)


@pytest.mark.parametrize(
    ("way", "value", "message"),
    [
        (("format",), 1, "'format' of the manifest is 1"),
        (("format_version",), "1", "'format_version' of the manifest is '1'"),
        (("format_version",), 2, "another or a newer format"),
        (("sources",), {}, "'sources' of the manifest is {}"),
        (("sources", 0), "photographs", r"number 1 of 'sources' should be an object and is 'photographs'"),
        (("sources", 0, "val_fraction"), float("nan"), "one of its numbers is NaN"),
        (("sources", 0, "max_short_side_px"), 0, "'max_short_side_px' of number 1 of 'sources' is 0"),
        (("splits",), [], r"'splits' of the manifest is \[\]"),
        ((*TRAIN, "count"), True, "'count' of 'train' is True"),
        ((*TRAIN, "count"), 4, "'count' of 'train' is 4; it must be the 3 records of its shards"),
        ((*TRAIN, "mean_color"), [0.5, 0.5], "must be 3 numbers from 0 to 1"),
        ((*TRAIN, "mean_color"), [0.5, 0.5, 127], "\\[0.5, 0.5, 127\\]; it must be 3 numbers from 0 to 1"),
        ((*TRAIN, "mean_color"), [0.5, 0.5, float("inf")], "one of its numbers is Infinity"),
        ((*TRAIN, "short_side_px"), [60, 40, 512], "the smallest, the median and the largest"),
        ((*TRAIN, "shards"), [], "is 3; it must be the 0 records"),
        ((*FIRST, "file"), "../../etc/passwd", "a file's name without folders"),
        ((*FIRST, "file"), "/data/train.array_record", "a file's name without folders"),
        ((*FIRST, "file"), "C:\\train.array_record", "a file's name without folders"),
        ((*FIRST, "file"), "a\0.array_record", "a file's name without folders"),
        ((*FIRST, "file"), ["train.array_record"], r"is \['train.array_record'\]"),
        ((*FIRST, "bytes"), -1, "'bytes' of number 1 of 'shards' is -1"),
        ((*FIRST, "bytes"), 10**400, "'bytes' of number 1 of 'shards' is 1000"),
        ((*FIRST, "sha256"), "abc", "64 hexadecimal digits"),
        (("left_out", 0, "source"), 1, "'source' of number 1 of 'left_out' is 1"),
        (("left_out", 0, "reason"), None, "'reason' of number 1 of 'left_out' is None"),
    ],
)
def test_values_that_cannot_be(tmp_path, way, value, message):
    (tmp_path / MANIFEST).write_text(changed(way, value))
    with pytest.raises(UserError, match=message):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{", "[" * 100_000, '{"format": ' + "[" * 100_000, "\ufeff{}", "9" * 10_000, "\0\xff"]
)
def test_files_that_are_no_manifest(tmp_path, text):
    (tmp_path / MANIFEST).write_text(text, encoding="latin-1" if text.endswith("\xff") else "utf-8")
    with pytest.raises(UserError, match=r"is not a manifest \(.*\); prepare the data again"):
        read_manifest(tmp_path)


def test_every_missing_field_is_named(tmp_path):
    def ways(value, way=()):
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, child in inner:
            if isinstance(value, dict):
                yield (*way, key)
            yield from ways(child, (*way, key))

    for way in ways(json.loads(TEXT)):
        if way == TRAIN:
            continue
        about = json.loads(TEXT)
        inner = about
        for key in way[:-1]:
            inner = inner[key]
        del inner[way[-1]]
        (tmp_path / MANIFEST).write_text(json.dumps(about))
        if way[-1] == "split":
            assert read_manifest(tmp_path) == WRITTEN
            continue
        with pytest.raises(UserError, match=f"has no '{way[-1]}'"):
            read_manifest(tmp_path)
