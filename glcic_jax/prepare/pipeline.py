"""Photographs into shards: every image proven, made upright RGB, and shuffled by its content.

What is written follows from the files' contents and paths alone: not from the order of a source, the number of
workers or parts, or how often the work was interrupted. First, `spool_part` encodes images into a spool inside the
output; then `merge` writes the shards, and the manifest last of all.
"""

import collections
import contextlib
import dataclasses
import functools
import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum, auto
from pathlib import Path
from typing import NamedTuple

from glcic_jax.data.manifest import MANIFEST, LeftOut, Manifest, read_manifest
from glcic_jax.errors import UserError
from glcic_jax.prepare.blocks import Block, read_blocks, without_items
from glcic_jax.prepare.merge import find_parts, merge_parts
from glcic_jax.prepare.plan import Plan, Settings
from glcic_jax.prepare.sources import STANDARD_INPUT, Source, identity_of, name_of, open_source
from glcic_jax.prepare.spool import Index, Spooled, spool_block
from glcic_jax.prepare.workers import map_unordered
from glcic_jax.system.lock import locked

SPOOL = ".partial-prepare"


class Part(NamedTuple):
    """Part `number`, counted from 0, of `of`."""

    number: int = 0
    of: int = 1


OnProgress = Callable[[float, int], None]
"""Called with the share done, in [0, 1], and the number of files since the last call."""


class Earlier(Enum):
    """What a set in the output has to do with the sources that are to be prepared."""

    NONE = auto()
    """There is no set, or one of sources with other names or settings."""

    SAME = auto()
    """It was made from these files."""

    PERHAPS_SAME = auto()
    """It was made from sources of these names by a version that did not note what was in them."""


def prepare(
    given: Sequence[str],
    output: Path,
    settings: Settings,
    workers: int = 0,
    on_spooled: OnProgress = lambda share, files: None,
    on_merged: OnProgress = lambda share, files: None,
) -> Manifest:
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
    if compare_with_earlier(given, output, settings) is not Earlier.NONE:
        shutil.rmtree(output / SPOOL, ignore_errors=True)  # killed after the manifest was written
        return read_manifest(output)
    spool_part(given, output, settings, Part(), workers, on_spooled)
    return merge(output, workers, on_merged)


def compare_with_earlier(given: Sequence[str], output: Path, settings: Settings) -> Earlier:
    """Whether the output was made from these sources, with these settings, already.

    Raises: UserError if it was made from a source of the same name that held other files.
    """
    if not (output / MANIFEST).exists():
        return Earlier.NONE
    manifest = read_manifest(output)
    outcome = Earlier.SAME
    for one in given:
        name = name_of(one)
        same_name = [source for source in manifest.sources if settings.source(source.name, source.identity) == source]
        earlier = [source.identity for source in same_name if source.name == name]
        if not earlier:
            return Earlier.NONE
        if one == STANDARD_INPUT:  # nobody knows what will come
            finished = (output / SPOOL).exists()
            return Earlier.SAME if finished else Earlier.NONE
        if "" in earlier:
            outcome = Earlier.PERHAPS_SAME
        elif identity_of(one) not in earlier:
            raise UserError(
                f"{output} was made from another {name!r}, or from this one when other files were in it; to prepare it "
                "anew, delete the output first or choose another --output"
            )
    return outcome


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
    plan = Plan(tuple(settings.source(name_of(one), identity_of(one)) for one in given), settings)
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
        begun = index.plan
        if begun is not None and not plan.asks_the_same(begun):
            raise UserError(
                f"{output} was begun from other sources or with other settings "
                f"({plan.changes_since(begun)}); give those again to go on, or delete {spool} to begin anew"
            )
        index.begin(plan)
        _spool_blocks(sources, folder, index, settings, part, workers, on_progress)


def merge(output: Path, workers: int, on_progress: OnProgress) -> Manifest:
    """Writes shards and manifest from the spooled parts, and removes the spool; see `prepare`."""
    with _spool_folder(output) as spool, locked(spool / "lock", str(output)):
        return merge_parts(spool, output, workers, on_progress)


def _require_room_for(split: str | None, output: Path) -> None:
    held = read_manifest(output).splits if (output / MANIFEST).exists() else {}
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
    earlier = index.complete
    fingerprint = hashlib.sha256()
    if not earlier:
        index.forget_lists()

    def add_listed(splits: Iterable[tuple[str, str]]) -> None:
        if earlier:  # shards may have been written by these lists: they are compared, and stay as they were
            collections.deque(splits, maxlen=0)
        else:
            index.add_listed(splits)

    def to_do() -> Iterator[Block]:
        wanted = lambda number: number % part.of == part.number and number not in done  # noqa: E731
        for block in read_blocks(sources, add_listed, lambda checksum: fingerprint.update(checksum.encode()), wanted):
            fingerprint.update(block.fingerprint.encode())
            if done.pop(block.number, block.fingerprint) != block.fingerprint:
                raise _changed(folder)
            if block.items:
                yield block
            else:  # another part's, or done before
                on_progress(block.share, block.files)
        if done:
            raise _changed(folder)

    task = functools.partial(
        _spool_block,
        folder=folder,
        max_short_side_px=settings.max_short_side_px,
        min_short_side_px=settings.min_short_side_px,
    )
    for block, spooled in map_unordered(task, to_do(), workers, _rescue):
        index.add(block.number, block.fingerprint, spooled)
        on_progress(block.share, block.files)
    if earlier not in ("", fingerprint.hexdigest()):  # the lists have, after shards may have been written by them
        raise _changed(folder)
    index.finish(fingerprint.hexdigest())


def _spool_block(block: Block, folder: Path, max_short_side_px: int, min_short_side_px: int) -> tuple[Block, Spooled]:
    spooled = spool_block(folder, block.source, block.items, max_short_side_px, min_short_side_px)
    return without_items(block), spooled


def _rescue(block: Block, do_alone: Callable[[Block], tuple[Block, Spooled] | None]) -> tuple[Block, Spooled]:
    """Finds the file that kills whoever decodes it, and leaves it out."""
    if result := do_alone(block):
        return result
    if len(block.items) == 1:
        reason = "the process that decoded it died, also when it did nothing else (killed, or out of memory?)"
        return without_items(block), Spooled([], [LeftOut(block.source, block.items[0].name, reason)], [])
    middle = len(block.items) // 2
    halves = (dataclasses.replace(block, items=items) for items in (block.items[:middle], block.items[middle:]))
    first, second = (_rescue(half, do_alone)[1] for half in halves)
    return without_items(block), first + second


def _changed(folder: Path) -> UserError:
    return UserError(
        f"the sources have changed since {folder.parent.parent} was begun; delete {folder.parent} to begin anew"
    )
