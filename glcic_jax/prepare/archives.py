"""Tar archives as a stream of entries, front to back, whatever their compression and however damaged."""

import bz2
import contextlib
import gzip
import lzma
import os
import sqlite3
import tarfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, cast

import zstandard

from glcic_jax.errors import UserError
from glcic_jax.prepare.entries import Entry, FileRange, inner_name, printable

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")

THE_END = "(the archive's end)"
"""The name under which an archive that breaks off is reported; of one in a folder, behind the archive's own."""

_DAMAGE = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError, zstandard.ZstdError)

_MAGIC: dict[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ": lzma.LZMAFile,
    b"\x28\xb5\x2f\xfd": lambda file: zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True),
}


class _Member(tarfile.TarInfo):
    """Tells an archive's proper end from one where the file merely stops: tarfile treats them alike."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "_Member":
        assert isinstance(archive, _Archive)
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            archive.ended_properly = isinstance(error, tarfile.EOFHeaderError)  # type: ignore[attr-defined]
            raise


class _Archive(tarfile.TarFile):
    """Members front to back, of which it remembers none: of millions they are gigabytes."""

    tarinfo = _Member
    ended_properly = False

    def next(self) -> tarfile.TarInfo | None:
        member = super().next()
        self.members: list[tarfile.TarInfo] = []
        return member


def is_end(name: str) -> bool:
    """Whether that is the name of an archive's end, which broke off."""
    return name == THE_END or name.endswith(f"/{THE_END}")


def open_tar(file: BinaryIO, path: str, piped: bool) -> tuple[tarfile.TarFile, Iterator[Entry]]:
    """An archive, to be closed in the end, and every member of it.

    Where it breaks off, the last entry is called THE_END and has the reason.

    Args:
        file: the archive, at its beginning.
        path: where it lies.
        piped: whether it can only be read front to back.

    Raises: UserError if it is no tar archive at all.

    """
    raw = _Counted(file)
    decompress = next((how for magic, how in _MAGIC.items() if raw.start.startswith(magic)), None)
    # The members of a plain file can be read by anybody at their offsets; all else passes by once.
    direct = not piped and decompress is None
    stream: Any = file if direct else decompress(raw) if decompress else raw
    try:
        if direct:
            file.seek(0)
        archive = _Archive.open(fileobj=stream, mode="r:" if direct else "r|", encoding="utf-8")
    except _DAMAGE as error:
        file.close()
        raise UserError(
            f"{path} is neither a folder nor a tar or zip archive ({error}); give a folder of photographs, or "
            "unpack it first if it is an archive of another kind"
        ) from error
    assert isinstance(archive, _Archive)
    where = os.path.abspath(path) if direct else None  # noqa: PTH100 (may be no text)
    return archive, _members(archive, stream, raw, where)


def _members(archive: _Archive, stream: BinaryIO, raw: "_Counted", path: str | None) -> Iterator[Entry]:
    """`path`: where the members can be read at any time, or None."""
    with contextlib.closing(_Places()) as places:
        try:
            while member := archive.next():
                if not member.isdir():
                    position = archive.offset if path else raw.count
                    yield _entry(archive, member, position, path, places)
            while path is None and stream.read(2**16):  # checksums of compressed files stand at their end
                pass
            problem = "" if archive.ended_properly else "no end mark"
        except _DAMAGE as error:
            problem = str(error) or type(error).__name__
    if problem:
        yield Entry(
            THE_END,
            position=raw.count,
            reason=f"the archive is damaged or breaks off in the middle ({problem}); what came before is used",
        )


def _entry(
    archive: tarfile.TarFile, member: tarfile.TarInfo, position: int, path: str | None, places: "_Places"
) -> Entry:
    name = inner_name(printable(member.name))
    modified = int(member.mtime)
    if member.issym():
        return Entry(name, position=position, reason=f"a link to {printable(member.linkname)}, not a file")
    if member.islnk():  # another name of a file that came before
        if place := places.find(member.linkname):
            return Entry(name, place[1], modified, position, where=_range(path or "", *place))
        target = printable(member.linkname)
        why = "which is not in the archive" if path else "which has passed by; unpack the archive, or give it as a file"
        return Entry(name, position=position, reason=f"a hard link to {target}, {why}")
    if not member.isfile():
        return Entry(name, position=position, reason="a device or pipe, not a file")
    if not name:
        return Entry(printable(member.name), position=position, reason="a file without a name")
    if member.issparse():
        return Entry(name, position=position, reason="stored as a sparse file")
    if path is not None:
        places.add(member)
        where = _range(path, member.offset_data, member.size)
        return Entry(name, member.size, modified, position, where=where)
    return Entry(name, member.size, modified, position, stream=lambda: _opened(archive, member))


def _range(path: str, offset: int, size: int) -> FileRange:
    return FileRange(path, offset, size, size)


@contextlib.contextmanager
def _opened(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[BinaryIO]:
    """A member of a passing stream. What is wrong with it is raised as OSError."""
    try:
        file = archive.extractfile(member)
        assert file is not None  # regular members always open
        yield cast(BinaryIO, file)
    except _DAMAGE as error:
        raise OSError(f"cut off or damaged ({error})") from error


class _Places:
    """Where the members of a plain archive are, for the hard links behind them; on disk, where there are many."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("")  # a temporary file, once it no longer fits SQLite's small cache
        self._database.execute("CREATE TABLE places (name PRIMARY KEY, offset, size) WITHOUT ROWID")

    def add(self, member: tarfile.TarInfo) -> None:
        values = (_bytes_of(member.name), member.offset_data, member.size)
        self._database.execute("INSERT OR REPLACE INTO places VALUES (?, ?, ?)", values)

    def find(self, name: str) -> tuple[int, int] | None:
        query = "SELECT offset, size FROM places WHERE name = ?"
        found: tuple[int, int] | None = self._database.execute(query, (_bytes_of(name),)).fetchone()
        return found

    def close(self) -> None:
        self._database.close()


def _bytes_of(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


class _Counted:
    """A file read front to back: its `start` can be looked at beforehand, and `count` is how far one has come."""

    def __init__(self, file: BinaryIO):
        self._file, self.count = file, 0
        self.start = self._unread = file.read(6)

    def read(self, size: int) -> bytes:
        data, self._unread = self._unread[:size], self._unread[size:]
        data += self._file.read(size - len(data))
        self.count += len(data)
        return data
