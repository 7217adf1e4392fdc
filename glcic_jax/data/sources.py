"""Where photographs come from: folder trees, tar archives and standard input, as a stream of entries.

Of a folder or a plain tar the entries only say where the bytes are, and whoever needs them reads them; the data of
a compressed or piped archive can be had only while its entry is the current one.
"""

import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from glcic_jax.errors import UserError

STANDARD_INPUT = "-"


class FileRange(NamedTuple):
    """Bytes of a file, all of it or a member of a plain tar."""

    path: str
    offset: int
    size: int

    def read(self) -> bytes:
        """The bytes; fewer than `size` if the file has been cut. Raises: OSError."""
        with open(self.path, "rb") as file:  # noqa: PTH123 (names that are no valid text stay as they are)
            file.seek(self.offset)
            return file.read(self.size)


class Entry(NamedTuple):
    """One file of a source.

    name: its path inside the source, with forward slashes, always valid text.
    size, modified: bytes, and seconds since 1970.
    position: how far into the source it stands, in the unit of `Source.total`.
    reason: why there is nothing to read, or "".
    where: the place of its bytes, for reading at any time and by any process.
    read: its bytes, for entries without `where`; only until the next entry is asked for.
    """

    name: str
    size: int = 0
    modified: int = 0
    position: int = 0
    reason: str = ""
    where: FileRange | None = None
    read: Callable[[], bytes] | None = None


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
    """What the manifest calls a source: the name of the folder or archive, without the way to it."""
    return given if given == STANDARD_INPUT else printable(Path(given).resolve().name)


def open_source(given: str) -> Source:
    """A folder tree, a tar archive (also .gz, .bz2, .xz, .zst), or standard input for "-".

    Raises: UserError if there is no such thing, or if it is neither.
    """
    from glcic_jax.data.archives import open_tar  # compression libraries load only where archives are read

    if given == STANDARD_INPUT:
        _, entries = open_tar(sys.stdin.buffer, "standard input", piped=True)
        return Source(None, entries, lambda: None)
    path = Path(given)
    if path.is_dir():
        return Source(sum(1 for _ in _walk(path)), _folder(path), lambda: None)
    try:
        about = path.stat()
        file = path.open("rb")
    except OSError as error:
        raise UserError(
            f"no source {given} ({error.strerror}); give a folder of photographs or a tar archive"
        ) from error
    piped = not stat.S_ISREG(about.st_mode)  # a named pipe
    archive, entries = open_tar(file, given, piped)

    def close() -> None:
        archive.close()
        file.close()

    return Source(None if piped else about.st_size, entries, close)


def printable(name: str) -> str:
    """A name as valid text: what is none, in whatever encoding it once was, is written as its bytes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _folder(root: Path) -> Iterator[Entry]:
    for number, (path, problem) in enumerate(_walk(root), start=1):
        name = printable(os.path.relpath(path, root))
        if problem:
            yield Entry(name, position=number, reason=problem)
            continue
        try:
            about = os.stat(path)  # noqa: PTH116 (as above)
        except OSError as error:
            yield Entry(name, position=number, reason=error.strerror or str(error))
            continue
        if not stat.S_ISREG(about.st_mode):  # a named pipe would block whoever reads it
            yield Entry(name, position=number, reason="a pipe, socket or device, not a file")
        else:
            where = FileRange(path, 0, about.st_size)
            yield Entry(name, about.st_size, int(about.st_mtime), number, where=where)


def _walk(folder: Path | str, above: frozenset[tuple[int, int]] = frozenset()) -> Iterator[tuple[str, str]]:
    """(path, problem) of every file below a folder in a fixed order; links to folders are followed unless they loop."""
    try:
        about = os.stat(folder)  # noqa: PTH116
        here = (about.st_dev, about.st_ino)
        if here in above:
            yield str(folder), "a link to a folder that it is in"
            return
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield str(folder), f"a folder that cannot be read: {error.strerror}"
        return
    for entry in entries:
        if _is_folder(entry):
            if not entry.name.startswith(".partial-"):  # our own, not finished
                yield from _walk(entry.path, above | {here})
        else:
            yield entry.path, ""


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
