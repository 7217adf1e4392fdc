"""Nothing appears under its final name before it is whole, and nothing of others is lost."""

import os

import pytest

from glcic_jax.errors import UserError
from glcic_jax.system.atomic import atomic_file, atomic_folder


def test_a_file_that_fails_leaves_the_old_one(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_file(path) as partial:
        partial.write_text("new")
        raise RuntimeError
    assert path.read_text() == "old"
    with atomic_file(path) as partial:
        assert partial.suffix == ".txt"
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_fails_leaves_the_old_one(tmp_path):
    path = tmp_path / "model"
    for text in ("first", "second"):
        with atomic_folder(path) as partial:
            (partial / "file").write_text(text)
        assert (path / "file").read_text() == text
    with pytest.raises(RuntimeError), atomic_folder(path) as partial:
        (partial / "file").write_text("third")
        raise RuntimeError
    assert (path / "file").read_text() == "second"
    assert list(tmp_path.iterdir()) == [path]


def test_what_others_put_there_stays(tmp_path):
    path = tmp_path / "model"
    (path / "notes").mkdir(parents=True)
    for name in ("file", "stale", "notes/mine", ".hidden"):
        (path / name).write_text("old")
    (path / "link").symlink_to("notes")
    with atomic_folder(path, lambda inside: str(inside) in ("file", "stale")) as partial:
        (partial / "file").write_text("new")
    assert sorted(p.name for p in path.iterdir()) == [".hidden", "file", "link", "notes"]
    assert (path / "file").read_text() == "new" and (path / "notes" / "mine").read_text() == "old"
    assert (path / "link").is_symlink()


def test_links_stay_links(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "x.txt").write_text("old")
    (tmp_path / "folder").symlink_to("disk")
    (tmp_path / "file").symlink_to("disk/x.txt")
    with atomic_file(tmp_path / "file") as partial:
        partial.write_text("new")
    assert (tmp_path / "file").is_symlink() and (tmp_path / "disk" / "x.txt").read_text() == "new"
    with atomic_folder(tmp_path / "folder") as partial:
        (partial / "y.txt").write_text("whole")
    assert (tmp_path / "folder").is_symlink() and [p.name for p in (tmp_path / "disk").iterdir()] == ["y.txt"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")
def test_rights(tmp_path):
    """By default what the system allows; beside a private file nobody may read more."""
    old = os.umask(0o027)
    try:
        (tmp_path / "private").write_text("")
        (tmp_path / "private").chmod(0o600)
        for name, like in (("a", None), ("b", tmp_path / "private")):
            with atomic_file(tmp_path / name, like) as partial:
                partial.write_text("")
        with atomic_folder(tmp_path / "c"):
            pass
    finally:
        os.umask(old)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in "abc"] == [0o640, 0o600, 0o750]


def test_a_missing_parent(tmp_path):
    for atomic in (atomic_file, atomic_folder):
        with pytest.raises(UserError, match="does not exist; create it first"), atomic(tmp_path / "no" / "x.png"):
            pass
