"""Files and folders that appear under their final name only when they are whole."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from glcic_jax.errors import UserError

# Reading it means setting it: once, before there are threads.
_UMASK = os.umask(0)
os.umask(_UMASK)


def require_parent(path: Path) -> Path:
    """The folder that `path` will stand in. Raises: UserError if it does not exist."""
    parent = path.absolute().parent
    if not parent.is_dir():
        raise UserError(f"cannot write {path}: the folder {parent} does not exist; create it first")
    return parent


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; what was written there becomes `path` if the block succeeds.

    The temporary name ends like the final one, since libraries choose formats by it.
    Raises: UserError if the parent folder is missing or cannot be written to.
    """
    parent = require_parent(path)
    try:
        handle, name = tempfile.mkstemp(prefix=".partial-", suffix=path.suffix, dir=parent)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; choose another place") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_UMASK)  # mkstemp's files are private; these are ordinary ones
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder beside `path`; it takes the place of `path` if the block succeeds.

    Raises: UserError if the parent folder is missing.
    """
    parent = require_parent(path)
    temporary = Path(tempfile.mkdtemp(prefix=".partial-", dir=parent))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_UMASK)
        if path.exists():  # a folder cannot be replaced in one call: move the old one aside first
            old = Path(tempfile.mkdtemp(prefix=".old-", dir=parent))
            path.rename(old / path.name)
            temporary.rename(path)
            shutil.rmtree(old)
        else:
            temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
