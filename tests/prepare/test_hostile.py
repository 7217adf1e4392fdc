"""A corpus of hostile files, from folders and archives: every good one in, every bad one named with its reason."""

import contextlib
import gzip
import io
import tarfile

import zstandard

from glcic_jax.prepare.archives import THE_END
from glcic_jax.prepare.pipeline import prepare
from glcic_jax.prepare.plan import Settings
from glcic_jax.prepare.sources import open_source
from tests.support.hostile import bad_files, good_files, make_folder
from tests.support.pictures import encoded, photograph


def reasons(manifest):
    return {file.name: file.reason for file in manifest.left_out}


def names_in(path):
    source = open_source(str(path))
    with contextlib.closing(source):
        return [entry.name for entry in source.entries]


def flipped(data, place):
    changed = bytearray(data)
    changed[place] ^= 255
    return bytes(changed)


def check(manifest, good, bad):
    found = reasons(manifest)
    assert sorted(found) == sorted(bad)
    for name, reason in bad.items():
        assert found[name] and reason in found[name], name
    assert manifest.splits["train"].count == len(good)


def test_a_folder(tmp_path):
    good, bad = make_folder(tmp_path / "hostile")
    assert len(good) >= 30 and len(good) + len(bad) >= 40
    assert sorted(names_in(tmp_path / "hostile")) == sorted([*good, *bad])
    check(prepare([str(tmp_path / "hostile")], tmp_path / "out", Settings(val_fraction=0)), good, bad)


def test_a_tar_with_strange_members(tmp_path):
    contents = good_files() | {name: data for name, (data, _) in bad_files().items()}
    good, bad = make_folder(tmp_path / "unused")
    for name in ("loop", "deep/self", "nowhere.jpg", "pipe.jpg"):
        del bad[name]
    good.remove("caf\\xe9.jpg")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:

        def add(name, data=b"", kind=tarfile.REGTYPE, target=""):
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(data), kind, target
            archive.addfile(info, io.BytesIO(data))

        for name, data in contents.items():
            add(f"./{name}", data)
        add("folder", kind=tarfile.DIRTYPE)
        add("link.jpg", kind=tarfile.SYMTYPE, target="/etc/passwd")
        add("hard link.jpg", kind=tarfile.LNKTYPE, target="./a.bmp")
        add("hard link to nothing.jpg", kind=tarfile.LNKTYPE, target="./gone.jpg")
        add("device.jpg", kind=tarfile.CHRTYPE)
        add("pipe.jpg", kind=tarfile.FIFOTYPE)
        add("../../climbs.jpg", encoded(photograph(1)))
        add("/absolute.jpg", encoded(photograph(2)))
        add("x" * 300 + ".jpg", encoded(photograph(3)))
    good.add("x" * 300 + ".jpg")
    bad |= {
        "link.jpg": "a link to /etc/passwd",
        "hard link to nothing.jpg": "a hard link to ./gone.jpg",
        "device.jpg": "a device",
        "pipe.jpg": "a device or pipe",
    }
    # Names with which tar -P packs, that lead out of the archive, lose what leads out, as when tar unpacks them.
    good |= {"climbs.jpg", "absolute.jpg"}
    plain = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tgz").write_bytes(gzip.compress(plain, 1))
    (tmp_path / "a.tar.zst").write_bytes(zstandard.compress(plain, 1))
    sets = [
        prepare([str(tmp_path / name)], tmp_path / f"out-{name}", Settings(val_fraction=0))
        for name in ("a.tar", "a.tgz", "a.tar.zst")
    ]
    for manifest, link in zip(
        sets, ("same bytes as a.bmp", *["a hard link to ./a.bmp, which has passed by"] * 2), strict=True
    ):
        check(manifest, good, bad | {"hard link.jpg": link})
        assert manifest.splits == sets[0].splits


def test_archives_that_break_off(tmp_path):
    """Wherever a tar is cut, what came before is in, and the end is in the report; with every compression."""
    with tarfile.open(tmp_path / "whole.tar", "w") as archive:
        for index in range(150):
            data = encoded(photograph(index))
            info = tarfile.TarInfo(f"{index}.jpg")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    with tarfile.open(tmp_path / "whole.tar") as archive:
        ends = [member.offset_data + -(-member.size // 512) * 512 for member in archive]
    whole = (tmp_path / "whole.tar").read_bytes()
    cuts = {
        "in a member.tar": whole[: ends[3] + 700],
        "in a header.tar": whole[: ends[3] + 100],
        "between members.tar": whole[: ends[3]],
        "a destroyed header.tar": whole[: ends[3]] + bytes(range(256)) * 2 + whole[ends[3] + 512 :],
        "cut.tar.gz": gzip.compress(whole)[:-9000],
        "cut.tar.zst": zstandard.compress(whole)[:-9000],
        "flipped.tar.gz": flipped(gzip.compress(whole), -9000),
    }
    for name, data in cuts.items():
        (tmp_path / name).write_bytes(data)
        manifest = prepare([str(tmp_path / name)], tmp_path / "out" / name, Settings(val_fraction=0))
        assert "breaks off in the middle" in reasons(manifest)[THE_END], name
        count = manifest.splits["train"].count
        assert count == 4 if name.endswith(".tar") else 4 < count <= 150, name
    assert names_in(tmp_path / "whole.tar") == [f"{index}.jpg" for index in range(150)]
