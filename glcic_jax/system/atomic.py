"""Files and folders that appear under their final name only when they are whole."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from glcic_jax.errors import UserError

PARTIAL_PREFIX = ".partial-"
"""How the names of what is not whole yet begin; a kill can leave such behind."""


def require_parent(path: Path) -> Path:
    """The folder that `path` will stand in. Raises: UserError if it does not exist."""
    parent = path.absolute().parent
    if not parent.is_dir():
        raise UserError(f"cannot write {path}: the folder {parent} does not exist; create it first")
    return parent


@contextlib.contextmanager
def atomic_file(path: Path, readable_like: Path | None = None) -> Iterator[Path]:
    """Yields a temporary path beside `path`; what was written there becomes `path` if the block succeeds.

    The temporary name ends like the final one, since libraries choose formats by it. Where `path` is a symbolic link,
    the file that it points to is written.

    Args:
        path: the file.
        readable_like: a file that no fewer people may read than the new one; by default what the system allows.

    Raises: UserError if the parent folder is missing or cannot be written to.

    """
    path = _behind_link(path)
    temporary = _temporary_name(path, path.suffix)
    try:
        mode = 0o666 if readable_like is None else readable_like.stat().st_mode & 0o666 | 0o600
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; choose another place") from error
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path, is_replaced: Callable[[Path], bool] = lambda inside: True) -> Iterator[Path]:
    """Yields a temporary folder beside `path`; it takes the place of `path` if the block succeeds.

    Args:
        path: the folder; where it is a symbolic link, the folder that it points to.
        is_replaced: which files of an older folder, by their path inside it, the new one replaces; all others stay.

    Raises: UserError if the parent folder is missing or cannot be written to.

    """
    path = _behind_link(path)
    temporary = _temporary_name(path, "")
    try:
        temporary.mkdir()
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; choose another place") from error
    try:
        yield temporary
        if path.exists():  # a folder cannot be replaced in one call: move the old one aside first
            _take_along(path, temporary, is_replaced)
            old = path.with_name(f".old-{secrets.token_hex(4)}")
            path.rename(old)
            temporary.rename(path)
            shutil.rmtree(old)
        else:
            temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _behind_link(path: Path) -> Path:
    if path.is_symlink():
        path = path.resolve()
    require_parent(path)
    return path


def _temporary_name(path: Path, suffix: str) -> Path:
    """Beside the path, and short, whatever the length of its name."""
    return path.absolute().with_name(f"{PARTIAL_PREFIX}{secrets.token_hex(4)}{suffix}")


def _take_along(old: Path, new: Path, is_replaced: Callable[[Path], bool]) -> None:
    """Puts files of the old folder into the new one, all but those that it replaces or has itself."""
    for folder, folders, files in os.walk(old):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in [*files, *links]:
            file = Path(folder) / name
            inside = file.relative_to(old)
            if is_replaced(inside) or (new / inside).exists():
                continue
            (new / inside).parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(file, new / inside, follow_symlinks=False)
            except OSError:  # a file system without hard links
                shutil.copy2(file, new / inside, follow_symlinks=False)
