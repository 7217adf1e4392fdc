"""Sources as people have them: zips, folders and patterns of archives, deep, flat and knotted folders."""

import io
import os
import struct
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile

import pytest

from glcic_jax.data.manifest import read_manifest
from glcic_jax.data.shards import open_split
from glcic_jax.errors import UserError
from glcic_jax.prepare import folders, zips
from glcic_jax.prepare.pipeline import prepare
from glcic_jax.prepare.plan import Settings
from glcic_jax.prepare.sources import open_source
from tests.support.paths import ROOT
from tests.support.pictures import encoded, photograph

ALL = Settings(val_fraction=0)


def entries(given):
    source = open_source(str(given))
    found = [*source.entries]
    source.close()
    return found


def names(given):
    return sorted(entry.name for entry in entries(given))


def reasons(manifest):
    return {file.name: file.reason for file in manifest.left_out}


def pictures(count, first=0):
    return {f"{index:03d}.jpg": encoded(photograph(index)) for index in range(first, first + count)}


def write_folder(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def write_tar(path, files):
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def write_zip(path, files, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def shards_in(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.array_record")}


@pytest.fixture
def as_folder(tmp_path):
    """What a preparation of twelve pictures as a folder gives."""
    prepare([str(write_folder(tmp_path / "folder", pictures(12)))], tmp_path / "expected", ALL)
    return shards_in(tmp_path / "expected")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_zip_gives_what_its_folder_gives(tmp_path, as_folder, method, workers):
    archive = write_zip(tmp_path / "a.zip", pictures(12), method)
    assert names(archive) == sorted(pictures(12))
    prepare([str(archive)], tmp_path / "out", ALL, workers)
    assert shards_in(tmp_path / "out") == as_folder


def test_folders_and_patterns_of_archives(tmp_path, as_folder):
    files = [*pictures(12).items()]
    (tmp_path / "shards").mkdir()
    write_tar(tmp_path / "shards" / "00000.tar", {f"a/{name}": data for name, data in files[:5]})
    write_tar(tmp_path / "shards" / "00001.tar", {**dict(files[5:8]), "0005.json": b"{}"})
    write_zip(tmp_path / "shards" / "rest.zip", dict(files[8:]))
    given = {"folder": tmp_path / "shards", "pattern": tmp_path / "shards" / "*.*"}
    for name, source in given.items():
        manifest = prepare([str(source)], tmp_path / name, ALL)
        assert shards_in(tmp_path / name) == as_folder
        assert reasons(manifest) == {"00001.tar/0005.json": "not named like an image"}
    assert names(given["folder"]) == names(given["pattern"])
    assert "00000.tar/a/000.jpg" in names(given["folder"])
    with pytest.raises(UserError, match=r"no source .*nothing.*tar"):
        open_source(str(tmp_path / "nothing" / "*.tar"))


def test_strange_members_of_a_zip(tmp_path):
    picture = encoded(photograph(1))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("folder/", b"")
        archive.writestr("win\\dows\\1.jpg", picture)
        archive.writestr("../../climbs.jpg", encoded(photograph(2)))
        archive.writestr("名前.jpg", encoded(photograph(3)))
        archive.writestr("__MACOSX/._1.jpg", b"\0\5\x16\7")
        archive.writestr("inner.zip", b"PK\3\4")
        link = zipfile.ZipInfo("link.jpg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("lzma.jpg", picture, zipfile.ZIP_LZMA)
        archive.writestr("flat.bmp", b"BM" + bytes(70 * 2**20), zipfile.ZIP_DEFLATED)
        archive.writestr("damaged.jpg", picture)
    data = bytearray((tmp_path / "a.zip").read_bytes())
    at = data.index(b"damaged.jpg") + 40  # in its local copy
    data[at] ^= 255
    (tmp_path / "a.zip").write_bytes(data)
    manifest = prepare([str(tmp_path / "a.zip")], tmp_path / "out", ALL)
    assert manifest.splits["train"].count == 3
    assert {"win/dows/1.jpg", "climbs.jpg", "名前.jpg"} <= set(names(tmp_path / "a.zip"))
    for name, reason in {
        "__MACOSX/._1.jpg": "a note of macOS",
        "inner.zip": "an archive inside an archive",
        "link.jpg": "a link",
        "lzma.jpg": "number 14",
        "flat.bmp": "made to do harm",
        "damaged.jpg": "another checksum",
    }.items():
        assert reason in reasons(manifest)[name]


def test_zips_that_are_made_to_do_harm(tmp_path):
    """Members that lie upon each other, that expand to more than they say, and lists that are none."""
    path = write_zip(tmp_path / "a.zip", {"1.jpg": os.urandom(10_000), "2.jpg": os.urandom(10_000)})
    with zipfile.ZipFile(path) as archive:
        place = archive.start_dir
    data = path.read_bytes()
    entry = data[place : data.index(b"PK\1\2", place + 4)]
    upon = data[:place] + entry * 3
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 3, 3, 3 * len(entry), place, 0)
    (tmp_path / "upon.zip").write_bytes(upon + end)
    with pytest.raises(UserError, match="lie upon each other"):
        open_source(str(tmp_path / "upon.zip"))

    path = write_zip(tmp_path / "more.zip", {"1.jpg": bytes(200_000)})
    data = bytearray(path.read_bytes())
    for marker, offset in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        at = data.index(marker) + offset
        data[at : at + 4] = (1000).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(OSError, match="expands to more than the 1000 bytes"):
        entries(path)[0].read()
    for damaged in (b"PK\3\4", b"PK\5\6" + bytes(10), b"PK\3\4" + os.urandom(500)):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="no zip archive that can be read"):
            open_source(str(path))


def test_an_archive_in_a_folder_that_cannot_be_read_is_named(tmp_path):
    folder = write_folder(tmp_path / "folder", {**pictures(2), "broken.zip": b"PK\3\4", "page.tar": b"<html>"})
    write_tar(folder / "cut.tar", pictures(2, 50))
    (folder / "cut.tar").write_bytes((folder / "cut.tar").read_bytes()[:3000])
    manifest = prepare([str(folder)], tmp_path / "out", ALL)
    assert manifest.splits["train"].count >= 2
    assert "an archive that cannot be read" in reasons(manifest)["broken.zip"]
    assert "an archive that cannot be read" in reasons(manifest)["page.tar"]
    assert "breaks off in the middle" in reasons(manifest)["cut.tar/(the archive's end)"]


def test_one_picture_is_no_source(tmp_path):
    (tmp_path / "1.jpg").write_bytes(encoded(photograph(1)))
    with pytest.raises(UserError, match="give a folder of photographs"):
        open_source(str(tmp_path / "1.jpg"))


def test_hard_links_are_read_where_they_point(tmp_path):
    """Tools that store equal files once name them by their content; the pictures' names are links to those."""
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for index in range(3):
            data = encoded(photograph(index))
            info = tarfile.TarInfo(f"objects/{index:064x}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
            link = tarfile.TarInfo(f"train/{index}.jpg")
            link.type, link.linkname = tarfile.LNKTYPE, f"objects/{index:064x}"
            archive.addfile(link)
    manifest = prepare([str(tmp_path / "a.tar")], tmp_path / "out", ALL)
    records = open_split(tmp_path / "out", manifest, "train")
    assert sorted(records) == sorted(encoded(photograph(index)) for index in range(3))


def test_partial_files_are_not_taken_in(tmp_path):
    folder = write_folder(tmp_path / "folder", pictures(2))
    (folder / ".partial-abc.jpg").write_bytes(encoded(photograph(7)))
    (folder / ".partial-folder").mkdir()
    (folder / ".partial-folder" / "1.jpg").write_bytes(encoded(photograph(8)))
    assert names(folder) == ["000.jpg", "001.jpg"]


def test_nested_deeper_than_the_stack(tmp_path):
    home = os.open(".", os.O_RDONLY)
    folder = tmp_path / "deep"
    folder.mkdir()
    try:
        os.chdir(folder)
        for _ in range(1_100):
            os.mkdir("d")  # noqa: PTH102 (from folder to folder)
            os.chdir("d")
        with open("1.jpg", "wb") as file:  # noqa: PTH123
            file.write(encoded(photograph(1)))
    finally:
        os.fchdir(home)
        os.close(home)
    assert names(folder) == ["d/" * 1_100 + "1.jpg"]


def test_links_that_loop_and_double(tmp_path):
    """Thirty folders, each with two links to the next, are 2^30 ways; every folder is read once."""
    for level in range(30):
        (tmp_path / "knot" / str(level)).mkdir(parents=True)
        (tmp_path / "knot" / str(level) / "1.jpg").write_bytes(encoded(photograph(level)))
        for link in ("a", "b"):
            (tmp_path / "knot" / str(level) / link).symlink_to(tmp_path / "knot" / str((level + 1) % 30))
    found = entries(tmp_path / "knot")
    assert sorted(entry.name for entry in found if not entry.reason) == sorted(f"{n}/1.jpg" for n in range(30))
    assert {entry.reason for entry in found if entry.reason} == {"a link to a folder that is read under another name"}
    assert len(found) == 90
    outside = write_folder(tmp_path / "outside", pictures(2))
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "linked").symlink_to(outside)
    assert names(tmp_path / "inside") == ["linked/000.jpg", "linked/001.jpg"]


def test_flat_folders_are_sorted_on_disk(tmp_path, monkeypatch):
    expected = []
    for index in range(5_000):
        (tmp_path / f"{index * 7919 % 5_000}.jpg").touch()
    expected = sorted(f"{index}.jpg" for index in range(5_000))
    assert [name for name, _ in ((os.path.basename(p), q) for p, q in folders.walk(str(tmp_path)))] == expected  # noqa: PTH119
    monkeypatch.setattr(folders, "_IN_MEMORY", 100)
    tracemalloc.start()
    found = sum(1 for _ in folders.walk(str(tmp_path)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == 5_000 and peak / 5_000 < 40
    assert [os.path.basename(path) for path, _ in folders.walk(str(tmp_path))] == expected  # noqa: PTH119


def test_a_long_list_is_read_line_by_line(tmp_path):
    """Forty megabytes of names in an archive, compressed or not, take a few in memory."""
    text = b"".join(b"train/%09d.jpg 1\n" % index for index in range(2_000_000))
    path = write_tar(tmp_path / "a.tar", {"train.txt": text, "1.jpg": encoded(photograph(1))})
    program = (
        "import resource, sys, pathlib;"
        "from glcic_jax.prepare.pipeline import prepare; from glcic_jax.prepare.plan import Settings;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "prepare([sys.argv[1]], pathlib.Path(sys.argv[2]), Settings());"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    command = [sys.executable, "-c", program, str(path), str(tmp_path / "out")]
    grown_kib = int(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    assert grown_kib < 30_000
    assert read_manifest(tmp_path / "out").splits["train"].count == 1


@pytest.mark.parametrize("locale", [{"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}])
def test_names_do_not_depend_on_the_locale(tmp_path, locale):
    folder = write_folder(tmp_path / "folder", {"名前.jpg": encoded(photograph(1)), "leer.jpg": b""})
    write_tar(folder / "アーカイブ.tar", {"имя.jpg": encoded(photograph(2)), "кот.jpg": b""})
    with open(os.fsencode(folder) + b"/caf\xe9.jpg", "wb") as file:  # noqa: PTH123 (no Path has such a name)
        file.write(b"")
    here = prepare([str(folder)], tmp_path / "here", Settings())
    command = [
        sys.executable,
        "launch/prepare.py",
        f"--source={folder}",
        f"--output={tmp_path / 'there'}",
        "--workers=1",
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, env={**os.environ, **locale})
    assert result.returncode == 0, result.stderr
    assert read_manifest(tmp_path / "there") == here
    assert [file.name for file in here.left_out] == ["caf\\xe9.jpg", "leer.jpg", "アーカイブ.tar/кот.jpg"]


def test_limits_are_said(tmp_path, monkeypatch):
    monkeypatch.setattr(zips, "_FREE_BYTES", 100)
    path = write_zip(tmp_path / "a.zip", {"1.bmp": bytes(100_000)})
    assert "expands from" in entries(path)[0].reason
