"""The files of all sources in blocks, which depend on the sources alone: what a worker takes at a time."""

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from glcic_jax.data.images import is_image_name
from glcic_jax.prepare.entries import Entry
from glcic_jax.prepare.sources import Source, is_archive_name
from glcic_jax.prepare.splits import is_list, read_list
from glcic_jax.prepare.spool import Item

# All of a block is in memory at once, and lost with a kill.
BLOCK_FILES = 256
BLOCK_BYTES = 32 * 2**20
MAX_FILE_BYTES = 2**30

_MAX_LINE_BYTES = 2**16
"""Of a list; what is longer names no file."""


@dataclass(frozen=True)
class Block:
    """Consecutive files of a source.

    number: of all blocks, from 0. source: the place of the source.
    share: of all sources that is done with it. files: how many it has.
    fingerprint: of their names, sizes and times.
    items: for the worker; none where this part of the work does not have to do them.
    """

    number: int
    source: int
    share: float
    files: int
    fingerprint: str
    items: tuple[Item, ...]


def read_blocks(
    sources: Sequence[Source],
    add_listed: Callable[[Iterable[tuple[str, str]]], None],
    on_list: Callable[[str], None],
    wanted: Callable[[int], bool],
) -> Iterator[Block]:
    """All files in blocks, without items where a block is not wanted.

    add_listed: called with the paths of each list and their splits; goes through all of them.
    on_list: called with the checksum of each list.
    """
    numbers = itertools.count()
    for place, source in enumerate(sources):
        collected = _Collected(next(numbers), place)
        for entry in source.entries:
            if is_list(entry.name) and not entry.reason:
                try:
                    on_list(_read_list(entry, add_listed))
                    continue
                except OSError as error:
                    entry = entry._replace(reason=error.strerror or str(error))
            collected.add(entry, wanted(collected.number))
            if collected.is_full:
                share = min(1.0, entry.position / source.total) if source.total else 0.0
                yield collected.block((place + share) / len(sources))
                collected = _Collected(next(numbers), place)
        if collected.files:
            yield collected.block((place + 1) / len(sources))


class _Collected:
    """A block that is being filled."""

    def __init__(self, number: int, source: int):
        self.number, self.files = number, 0
        self._source, self._size, self._fingerprint = source, 0, ""
        self._items: list[Item] = []

    @property
    def is_full(self) -> bool:
        return self.files == BLOCK_FILES or self._size >= BLOCK_BYTES

    def add(self, entry: Entry, wanted: bool) -> None:
        about = f"{self._fingerprint}\0{entry.name}\0{entry.size}\0{entry.modified}\0{entry.reason}"
        self._fingerprint = hashlib.sha256(about.encode()).hexdigest()
        self.files, self._size = self.files + 1, self._size + entry.size
        if wanted:
            self._items.append(_item(entry))

    def block(self, share: float) -> Block:
        return Block(self.number, self._source, share, self.files, self._fingerprint, tuple(self._items))


def without_items(block: Block) -> Block:
    """What is to be remembered of a block that is done."""
    return dataclasses.replace(block, items=())


def _read_list(entry: Entry, add_listed: Callable[[Iterable[tuple[str, str]]], None]) -> str:
    """Reads a list line by line, however long it is; returns its checksum. Raises: OSError."""
    digest = hashlib.sha256(entry.name.encode())
    with entry.open() as stream:
        add_listed(read_list(entry.name, _lines(stream, digest.update)))
    return digest.hexdigest()


def _lines(stream: BinaryIO, on_bytes: Callable[[bytes], None]) -> Iterator[str]:
    whole = True
    while line := stream.readline(_MAX_LINE_BYTES):
        on_bytes(line)
        ends = line.endswith(b"\n")
        if whole and (ends or len(line) < _MAX_LINE_BYTES):
            yield line.decode("utf-8", "replace")
        whole = ends


def _item(entry: Entry) -> Item:
    """An entry as the workers get it: of a passing stream with its bytes."""
    reason = entry.reason or _reason(entry)
    if reason:
        return Item(entry.name, None, reason)
    if entry.where:
        return Item(entry.name, entry.where)
    try:
        return Item(entry.name, entry.read())
    except OSError as error:
        return Item(entry.name, None, str(error))


def _reason(entry: Entry) -> str:
    """Why a file is not even looked into, or nothing."""
    if entry.name.rpartition("/")[2].startswith("._"):
        return "a note of macOS about another file"
    if is_archive_name(entry.name):
        return "an archive inside an archive; unpack it, and give it as a source of its own"
    if not is_image_name(entry.name):
        return "not named like an image"
    return f"larger than {MAX_FILE_BYTES >> 20} MiB" if entry.size > MAX_FILE_BYTES else ""
