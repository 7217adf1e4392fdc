"""From spooled parts to shards and manifest: duplicates left out, splits chosen, records in the order of their hash."""

import contextlib
import dataclasses
import json
import math
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from glcic_jax.data.manifest import (
    MANIFEST,
    SHARD_SUFFIX,
    Manifest,
    PreparedSource,
    Shard,
    Split,
    read_manifest,
    write_manifest,
)
from glcic_jax.data.shards import write_shard
from glcic_jax.errors import UserError
from glcic_jax.prepare.left_out import LeftOutFiles, add_to_manifest
from glcic_jax.prepare.plan import Plan
from glcic_jax.prepare.splitter import Contents, Placed, Splitter, count_contents
from glcic_jax.prepare.spool import BUCKETS, Index
from glcic_jax.prepare.workers import map_unordered
from glcic_jax.system.atomic import atomic_file
from glcic_jax.system.durability import flush_folder
from glcic_jax.system.lock import locked

SHARD_BYTES = 256 * 2**20

_PART = re.compile(r"part-(\d+)-of-(\d+)")


class ShardWork(NamedTuple):
    """A shard on its way to a worker, with its records in order."""

    path: Path
    records: list[Placed]


def find_parts(spool: Path) -> list[tuple[Path, int]]:
    """The parts in a spool, in order, each with the number of parts that there should be."""
    found = [(match, folder) for folder in spool.iterdir() if (match := _PART.fullmatch(folder.name))]
    found.sort(key=lambda part: int(part[0][1]))
    return [(folder, int(match[2])) for match, folder in found]


def merge_parts(
    spool: Path,
    output: Path,
    workers: int,
    on_progress: Callable[[float, int], None],
) -> Manifest:
    """Writes the shards, moves them to their final names, writes the manifest and removes the spool."""
    folders = _complete_parts(spool, output)
    with contextlib.ExitStack() as stack:
        for folder in folders:
            stack.enter_context(locked(folder / "lock", str(output)))
        indexes = [stack.enter_context(Index(folder)) for folder in folders]
        plan = _common_plan(indexes, spool)
        manifest = read_manifest(output) if (output / MANIFEST).exists() else Manifest()
        if was_made_from(manifest, plan.sources):  # killed after the manifest was written
            shutil.rmtree(spool)
            return manifest
        left_out = stack.enter_context(LeftOutFiles())
        for index in indexes:
            left_out.add(index.left_out())
        splitter = Splitter(folders, indexes, plan.settings, left_out.add)
        if not splitter.names:
            error = _nothing_usable(plan, left_out)
            _give_up(spool, output)
            raise error
        contents = count_contents(splitter)
        _write_shards(splitter, contents, spool, workers, on_progress)
        manifest = add_to_manifest(manifest, left_out, len(manifest.sources), output)
        notes = (*_notes(indexes), *_unclear_folders(splitter))
        manifest = dataclasses.replace(
            manifest,
            sources=(*manifest.sources, *plan.sources),
            splits={**manifest.splits, **_move_shards(contents, spool, output)},
            notes=(*manifest.notes, *(note for note in notes if note not in manifest.notes)),
        )
        flush_folder(output)
        write_manifest(output, manifest)
        flush_folder(output)
    shutil.rmtree(spool)
    return manifest


def was_made_from(manifest: Manifest, sources: Sequence[PreparedSource]) -> bool:
    """Whether a set was made from these sources, with the same settings, already."""
    return set(sources) <= set(manifest.sources)


def _nothing_usable(plan: Plan, left_out: LeftOutFiles) -> UserError:
    names = ", ".join(source.name for source in plan.sources)
    files = [*left_out]
    if not files:
        return UserError(f"no readable image in {names} (it is empty); give a folder of photographs or an archive")
    first = next((file for file in files if "min_short_side_px" in file.reason), files[0])
    return UserError(
        f"no readable image in {names}: all {len(files)} files were left out, {first.name}, for one: {first.reason}; "
        + (
            "take smaller images with --min_short_side_px"
            if "min_short_side_px" in first.reason
            else "give a folder of photographs or an archive of them"
        )
    )


def _notes(indexes: Sequence[Index]) -> Iterator[str]:
    found: dict[str, tuple[int, str]] = {}
    for index in indexes:
        for note, count, name in index.notes():
            before, smallest = found.get(note, (0, name))
            found[note] = (before + count, min(smallest, name))
    for note, (count, name) in sorted(found.items()):
        yield f"{count} {note} (such as {name!r})"


def _unclear_folders(splitter: Splitter) -> Iterator[str]:
    if splitter.unclear:
        yield (
            f"folders that were not taken for a split, though their names sound like one: "
            f"{', '.join(map(repr, sorted(splitter.unclear)))}; if they are one, prepare them with --split"
        )


