"""Photographs into shards: every image proven, made upright RGB, and shuffled by its content.

What is written follows from the files' contents and paths alone: not from the order of a source, the number of
workers or parts, or how often the work was interrupted. First, `spool_part` encodes images into a spool inside the
output; then `merge` writes the shards, and the manifest last of all.
"""

import contextlib
import dataclasses
import functools
import hashlib
import itertools
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from glcic_jax.data.images import is_image_name
from glcic_jax.data.merge import find_parts, holds, merge_parts
from glcic_jax.data.shards import MANIFEST, read_manifest
from glcic_jax.data.sources import Entry, Source, name_of, open_source
from glcic_jax.data.splits import is_list, read_list
from glcic_jax.data.spool import Block, Index, Item, spool_block
from glcic_jax.data.workers import map_unordered
from glcic_jax.errors import UserError
from glcic_jax.lock import locked

SPOOL = ".partial-prepare"

# What a worker takes at a time, and so what a kill can lose; all of it is in memory at once.
BLOCK_FILES = 256
BLOCK_BYTES = 32 * 2**20
MAX_FILE_BYTES = 2**30


class Settings(NamedTuple):
    """What becomes of the images.

    split: for all images; None goes by lists and folders called train, val or test, and where the sources have no
        val, sets `val_fraction` of the images apart, chosen by their content.
    max_short_side_px: larger images are scaled down to this.
    min_short_side_px: smaller images are left out.
    """

    split: str | None = None
    val_fraction: float = 0.02
    max_short_side_px: int = 512
    min_short_side_px: int = 32


class Part(NamedTuple):
    """Part `number`, counted from 0, of `of`."""

    number: int = 0
    of: int = 1


OnProgress = Callable[[float, int], None]
"""Called with the share done, in [0, 1], and the number of files since the last call."""


@dataclasses.dataclass
class _Work:
    """Consecutive files of a source on their way to a worker; `items` only where this part has them to do."""

    number: int
    source: int
    share: float = 0.0  # of all sources that is done with it
    items: list[Item] = dataclasses.field(default_factory=list)
    fingerprint: str = ""
    files: int = 0
    size: int = 0

    def add(self, entry: Entry, wanted: bool) -> None:
        about = f"{self.fingerprint}\0{entry.name}\0{entry.size}\0{entry.modified}\0{entry.reason}"
        self.fingerprint = hashlib.sha256(about.encode()).hexdigest()
        self.files, self.size = self.files + 1, self.size + entry.size
        if wanted:
            self.items.append(_item(entry))

    def is_full(self) -> bool:
        return self.files == BLOCK_FILES or self.size >= BLOCK_BYTES


def prepare(
    given: Sequence[str],
    output: Path,
    settings: Settings,
    workers: int = 0,
    on_spooled: OnProgress = lambda share, files: None,
    on_merged: OnProgress = lambda share, files: None,
) -> dict[str, Any]:
    """Writes the shards of all sources and the manifest; goes on where an interrupted call was.

    Args:
        given: folders and archives; see `sources.open_source`.
        output: folder of the set, created if missing; splits that it holds already stay.
        settings: what becomes of the images.
        workers: processes; 0 does the work in this one.
        on_spooled: how far encoding is.
        on_merged: how far writing the shards is.

    Returns: the manifest as written.
    Raises: UserError if nothing readable was found, the output is in use or holds one of the splits already, or the
        disk is full.

    """
    if is_prepared(given, output, settings):
        shutil.rmtree(output / SPOOL, ignore_errors=True)  # killed after the manifest was written
        return read_manifest(output)
    spool_part(given, output, settings, Part(), workers, on_spooled)
    return merge(output, workers, on_merged)


def is_prepared(given: Sequence[str], output: Path, settings: Settings) -> bool:
    """Whether the output was made from sources of these names, with these settings, already."""
    return (output / MANIFEST).exists() and holds(read_manifest(output), _described(given, settings))


def spool_part(
    given: Sequence[str],
    output: Path,
    settings: Settings,
    part: Part,
    workers: int,
    on_progress: OnProgress,
) -> None:
    """Encodes one part of the sources' files into the spool; arguments and errors as with `prepare`."""
    _require_room_for(settings.split, output)
    plan = {"sources": _described(given, settings), "settings": settings._asdict()}
    with contextlib.ExitStack() as stack:
        sources = [open_source(one) for one in given]
        for source in sources:
            stack.callback(source.close)
        spool = stack.enter_context(_spool_folder(output))
        folder = spool / f"part-{part.number}-of-{part.of}"
        for other, count in find_parts(spool):
            if count != part.of:
                raise UserError(f"{output} is being prepared in {count} part(s); finish that, or delete {other.parent}")
        folder.mkdir(exist_ok=True)
        stack.enter_context(locked(folder / "lock", str(output)))
        index = stack.enter_context(Index(folder))
        if index["plan"] not in (None, plan):
            raise UserError(
                f"{output} was begun from other sources or with other settings "
                f"({_difference(index['plan'], plan)}); give those again to go on, or delete {spool} to begin anew"
            )
        index["plan"] = plan
        _spool_blocks(sources, folder, index, settings, part, workers, on_progress)


