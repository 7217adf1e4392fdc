"""Files of a source: their names, and where their bytes are."""

import io
import os
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import BinaryIO, NamedTuple


class FileRange(NamedTuple):
    """Bytes that anybody can read at any time: a file, or a member of an archive.

    offset, length: where they are in the file at `path`, and how many. size: once expanded.
    deflated: whether they are compressed, as in a zip archive; `crc` is then the CRC-32 of the expanded bytes.
    """

    path: str
    offset: int
    length: int
    size: int
    deflated: bool = False
    crc: int | None = None

    def read(self) -> bytes:
        """The bytes; fewer than `size` if the file has been cut. Raises: OSError."""
        with open(self.path, "rb") as file:  # noqa: PTH123 (names that are no valid text stay as they are)
            file.seek(self.offset)
            data = file.read(self.length)
        if self.deflated:
            data = self._expanded(data)
        if self.crc is not None and zlib.crc32(data) != self.crc:
            raise OSError("damaged in its archive (another checksum)")
        return data

    def open(self) -> BinaryIO:
        """The bytes as a stream, not all of them in memory unless they are compressed. Raises: OSError."""
        if self.deflated:
            return io.BytesIO(self.read())
        file = open(self.path, "rb")  # noqa: PTH123, SIM115 (as above; returned)
        file.seek(self.offset)
        return io.BufferedReader(_Limited(file, self.length))

    def _expanded(self, data: bytes) -> bytes:
        """No more than the archive's directory says, whatever the bytes would expand to."""
        try:
            expanded = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, self.size + 1)
        except zlib.error as error:
            raise OSError(f"damaged in its archive ({error})") from error
        if len(expanded) > self.size:
            raise OSError(f"expands to more than the {self.size} bytes that its archive says")
        return expanded


class Entry(NamedTuple):
    """One file of a source.

    name: its path inside the source, with forward slashes, always valid text.
    size, modified: bytes, and seconds since 1970.
    position: how far into the source it stands, in the unit of `Source.total`.
    reason: why there is nothing to read, or "".
    where: the place of its bytes, for reading at any time and by any process.
    stream: opens its bytes, for entries without `where`; only until the next entry is asked for.
    """

    name: str
    size: int = 0
    modified: int = 0
    position: int = 0
    reason: str = ""
    where: FileRange | None = None
    stream: Callable[[], AbstractContextManager[BinaryIO]] | None = None

    def open(self) -> AbstractContextManager[BinaryIO]:
        """The bytes as a stream. Raises: OSError."""
        if self.where:
            return self.where.open()
        assert self.stream is not None  # entries without a reason have one or the other
        return self.stream()

    def read(self) -> bytes:
        """All the bytes. Raises: OSError."""
        if self.where:
            return self.where.read()
        with self.open() as stream:
            return stream.read()


def printable(name: str) -> str:
    """A name in UTF-8 as valid text: what is none, in whatever encoding it once was, is written as its bytes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def printable_path(path: str) -> str:
    """The same of a name as this system gives it, whatever its locale is."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def inner_name(name: str) -> str:
    """The name of an archive's member as a way inside it: tar, too, takes away what leads out when it unpacks."""
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", ".", ".."))


class _Limited(io.RawIOBase):
    """So many bytes of a file, from where it stands."""

    def __init__(self, file: BinaryIO, length: int):
        self._file, self._left = file, length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        data = self._file.read(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()
