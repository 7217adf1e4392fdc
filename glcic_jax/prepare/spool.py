"""Images on their way to shards, on disk, so that a killed preparation goes on where it was.

Their bytes lie in bucket files by the first byte of their content hash, their descriptions in an SQLite index. Bytes
are appended first and described after, a block of files at a time in one transaction: whatever a kill leaves
behind is described completely or not at all, and bytes without description are never looked at.
"""

import dataclasses
import hashlib
import itertools
import os
import sqlite3
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from glcic_jax.data.images import encode_record
from glcic_jax.data.manifest import LeftOut
from glcic_jax.data.pixels import ImageError
from glcic_jax.errors import UserError
from glcic_jax.prepare.entries import FileRange
from glcic_jax.prepare.plan import Plan

INDEX = "index.sqlite"
BUCKETS = 256


class Item(NamedTuple):
    """A file of a source as the workers get it: where it is, or its bytes, or why there are none."""

    name: str
    data: FileRange | bytes | None
    reason: str = ""


class Image(NamedTuple):
    """An image in the spool.

    digest: SHA-256 of the source file's bytes.
    file, offset, length, crc: where its JPEG lies, and the JPEG's CRC-32.
    red, green, blue: sums over its pixels.
    """

    digest: bytes
    name: str
    source: int
    file: str
    offset: int
    length: int
    crc: int
    height_px: int
    width_px: int
    red: int
    green: int
    blue: int

    def read(self, folder: Path) -> bytes:
        """The JPEG. Raises: UserError if the disk did not keep it."""
        with (folder / self.file).open("rb") as bucket:
            bucket.seek(self.offset)
            jpeg = bucket.read(self.length)
        if zlib.crc32(jpeg) != self.crc:
            raise UserError(f"{folder / self.file} is damaged (a power failure?); delete {folder} and prepare again")
        return jpeg


class Note(NamedTuple):
    """Something that was done differently with a file than one might think."""

    name: str
    note: str


class Spooled(NamedTuple):
    """What became of some consecutive files of a source."""

    images: list[Image]
    left_out: list[LeftOut]
    notes: list[Note]

    def __add__(self, other: "Spooled") -> "Spooled":  # type: ignore[override]
        return Spooled(self.images + other.images, self.left_out + other.left_out, self.notes + other.notes)


def spool_block(
    folder: Path,
    source: int,
    items: Sequence[Item],
    max_short_side_px: int,
    min_short_side_px: int,
) -> Spooled:
    """Encodes images and appends them to the bucket files of this process in `folder`. Raises: OSError."""
    left_out, notes = [], []
    buckets = defaultdict(list)
    for name, data, reason in items:
        try:
            content = _content(data, reason)
            record = encode_record(content, max_short_side_px, min_short_side_px)
        except ImageError as error:
            left_out.append(LeftOut(source, name, str(error)))
            continue
        if record.white not in (255, 65535):
            notes.append(
                Note(name, f"16-bit files were read with white at {record.white:,}: they hold nothing lighter")
            )
        digest = hashlib.sha256(content).digest()
        buckets[digest[0]].append((digest, name, record))
    images = []
    for bucket, contents in buckets.items():
        path = folder / f"{bucket:02x}-{os.getpid()}.bucket"
        with path.open("ab") as file:
            for digest, name, record in contents:
                offset, crc = file.tell(), zlib.crc32(record.jpeg)
                file.write(record.jpeg)
                place = (path.name, offset, len(record.jpeg), crc)
                size = (record.height_px, record.width_px)
                images.append(Image(digest, name, source, *place, *size, *record.pixel_sum))
    return Spooled(images, left_out, notes)


def _content(data: FileRange | bytes | None, reason: str) -> bytes:
    if data is None:
        raise ImageError(reason)
    if isinstance(data, bytes):
        return data
    try:
        content = data.read()
    except OSError as error:
        raise ImageError(error.strerror or str(error)) from error
    if len(content) < data.size:
        raise ImageError(f"cut off after {len(content)} of {data.size} bytes")
    return content


