"""Shards: what earlier versions wrote is read byte for byte."""

import hashlib

from glcic_jax.data.manifest import read_manifest
from glcic_jax.data.shards import find_damage, open_split
from tests.support.paths import FIXTURES


def test_a_set_of_version_0_1():
    folder = FIXTURES / "shards_0_1"
    manifest = read_manifest(folder)
    assert find_damage(folder, manifest) == []
    records = open_split(folder, manifest, "val")
    assert [hashlib.sha256(records[i]).hexdigest()[:16] for i in range(len(records))] == [
        "1f592eed31ec79fc",
        "89019311e60f1b08",
        "8aa5e460c0817d47",
    ]
    assert [(file.name, file.reason) for file in manifest.left_out] == [
        ("page.jpg", "not an image, or of an unknown kind")
    ]
