"""Zip archives, with limits for those that are made to expand without end."""

import stat
import struct
import zipfile
from collections.abc import Iterator

from glcic_jax.errors import UserError
from glcic_jax.prepare.entries import Entry, FileRange, inner_name, printable

MAX_DIRECTORY_BYTES = 512 * 2**20
"""Of a zip's list of files, about a tenth of what it takes in memory: some millions of files."""

# A picture may be of one colour and shrink a thousand times, but not when it is large.
_FREE_BYTES, _MOST_EXPANSION = 64 * 2**20, 100

_ENCRYPTED = 1  # of the flags
_LOCAL_HEADER = struct.Struct("<4s22xHH")


def open_zip(path: str) -> tuple[int, Iterator[Entry]]:
    """The number of files in an archive, and each of them.

    Raises: UserError if it is no zip archive, or one whose files lie upon each other.
    """
    try:
        with open(path, "rb") as file, zipfile.ZipFile(file) as archive:  # noqa: PTH123 (names that are no valid text)
            members = [member for member in archive.infolist() if not member.is_dir()]
            size = file.seek(0, 2)
    except (zipfile.BadZipFile, OSError, ValueError, struct.error, NotImplementedError) as error:
        raise UserError(f"{path} is no zip archive that can be read ({error}); unpack it first") from error
    if sum(member.compress_size for member in members) > size:
        raise UserError(f"the files in {path} lie upon each other, as in archives made to do harm; unpack it yourself")
    return len(members), _entries(path, members)


def is_zip(start: bytes) -> bool:
    """Whether a file with these first bytes is a zip archive."""
    return start.startswith((b"PK\3\4", b"PK\5\6"))


def _entries(path: str, members: list[zipfile.ZipInfo]) -> Iterator[Entry]:
    with open(path, "rb") as file:  # noqa: PTH123 (as above)
        for position, member in enumerate(members, start=1):
            name = inner_name(printable(member.filename)) or "(a file without a name)"
            reason = _reason(member)
            if not reason:
                file.seek(member.header_offset)
                header = file.read(_LOCAL_HEADER.size)
                if len(header) == _LOCAL_HEADER.size and header[:4] == b"PK\3\4":
                    _, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
                    start = member.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes
                    deflated = member.compress_type == zipfile.ZIP_DEFLATED
                    where = FileRange(path, start, member.compress_size, member.file_size, deflated, member.CRC)
                    yield Entry(name, member.file_size, _seconds(member), position, where=where)
                    continue
                reason = "cut off or damaged: it is not where the archive's directory says"
            yield Entry(name, position=position, reason=reason)


def _reason(member: zipfile.ZipInfo) -> str:
    """Why a member cannot be read, or nothing."""
    if stat.S_ISLNK(member.external_attr >> 16):
        return "a link, not a file"
    if member.flag_bits & _ENCRYPTED:
        return "encrypted; unpack the archive first"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"compressed by a method that is not read here (number {member.compress_type}); unpack the archive first"
    if member.file_size > max(_FREE_BYTES, _MOST_EXPANSION * member.compress_size):
        return f"expands from {member.compress_size} to {member.file_size} bytes, as in archives made to do harm"
    return ""


def _seconds(member: zipfile.ZipInfo) -> int:
    """A number that changes with the time of the last change, which zip archives keep without a time zone."""
    year, month, day, hour, minute, second = member.date_time
    return ((((year * 12 + month) * 31 + day) * 24 + hour) * 60 + minute) * 60 + second
