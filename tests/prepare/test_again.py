"""Preparing once more: what was there is known again by its files, not by its name; lists may change on the way."""

import dataclasses
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from glcic_jax.data.manifest import read_manifest, write_manifest
from glcic_jax.errors import UserError
from glcic_jax.prepare import blocks as blocks_module
from glcic_jax.prepare import merge as merge_module
from glcic_jax.prepare.pipeline import SPOOL, Earlier, Part, compare_with_earlier, merge, prepare, spool_part
from glcic_jax.prepare.plan import Settings
from tests.support.paths import ROOT
from tests.support.pictures import encoded, photograph


def write_pictures(folder, indices):
    folder.mkdir(parents=True, exist_ok=True)
    for index in indices:
        (folder / f"{index}.jpg").write_bytes(encoded(photograph(index)))
    return str(folder)


def counts(manifest):
    return {name: split.count for name, split in manifest.splits.items()}


def test_added_pictures_and_other_folders_of_the_name_are_noticed(tmp_path):
    source = write_pictures(tmp_path / "photos", range(10))
    manifest = prepare([source], tmp_path / "out", Settings())
    assert counts(prepare([source], tmp_path / "out", Settings())) == {"train": 9, "val": 1}
    assert compare_with_earlier([source], tmp_path / "out", Settings()) is Earlier.SAME
    other = write_pictures(tmp_path / "other" / "photos", range(20, 30))
    with pytest.raises(UserError, match=r"was made from another 'photos', or .* delete the output first or choose"):
        prepare([other], tmp_path / "out", Settings())
    write_pictures(tmp_path / "photos", range(10, 12))
    with pytest.raises(UserError, match=r"or from this one when other files were in it"):
        prepare([source], tmp_path / "out", Settings())
    assert read_manifest(tmp_path / "out") == manifest


def test_the_command_says_so(tmp_path):
    source = write_pictures(tmp_path / "photos", range(3))
    command = [sys.executable, "launch/prepare.py", f"--source={source}", f"--output={tmp_path / 'out'}", "--workers=1"]
    run = lambda: subprocess.run(command, cwd=ROOT, capture_output=True, text=True)  # noqa: E731
    assert run().returncode == 0
    assert "nothing to do" in run().stdout
    write_pictures(tmp_path / "photos", [7])
    again = run()
    assert again.returncode == 2 and "when other files were in it" in again.stderr


def test_archives_are_known_by_size_and_time(tmp_path):
    write_pictures(tmp_path / "photos", range(4))
    archive = shutil.make_archive(str(tmp_path / "a"), "tar", tmp_path / "photos")
    prepare([archive], tmp_path / "out", Settings())
    assert compare_with_earlier([archive], tmp_path / "out", Settings()) is Earlier.SAME
    os.utime(archive, (1, 1))
    with pytest.raises(UserError, match=r"another 'a.tar'"):
        compare_with_earlier([archive], tmp_path / "out", Settings())


def test_sets_of_earlier_versions_have_no_identity(tmp_path):
    source = write_pictures(tmp_path / "photos", range(4))
    manifest = prepare([source], tmp_path / "out", Settings())
    old = tuple(dataclasses.replace(entry, identity="") for entry in manifest.sources)
    write_manifest(tmp_path / "out", dataclasses.replace(manifest, sources=old))
    assert compare_with_earlier([source], tmp_path / "out", Settings()) is Earlier.PERHAPS_SAME


class Killed(BaseException):
    """What nobody catches."""


def test_lists_may_be_edited_before_the_work_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks_module, "BLOCK_FILES", 2)
    source = write_pictures(tmp_path / "photos", range(8))
    lists = tmp_path / "photos"
    (lists / "train.txt").write_text("".join(f"{i}.jpg\n" for i in range(8)))
    done = []

    def killed_at_the_third(share, files):
        done.append(share)
        if len(done) == 3:
            raise Killed

    with pytest.raises(Killed):
        spool_part([source], tmp_path / "out", Settings(), Part(), 0, killed_at_the_third)
    (lists / "train.txt").write_text("".join(f"{i}.jpg\n" for i in range(6)))
    (lists / "val.txt").write_text("6.jpg\n7.jpg\n")
    manifest = prepare([source], tmp_path / "out", Settings())
    assert counts(manifest) == {"train": 6, "val": 2}


def test_lists_must_not_be_edited_once_shards_are_written(tmp_path, monkeypatch):
    source = write_pictures(tmp_path / "photos", range(8))
    (tmp_path / "photos" / "val.txt").write_text("6.jpg\n7.jpg\n")
    original = merge_module.write_manifest

    def killed(*arguments):
        raise Killed

    monkeypatch.setattr(merge_module, "write_manifest", killed)
    with pytest.raises(Killed):
        prepare([source], tmp_path / "out", Settings())
    monkeypatch.setattr(merge_module, "write_manifest", original)
    (tmp_path / "photos" / "val.txt").write_text("1.jpg\n")
    with pytest.raises(UserError, match=r"have changed since .* was begun; delete"):
        prepare([source], tmp_path / "out", Settings())
    (tmp_path / "photos" / "val.txt").write_text("6.jpg\n7.jpg\n")
    assert counts(prepare([source], tmp_path / "out", Settings())) == {"train": 6, "val": 2}


def test_small_pictures_name_the_option(tmp_path):
    (tmp_path / "mnist").mkdir()
    for index in range(3):
        (tmp_path / "mnist" / f"{index}.png").write_bytes(encoded(photograph(index, 28, 28), "PNG"))
    with pytest.raises(
        UserError, match=r"only 28 x 28 px, less than min_short_side_px=32; take smaller images with --min"
    ):
        prepare([str(tmp_path / "mnist")], tmp_path / "out", Settings())
    settings = Settings(min_short_side_px=16)
    assert sum(counts(prepare([str(tmp_path / "mnist")], tmp_path / "out", settings)).values()) == 3


def test_twelve_bits_are_noted(tmp_path):
    (tmp_path / "scans").mkdir()
    for index in range(2):
        grey = np.linspace(0, 4080, 48 * 48).astype(np.uint16).reshape(48, 48) + index
        Image.fromarray(grey).save(tmp_path / "scans" / f"{index}.tif")
    manifest = prepare([str(tmp_path / "scans")], tmp_path / "out", Settings("train"))
    assert manifest.splits["train"].mean_color == pytest.approx((0.5, 0.5, 0.5), abs=0.01)
    assert manifest.notes == (
        "2 16-bit files were read with white at 4,095: they hold nothing lighter (such as '0.tif')",
    )


def test_parts_made_on_hosts_with_copies_of_their_own(tmp_path):
    """Archives copied to each host have other times; what is in them is the same."""
    write_pictures(tmp_path / "photos", range(6))
    for number in range(2):
        host = tmp_path / str(number)
        host.mkdir()
        archive = shutil.make_archive(str(host / "a"), "tar", tmp_path / "photos")
        os.utime(archive, (number, number))
        spool_part([archive], tmp_path / "out", Settings("train"), Part(number, 2), 0, lambda *_: None)
    assert (tmp_path / "out" / SPOOL).exists()
    assert counts(merge(tmp_path / "out", 0, lambda *_: None)) == {"train": 6}