def merge(output: Path, workers: int, on_progress: OnProgress) -> dict[str, Any]:
    """Writes shards and manifest from the spooled parts, and removes the spool; see `prepare`."""
    with _spool_folder(output) as spool, locked(spool / "lock", str(output)):
        return merge_parts(spool, output, workers, on_progress)


def _require_room_for(split: str | None, output: Path) -> None:
    held = read_manifest(output)["splits"] if (output / MANIFEST).exists() else {}
    if held and (split is None or split in held):
        raise UserError(
            f"{output} already holds {', '.join(map(repr, held))}; choose another --output, or add a split with "
            "--split=NAME"
        )


@contextlib.contextmanager
def _spool_folder(output: Path) -> Iterator[Path]:
    """The spool inside the output; nothing is left of either if there was nothing to spool."""
    spool = output / SPOOL
    try:
        spool.mkdir(parents=True, exist_ok=True)
        yield spool
    except (OSError, sqlite3.OperationalError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(
            f"cannot write to {output}: {why}; make room or choose another --output (what is done is kept: with room, "
            "the same command goes on)"
        ) from error
    except sqlite3.DatabaseError as error:
        raise UserError(f"{spool} is damaged ({error}); delete it and prepare again") from error


def _described(given: Sequence[str], settings: Settings) -> list[dict[str, Any]]:
    """The sources as the manifest lists them."""
    return [{"name": name_of(one), **settings._asdict()} for one in given]


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    was, now = ([[s["name"] for s in plan["sources"]], *plan["settings"].items()] for plan in (old, new))
    return ", ".join(f"{a} was {b}" for b, a in zip(was, now, strict=True) if a != b)


def _spool_blocks(
    sources: list[Source],
    folder: Path,
    index: Index,
    settings: Settings,
    part: Part,
    workers: int,
    on_progress: OnProgress,
) -> None:
    done = index.done()
    all_blocks = hashlib.sha256()

    def to_do() -> Iterator[_Work]:
        wanted = lambda number: number % part.of == part.number and number not in done  # noqa: E731
        for work in _blocks(sources, index, wanted):
            all_blocks.update(work.fingerprint.encode())
            if done.pop(work.number, work.fingerprint) != work.fingerprint:
                raise _changed(folder)
            if work.items:
                yield work
            else:  # another part's, or done before
                on_progress(work.share, work.files)
        if done:
            raise _changed(folder)

    task = functools.partial(
        _spool_work,
        folder=folder,
        max_short_side_px=settings.max_short_side_px,
        min_short_side_px=settings.min_short_side_px,
    )
    for work, block in map_unordered(task, to_do(), workers):
        index.add(work.number, work.fingerprint, block)
        on_progress(work.share, work.files)
    index["complete"] = all_blocks.hexdigest()


def _spool_work(work: _Work, **options: Any) -> tuple[_Work, Block]:
    block = spool_block(source=work.source, items=work.items, **options)
    return dataclasses.replace(work, items=[]), block


def _changed(folder: Path) -> UserError:
    return UserError(
        f"the sources have changed since {folder.parent.parent} was begun; delete {folder.parent} to begin anew"
    )


def _blocks(sources: list[Source], index: Index, wanted: Callable[[int], bool]) -> Iterator[_Work]:
    """All files in blocks, which depend on the entries alone; without items where a block is not wanted."""
    numbers = itertools.count()
    for place, source in enumerate(sources):
        work = _Work(next(numbers), place)
        for entry in source.entries:
            if is_list(entry.name) and not entry.reason:
                try:
                    index.add_listed(read_list(entry.name, _content(entry).decode(errors="replace")))
                    continue
                except OSError as error:
                    entry = entry._replace(reason=error.strerror or str(error))
            work.add(entry, wanted(work.number))
            if work.is_full():
                share = min(1.0, entry.position / source.total) if source.total else 0.0
                yield dataclasses.replace(work, share=(place + share) / len(sources))
                work = _Work(next(numbers), place)
        if work.files:
            yield dataclasses.replace(work, share=(place + 1) / len(sources))


def _item(entry: Entry) -> Item:
    """An entry as the workers get it: of a passing stream with its bytes."""
    reason = entry.reason
    if not reason and not is_image_name(entry.name):
        reason = "not named like an image"
    if not reason and entry.size > MAX_FILE_BYTES:
        reason = f"larger than {MAX_FILE_BYTES >> 20} MiB"
    if reason:
        return Item(entry.name, None, reason)
    if entry.where:
        return Item(entry.name, entry.where)
    try:
        return Item(entry.name, _content(entry))
    except OSError as error:
        return Item(entry.name, None, str(error))


def _content(entry: Entry) -> bytes:
    """Raises: OSError."""
    if entry.where:
        return entry.where.read()
    assert entry.read is not None  # entries without a reason have one or the other
    return entry.read()
