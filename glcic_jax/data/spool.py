"""Images on their way to shards, on disk, so that a killed preparation goes on where it was.

Their bytes lie in bucket files by the first byte of their content hash, their descriptions in an SQLite index. Bytes
are appended first and described after, a block of files at a time in one transaction: whatever a kill leaves
behind is described completely or not at all, and bytes without description are never looked at.
"""

import hashlib
import json
import os
import sqlite3
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

from glcic_jax.data.images import ImageError, encode_record
from glcic_jax.data.sources import FileRange
from glcic_jax.errors import UserError

INDEX = "index.sqlite"
BUCKETS = 256


class Item(NamedTuple):
    """A file of a source as the workers get it: where it is, or its bytes, or why there are none."""

    name: str
    data: FileRange | bytes | None
    reason: str = ""


class LeftOut(NamedTuple):
    """A file that is not in the set."""

    source: int
    name: str
    reason: str


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


class Block(NamedTuple):
    """What became of some consecutive files of a source."""

    images: list[Image]
    left_out: list[LeftOut]


def spool_block(
    folder: Path,
    source: int,
    items: list[Item],
    max_short_side_px: int,
    min_short_side_px: int,
) -> Block:
    """Encodes images and appends them to the bucket files of this process in `folder`. Raises: OSError."""
    left_out = []
    buckets = defaultdict(list)
    for name, data, reason in items:
        try:
            content = _content(data, reason)
            record = encode_record(content, max_short_side_px, min_short_side_px)
        except ImageError as error:
            left_out.append(LeftOut(source, name, str(error)))
            continue
        digest = hashlib.sha256(content).digest()
        buckets[digest[0]].append((digest, name, record))
    images = []
    for bucket, found in buckets.items():
        path = folder / f"{bucket:02x}-{os.getpid()}.bucket"
        with path.open("ab") as file:
            for digest, name, record in found:
                offset, crc = file.tell(), zlib.crc32(record.jpeg)
                file.write(record.jpeg)
                place = (path.name, offset, len(record.jpeg), crc)
                size = (record.height_px, record.width_px)
                images.append(Image(digest, name, source, *place, *size, *record.pixel_sum))
    return Block(images, left_out)


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
        self._database.executescript(f"""
            CREATE TABLE IF NOT EXISTS blocks (number INTEGER PRIMARY KEY, fingerprint);
            CREATE TABLE IF NOT EXISTS images ({", ".join(Image._fields)}, PRIMARY KEY (digest, name, source))
                WITHOUT ROWID;
            CREATE TABLE IF NOT EXISTS left_out ({", ".join(LeftOut._fields)});
            CREATE TABLE IF NOT EXISTS listed (path PRIMARY KEY, split) WITHOUT ROWID;
            CREATE TABLE IF NOT EXISTS about (key PRIMARY KEY, value) WITHOUT ROWID;
        """)

    def done(self) -> dict[int, str]:
        """Number and fingerprint of every block that is in."""
        return dict(self._database.execute("SELECT number, fingerprint FROM blocks"))

    def add(self, number: int, fingerprint: str, block: Block) -> None:
        """A block, whole or not at all. An archive may hold a file twice: once is enough."""
        values = ", ".join("?" * len(Image._fields))
        with self._database:
            self._database.executemany(f"INSERT OR IGNORE INTO images VALUES ({values})", block.images)
            self._database.executemany("INSERT INTO left_out VALUES (?, ?, ?)", block.left_out)
            self._database.execute("INSERT INTO blocks VALUES (?, ?)", (number, fingerprint))

    def add_listed(self, splits: Iterable[tuple[str, str]]) -> None:
        """Paths and the splits that a list names for them; of two, the one that comes first in the alphabet."""
        with self._database:
            self._database.executemany(
                "INSERT INTO listed VALUES (?, ?) ON CONFLICT DO UPDATE SET split = min(split, excluded.split)",
                splits,
            )

    def listed(self, path: str) -> str | None:
        """The split that a list names for a path."""
        found = self._database.execute("SELECT split FROM listed WHERE path = ?", (path,)).fetchone()
        return found[0] if found else None

    def has_lists(self) -> bool:
        """Whether any list was found."""
        return self._database.execute("SELECT 1 FROM listed LIMIT 1").fetchone() is not None

    def images(self) -> Iterator[Image]:
        """All images in the order of their digests, equal ones in the order of their names."""
        return map(Image._make, self._database.execute("SELECT * FROM images ORDER BY digest, name, source"))

    def left_out(self) -> Iterator[LeftOut]:
        """All files that are not images, or not readable ones."""
        return map(LeftOut._make, self._database.execute("SELECT * FROM left_out"))

    def __getitem__(self, key: str) -> Any:
        """A remembered value, or None."""
        found = self._database.execute("SELECT value FROM about WHERE key = ?", (key,)).fetchone()
        return json.loads(found[0]) if found else None

    def __setitem__(self, key: str, value: Any) -> None:
        with self._database:
            self._database.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (key, json.dumps(value)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._database.close()