class Index:
    """The descriptions, and which blocks are done; a context manager."""

    def __init__(self, folder: Path):
        self._database = sqlite3.connect(folder / INDEX)
        self._reading: list[sqlite3.Cursor] = []
        self._database.executescript(f"""
            CREATE TABLE IF NOT EXISTS blocks (number INTEGER PRIMARY KEY, fingerprint);
            CREATE TABLE IF NOT EXISTS images ({", ".join(Image._fields)}, PRIMARY KEY (digest, name, source))
                WITHOUT ROWID;
            CREATE TABLE IF NOT EXISTS left_out (source, name, reason);
            CREATE TABLE IF NOT EXISTS notes ({", ".join(Note._fields)});
            CREATE TABLE IF NOT EXISTS listed (path, split, PRIMARY KEY (path, split)) WITHOUT ROWID;
            CREATE TABLE IF NOT EXISTS about (key PRIMARY KEY, value) WITHOUT ROWID;
        """)

    def done(self) -> dict[int, str]:
        """Number and fingerprint of every block that is in."""
        return dict(self._database.execute("SELECT number, fingerprint FROM blocks"))

    def add(self, number: int, fingerprint: str, block: Spooled) -> None:
        """A block, whole or not at all. An archive may hold a file twice: once is enough."""
        values = ", ".join("?" * len(Image._fields))
        with self._database:
            self._database.executemany(f"INSERT OR IGNORE INTO images VALUES ({values})", block.images)
            self._database.executemany(
                "INSERT INTO left_out VALUES (?, ?, ?)", map(dataclasses.astuple, block.left_out)
            )
            self._database.executemany("INSERT INTO notes VALUES (?, ?)", block.notes)
            self._database.execute("INSERT INTO blocks VALUES (?, ?)", (number, fingerprint))

    def forget_lists(self) -> None:
        """Before they are read once more: they may have been changed."""
        with self._database:
            self._database.execute("DROP TABLE listed")
            self._database.execute("CREATE TABLE listed (path, split, PRIMARY KEY (path, split)) WITHOUT ROWID")

    def add_listed(self, splits: Iterable[tuple[str, str]]) -> None:
        """Paths and the splits that a list names for them."""
        with self._database:
            self._database.executemany("INSERT OR IGNORE INTO listed VALUES (?, ?)", splits)

    def listed(self, path: str) -> list[str]:
        """The splits that lists name for a path."""
        return [split for (split,) in self._database.execute("SELECT split FROM listed WHERE path = ?", (path,))]

    def has_lists(self) -> bool:
        """Whether any list was found."""
        return self._database.execute("SELECT 1 FROM listed LIMIT 1").fetchone() is not None

    def images(self) -> Iterator[Image]:
        """All images in the order of their digests, equal ones in the order of their names."""
        return map(Image._make, self._read("SELECT * FROM images ORDER BY digest, name, source"))

    def left_out(self) -> Iterator[LeftOut]:
        """All files that are not images, or not readable ones."""
        return itertools.starmap(LeftOut, self._read("SELECT * FROM left_out"))

    def notes(self) -> Iterator[tuple[str, int, str]]:
        """Each note with the number of files that it is about, and the name of one of them."""
        return self._read("SELECT note, count(*), min(name) FROM notes GROUP BY note ORDER BY note")

    @property
    def plan(self) -> Plan | None:
        """What this part was begun with."""
        text = self._remembered("plan")
        return Plan.from_json(text) if text else None

    def begin(self, plan: Plan) -> None:
        """Remembers the plan."""
        self._remember("plan", plan.to_json())

    @property
    def complete(self) -> str:
        """The fingerprint of all files once this part is done; until then nothing."""
        return self._remembered("complete")

    def finish(self, fingerprint: str) -> None:
        """Marks this part as done."""
        self._remember("complete", fingerprint)

    def _read(self, query: str) -> sqlite3.Cursor:
        self._reading.append(self._database.execute(query))
        return self._reading[-1]

    def _remembered(self, key: str) -> str:
        row = self._database.execute("SELECT value FROM about WHERE key = ?", (key,)).fetchone()
        return row[0] if row else ""

    def _remember(self, key: str, value: str) -> None:
        with self._database:
            self._database.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (key, value))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for cursor in self._reading:  # one that an error left half read would keep the file locked (Python 3.13)
            cursor.close()
        self._database.close()