def _complete_parts(spool: Path, output: Path) -> list[Path]:
    parts = find_parts(spool)
    if not parts:
        _give_up(spool, output)
        raise UserError(f"{output} holds no prepared parts; make them with --part=0/N ... --part=N-1/N")
    count = parts[0][1]
    folders = {folder.name: folder for folder, _ in parts}
    missing = [i for i in range(count) if f"part-{i}-of-{count}" not in folders]
    for folder in folders.values():
        with Index(folder) as index:
            if not index.complete:
                missing.append(int(folder.name.split("-")[1]))
    if missing:
        raise UserError(
            f"of the {count} part(s) of {output}, {len(missing)} are not done; run first "
            f"{', '.join(f'--part={i}/{count}' for i in sorted(missing)[:5])}{', ...' if len(missing) > 5 else ''}"
        )
    return list(folders.values())


def _common_plan(indexes: list[Index], spool: Path) -> Plan:
    plan, files = indexes[0].plan, indexes[0].complete
    assert plan is not None  # a part that is complete has one
    plans = [index.plan for index in indexes]
    if any(other is None or not plan.asks_the_same(other) for other in plans) or any(
        index.complete != files for index in indexes
    ):
        raise UserError(f"the parts in {spool} are of different sources or settings; delete it and prepare them again")
    return plan


def _give_up(spool: Path, output: Path) -> None:
    """Leaves nothing where there was nothing to prepare."""
    shutil.rmtree(spool)
    with contextlib.suppress(OSError):  # it holds other things
        output.rmdir()


def _write_shards(
    splitter: Splitter,
    contents: Mapping[str, Contents],
    spool: Path,
    workers: int,
    on_progress: Callable[[float, int], None],
) -> None:
    """Writes each shard and its description into the spool; buckets go as soon as nobody needs them any more."""
    written = spool / "shards"
    written.mkdir(exist_ok=True)
    sweep = _Sweep(splitter, contents, written)
    for path, records in map_unordered(_write, sweep.works(), workers):
        done = sweep.finish(path)
        flush_folder(written)
        _remove_buckets_below(done, spool)
        on_progress(done, records)


class _Sweep:
    """One pass over the digests, in which the shards of all splits are collected and written."""

    def __init__(self, splitter: Splitter, contents: Mapping[str, Contents], written: Path):
        self._splitter, self._contents, self._written = splitter, contents, written
        self._place = 0.0  # of the sweep, as a share of all digests
        self._begins: dict[Path, float] = {}  # where each shard begins that is collected or being written

    def works(self) -> Iterator[ShardWork]:
        """Shards that are not written yet."""
        collected: dict[str, ShardWork] = {}
        for split, placed in self._splitter:
            share = int.from_bytes(placed.image.digest[:4]) / 2**32
            count = _shard_count(self._contents[split])
            number = int(share * count)
            path = self._written / f"{split}-{number:05d}-of-{count:05d}{SHARD_SUFFIX}"
            if split in collected and collected[split].path != path:
                self._place = share
                yield from self._unless_written(collected.pop(split))
            if split not in collected:
                collected[split] = ShardWork(path, [])
                self._begins[path] = number / count
            collected[split].records.append(placed)
        self._place = 1.0
        while collected:
            yield from self._unless_written(collected.popitem()[1])

    def finish(self, path: Path) -> float:
        """Notes that a shard is written; returns the share of all digests below which nothing is needed any more."""
        del self._begins[path]
        return min(self._place, *self._begins.values()) if self._begins else self._place

    def _unless_written(self, work: ShardWork) -> Iterator[ShardWork]:
        if _description(work.path).exists():  # before an interruption
            self.finish(work.path)
        else:
            yield work


def _shard_count(contents: Contents) -> int:
    return math.ceil(contents.bytes / SHARD_BYTES)


def _write(work: ShardWork) -> tuple[Path, int]:
    shard = write_shard(work.path, (image.read(folder) for image, folder in work.records))
    with atomic_file(_description(work.path)) as partial:
        partial.write_text(json.dumps(dataclasses.asdict(shard)))
    return work.path, len(work.records)


def _description(shard: Path) -> Path:
    return shard.with_suffix(".json")


def _remove_buckets_below(share: float, spool: Path) -> None:
    for bucket in spool.glob("part-*/*.bucket"):
        if (int(bucket.name[:2], 16) + 1) / BUCKETS <= share:
            bucket.unlink()


def _move_shards(contents: Mapping[str, Contents], spool: Path, output: Path) -> dict[str, Split]:
    """Moves all shards to their final names; returns the splits with their shards."""
    splits = {}
    for split, counted in contents.items():
        shards = []
        for path in sorted((spool / "shards").glob(f"{split}-*.json")):
            shard = Shard(**json.loads(path.read_text()))
            new, final = path.parent / shard.file, output / shard.file
            if new.exists():  # else moved before an interruption
                if final.exists():
                    raise UserError(f"{final} is in the way, and no manifest knows it; move it elsewhere, and go on")
                new.rename(final)
            shards.append(shard)
        splits[split] = counted.split_of(shards)
    return splits
