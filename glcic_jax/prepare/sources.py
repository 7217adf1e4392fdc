"""Where photographs come from: folders, archives, folders and patterns of archives, and standard input.

Of folders, plain tars and zips the entries only say where the bytes are, and whoever needs them reads them; the data of
a compressed or piped archive can be had only while its entry is the current one.
"""

import contextlib
import glob
import hashlib
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from glcic_jax.errors import UserError
from glcic_jax.prepare import folders
from glcic_jax.prepare.archives import TAR_SUFFIXES, open_tar
from glcic_jax.prepare.entries import Entry, printable_path
from glcic_jax.prepare.zips import is_zip, open_zip

STANDARD_INPUT = "-"
ARCHIVE_SUFFIXES = (*TAR_SUFFIXES, ".zip")


class Source(NamedTuple):
    """An open folder or archive.

    total: files or bytes in all, the last entry's position; None if nobody can know.
    entries: every file, in an order that depends on the source alone.
    close: to be called in the end.
    """

    total: int | None
    entries: Iterator[Entry]
    close: Callable[[], None]


def name_of(given: str) -> str:
    """What the manifest calls a source: the name of the folder, archive or pattern, without the way to it."""
    return given if given == STANDARD_INPUT else printable_path(Path(given).absolute().resolve().name)


def identity_of(given: str) -> str:
    """A checksum by which a source is known again: of its files' names, sizes and times; "" for standard input.

    Raises: UserError if there is no such source.
    """
    if given == STANDARD_INPUT:
        return ""
    digest = hashlib.sha256()
    for path, name, _ in _files(given):
        with contextlib.suppress(OSError):  # what cannot be read has a name all the same
            about = os.stat(path)  # noqa: PTH116 (names that are no valid text)
            name += f"\0{about.st_size}\0{about.st_mtime_ns}"
        digest.update(name.encode() + b"\0\n")
    return digest.hexdigest()


def open_source(given: str) -> Source:
    """A folder tree, an archive (tar, also .gz, .bz2, .xz, .zst, or zip), a pattern of such, or "-": standard input.

    Archives inside a folder are read as if they were folders.

    Raises: UserError if there is no such thing, or if it is neither.
    """
    if given == STANDARD_INPUT:
        _, entries = open_tar(sys.stdin.buffer, "standard input", piped=True)
        return Source(None, entries, lambda: None)
    if Path(given).exists() and not Path(given).is_dir():
        return _open_archive(given)
    total = sum(1 for _ in _files(given))
    return Source(total, _entries(given), lambda: None)


def is_archive_name(name: str) -> bool:
    """Whether a file of that name is taken for an archive."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def _open_archive(path: str) -> Source:
    """Raises: UserError."""
    try:
        about = os.stat(path)  # noqa: PTH116 (names that are no valid text)
        file = open(path, "rb")  # noqa: PTH123, SIM115 (as above; closed below)
    except OSError as error:
        raise UserError(
            f"no source {path} ({error.strerror}); give a folder of photographs or an archive of them"
        ) from error
    piped = not stat.S_ISREG(about.st_mode)  # a named pipe
    if not piped and is_zip(file.read(4)):
        file.close()
        count, entries = open_zip(path)
        return Source(count, entries, lambda: None)
    if not piped:
        file.seek(0)
    archive, entries = open_tar(file, path, piped)

    def close() -> None:
        archive.close()
        file.close()

    return Source(None if piped else about.st_size, entries, close)


def _files(given: str) -> Iterator[tuple[str, str, str]]:
    """(path, name, problem) of the files of a folder or a pattern, and of an archive itself. Raises: UserError."""
    if Path(given).is_dir():
        yield from _files_below(given, given)
    elif Path(given).exists():
        yield given, name_of(given), ""
    elif matches := sorted(glob.glob(given, recursive=True)):  # noqa: PTH207 (Path.glob takes no absolute patterns)
        root = os.path.commonpath([Path(match).absolute().parent for match in matches])
        for match in matches:
            if Path(match).is_dir():
                yield from _files_below(match, root)
            else:
                yield match, folders.relative_name(match, root), ""
    else:
        raise UserError(
            f"no source {given} (No such file or directory); give a folder of photographs, an archive, or a pattern of "
            "archives"
        )


def _files_below(folder: str, root: str) -> Iterator[tuple[str, str, str]]:
    for path, problem in folders.walk(folder):
        yield path, folders.relative_name(path, root), problem


def _entries(given: str) -> Iterator[Entry]:
    for number, (path, name, problem) in enumerate(_files(given), start=1):
        if problem:
            yield Entry(name, position=number, reason=problem)
        elif is_archive_name(name):
            yield from _entries_of_archive(path, name, number)
        else:
            yield folders.file_entry(path, name, number)


def _entries_of_archive(path: str, name: str, number: int) -> Iterator[Entry]:
    """The members of an archive in a folder, as if its name were that of a folder."""
    try:
        source = _open_archive(path)
    except UserError as error:
        yield Entry(name, position=number, reason=f"an archive that cannot be read: {error}")
        return
    with contextlib.closing(source):
        for entry in source.entries:
            yield entry._replace(name=f"{name}/{entry.name}", position=number)
