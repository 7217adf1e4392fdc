"""Folder trees in a fixed order, however deep, flat or knotted by links."""

import os
import sqlite3
import stat
from collections.abc import Iterator

from glcic_jax.prepare.entries import Entry, FileRange, printable_path

_IN_MEMORY = 20_000
"""Names of a folder up to which they are sorted in memory; more of them on disk."""

_PARTIAL = ".partial-"  # how the names of our own files and folders begin that are not whole yet


def walk(root: str) -> Iterator[tuple[str, str]]:
    """(path, problem) of every file below a folder.

    Links to folders are followed after everything else, each folder is read once.
    """
    visited: set[tuple[int, int]] = set()
    links: list[str] = []
    folders = [root]
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)
        try:
            about = os.stat(folder)  # noqa: PTH116 (names that are no valid text)
            if (about.st_dev, about.st_ino) in visited:
                yield folder, "a link to a folder that is read under another name"
                continue
            visited.add((about.st_dev, about.st_ino))
            inner = []
            for name, kind in _sorted_names(folder):
                path = os.path.join(folder, name)  # noqa: PTH118 (as above)
                if name.startswith(_PARTIAL):
                    continue
                if kind == "folder":
                    inner.append(path)
                elif kind == "link":
                    links.append(path)
                else:
                    yield path, ""
        except OSError as error:
            yield folder, f"a folder that cannot be read: {error.strerror}"
            continue
        folders += reversed(inner)


def file_entry(path: str, name: str, position: int) -> Entry:
    """The entry of a file in a folder; `name` is its path below it."""
    try:
        about = os.stat(path)  # noqa: PTH116 (as above)
    except OSError as error:
        return Entry(name, position=position, reason=error.strerror or str(error))
    if not stat.S_ISREG(about.st_mode):  # a named pipe would block whoever reads it
        return Entry(name, position=position, reason="a pipe, socket or device, not a file")
    where = FileRange(path, 0, about.st_size, about.st_size)
    return Entry(name, about.st_size, int(about.st_mtime), position, where=where)


def relative_name(path: str, root: str) -> str:
    """The path below a folder, as valid text, with forward slashes."""
    return printable_path(os.path.relpath(path, root)).replace(os.sep, "/")


def _sorted_names(folder: str) -> Iterator[tuple[str, str]]:
    """Names in a folder in the order of their bytes, each with what it is: a folder, a link to one, or a file."""
    with os.scandir(folder) as scan:
        names = []
        for entry in scan:
            names.append((os.fsencode(entry.name), _kind(entry)))
            if len(names) > _IN_MEMORY:
                yield from _sorted_on_disk(names, scan)
                return
    for name, kind in sorted(names):
        yield os.fsdecode(name), kind


def _sorted_on_disk(names: list[tuple[bytes, str]], rest: Iterator["os.DirEntry[str]"]) -> Iterator[tuple[str, str]]:
    database = sqlite3.connect("")  # a temporary file behind a small cache
    try:
        database.execute("CREATE TABLE names (name PRIMARY KEY, kind) WITHOUT ROWID")
        database.executemany("INSERT INTO names VALUES (?, ?)", names)
        names.clear()
        database.executemany(
            "INSERT INTO names VALUES (?, ?)", ((os.fsencode(entry.name), _kind(entry)) for entry in rest)
        )
        for name, kind in database.execute("SELECT name, kind FROM names ORDER BY name"):
            yield os.fsdecode(name), kind
    finally:
        database.close()


def _kind(entry: "os.DirEntry[str]") -> str:
    try:
        if not entry.is_dir():
            return "file"
        return "link" if entry.is_symlink() else "folder"
    except OSError:  # a link to itself
        return "file"
