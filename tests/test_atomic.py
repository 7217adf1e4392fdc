"""Nothing appears under its final name before it is whole."""

import pytest

from glcic_jax.atomic import atomic_file, atomic_folder
from glcic_jax.errors import UserError


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


def test_a_missing_parent(tmp_path):
    for atomic in (atomic_file, atomic_folder):
        with pytest.raises(UserError, match="does not exist; create it first"), atomic(tmp_path / "no" / "x.png"):
            pass
