"""Where photographs come from: a folder tree or a tar archive, as a stream of named bytes."""

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from glcic_jax.data.images import SUFFIXES
from glcic_jax.errors import UserError


class Entry(NamedTuple):
    """One file of a source: its path inside it, and its bytes or the reason why there are none."""

    name: str
    data: bytes | None
    reason: str = ""


def entries(source: Path) -> Iterator[Entry]:
    """Every file of a folder tree (in sorted order) or of a tar, also a compressed one (as it comes).

    Raises: UserError if the source is missing, is neither, or is a damaged archive.
    """
    if source.is_dir():
        return _folder(source)
    if source.is_file():
        return _tar(source)
    raise UserError(f"no source {source}; give a folder of photographs or a tar archive")


def _folder(source: Path) -> Iterator[Entry]:
    for folder, subfolders, files in os.walk(source):  # links to folders are not followed: they may loop
        subfolders[:] = sorted(name for name in subfolders if not name.startswith(".partial-"))  # our own
        for file in sorted(files):
            path = Path(folder, file)
            name = path.relative_to(source).as_posix()
            if path.suffix.lower() not in SUFFIXES:
                yield Entry(name, None, "not named like an image")
                continue
            try:
                yield Entry(name, path.read_bytes())
            except OSError as error:
                yield Entry(name, None, error.strerror or str(error))


def _tar(source: Path) -> Iterator[Entry]:
    try:
        with tarfile.open(source, "r|*") as archive:  # as a stream: large archives are read once, front to back
            for member in archive:
                archive.members = []  # type: ignore[attr-defined]  # else every member is remembered: gigabytes for millions
                if member.isdir():
                    continue
                if not member.isfile():
                    yield Entry(member.name, None, "a link or device, not a file")
                elif Path(member.name).suffix.lower() not in SUFFIXES:
                    yield Entry(member.name, None, "not named like an image")
                else:
                    opened = archive.extractfile(member)
                    assert opened is not None  # regular files always open
                    yield Entry(member.name, opened.read())
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UserError(f"{source} is not a whole tar archive ({error}); fetch it again, or give a folder") from error
