"""Many files left out: counts and examples in the manifest, each with its reason in the list beside it."""

import json

from glcic_jax.data.manifest import (
    LEFT_OUT_LIST,
    MANIFEST,
    LeftOut,
    Manifest,
    PreparedSource,
    read_manifest,
    write_manifest,
)
from glcic_jax.prepare.archives import THE_END
from glcic_jax.prepare.left_out import MOST_IN_MANIFEST, LeftOutFiles, add_to_manifest, count_kinds
from glcic_jax.prepare.pipeline import prepare
from glcic_jax.prepare.plan import Settings
from tests.support.pictures import encoded, photograph

SOURCE = PreparedSource("photos", None, 0.02, 512, 32)


def files(count, source=0):
    for index in range(count):
        reason = ("the file is empty", f"same bytes as {index}.png", "not named like an image")[index % 3]
        yield LeftOut(source, f"folder/with/a/rather/long/path/to/the/file/{index:07d}.jpg", reason)


def listed(folder):
    return [LeftOut(**json.loads(line)) for line in (folder / LEFT_OUT_LIST).read_text().splitlines()]


def test_two_hundred_thousand(tmp_path):
    with LeftOutFiles() as left_out:
        left_out.add(files(200_000))
        left_out.add([LeftOut(0, f"a.tar/{THE_END}", "the archive breaks off in the middle")])
        manifest = add_to_manifest(Manifest(sources=(SOURCE,)), left_out, 0, tmp_path)
    write_manifest(tmp_path, manifest)
    assert (tmp_path / MANIFEST).stat().st_size < 10**6
    found = read_manifest(tmp_path)
    assert found == manifest and found.left_out_count == 200_001
    assert sum(count_kinds(found).values()) == 200_001
    assert count_kinds(found)["same bytes ..."] == 66_667
    assert LeftOut(0, f"a.tar/{THE_END}", "the archive breaks off in the middle") in found.left_out
    assert {file.reason[:10] for file in found.left_out} >= {"the file i", "same bytes", "not named "}
    assert sorted(file.name for file in listed(tmp_path)) == sorted(
        [f"a.tar/{THE_END}", *(file.name for file in files(200_000))]
    )


def test_lists_grow_with_added_splits_even_after_a_kill(tmp_path):
    manifest = Manifest(sources=(SOURCE,))
    first = add_to_manifest(manifest, [*files(MOST_IN_MANIFEST)], 0, tmp_path)
    assert not first.left_out_kinds and len(first.left_out) == MOST_IN_MANIFEST
    assert not (tmp_path / LEFT_OUT_LIST).exists()
    two = Manifest(sources=(SOURCE, SOURCE), left_out=first.left_out)
    for _ in range(2):  # killed before the manifest was written
        second = add_to_manifest(two, [*files(100)], 1, tmp_path)
        assert second.left_out_count == MOST_IN_MANIFEST + 100 == len(listed(tmp_path))
    for _ in range(2):
        third = add_to_manifest(second, [*files(50)], 1, tmp_path)
        assert third.left_out_count == MOST_IN_MANIFEST + 150 == len(listed(tmp_path))
    assert listed(tmp_path)[-1].source == 1


def test_reasons_of_any_length_and_number(tmp_path):
    strange = [
        LeftOut(0, "x" * 4000, "".join(chr(65 + index % 26) for index in range(k, k + 3000))) for k in range(3000)
    ]
    write_manifest(tmp_path, add_to_manifest(Manifest(sources=(SOURCE,)), strange, 0, tmp_path))
    assert (tmp_path / MANIFEST).stat().st_size < 10**6
    assert read_manifest(tmp_path).left_out_count == 3000


def test_through_the_whole_preparation(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "good.jpg").write_bytes(encoded(photograph(1)))
    for index in range(MOST_IN_MANIFEST + 1):
        (tmp_path / "photos" / f"{index}.jpg").touch()
    manifest = prepare([str(tmp_path / "photos")], tmp_path / "out", Settings())
    assert manifest == read_manifest(tmp_path / "out")
    assert dict(manifest.left_out_kinds) == {"the file is empty": MOST_IN_MANIFEST + 1}
    assert len(listed(tmp_path / "out")) == MOST_IN_MANIFEST + 1
