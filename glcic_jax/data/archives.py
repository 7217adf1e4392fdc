"""Tar archives as a stream of entries, front to back, whatever their compression and however damaged."""

import bz2
import gzip
import lzma
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import zstandard

from glcic_jax.data.sources import Entry, FileRange, printable
from glcic_jax.errors import UserError

THE_END = "(the archive's end)"
"""The name under which an archive that breaks off is reported."""

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
    def fromtarfile(cls, archive: Any) -> Any:
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            archive.proper_end = isinstance(error, tarfile.EOFHeaderError)  # type: ignore[attr-defined]
            raise


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
        archive = tarfile.open(fileobj=stream, mode="r:" if direct else "r|", tarinfo=_Member)  # noqa: SIM115 (returned)
    except _DAMAGE as error:
        file.close()
        raise UserError(
            f"{path} is neither a folder nor a tar archive ({error}); unpack it first if it is of another kind"
        ) from error
    return archive, _members(archive, stream, raw, os.path.abspath(path) if direct else None)  # noqa: PTH100 (may be no text)


def _members(archive: tarfile.TarFile, stream: BinaryIO, raw: "_Counted", path: str | None) -> Iterator[Entry]:
    """`path`: where the members can be read at any time, or None."""
    try:
        while member := archive.next():
            archive.members = []  # type: ignore[attr-defined]  # tarfile remembers them all: gigabytes for millions
            if not member.isdir():
                position = archive.offset if path else raw.count
                yield _entry(archive, member, position, path)
        while path is None and stream.read(2**16):  # checksums of compressed files stand at their end
            pass
        problem = "" if archive.proper_end else "no end mark"  # type: ignore[attr-defined]
    except _DAMAGE as error:
        problem = str(error) or type(error).__name__
    if problem:
        yield Entry(
            THE_END,
            position=raw.count,
            reason=f"the archive is damaged or breaks off in the middle ({problem}); what came before is used",
        )


def _entry(archive: tarfile.TarFile, member: tarfile.TarInfo, position: int, path: str | None) -> Entry:
    name = str(PurePosixPath(printable(member.name)))  # without "./" in front
    if member.issym() or member.islnk():
        return Entry(name, position=position, reason=f"a link to {printable(member.linkname)}, not a file")
    if not member.isfile():
        return Entry(name, position=position, reason="a device or pipe, not a file")
    if ".." in name.split("/") or name.startswith("/"):
        return Entry(name, position=position, reason="its path leads out of the archive")
    if member.issparse():
        return Entry(name, position=position, reason="stored as a sparse file")
    if path is not None:
        where = FileRange(path, member.offset_data, member.size)
        return Entry(name, member.size, int(member.mtime), position, where=where)

    def read() -> bytes:
        opened = archive.extractfile(member)
        assert opened is not None  # regular members always open
        try:
            return opened.read()
        except _DAMAGE as error:
            raise OSError(f"cut off or damaged ({error})") from error

    return Entry(name, member.size, int(member.mtime), position, read=read)


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
