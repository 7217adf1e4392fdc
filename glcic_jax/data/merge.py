"""From spooled parts to shards and manifest: duplicates left out, splits chosen, records in the order of their hash."""

import array
import contextlib
import heapq
import itertools
import json
import math
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from glcic_jax.atomic import atomic_file
from glcic_jax.data.shards import MANIFEST, new_manifest, read_manifest, write_manifest, write_shard
from glcic_jax.data.splits import DEFAULT_SPLIT, split_of
from glcic_jax.data.spool import BUCKETS, Image, Index, LeftOut
from glcic_jax.data.workers import map_unordered
from glcic_jax.errors import UserError
from glcic_jax.lock import locked

SHARD_BYTES = 256 * 2**20

_PART = re.compile(r"part-(\d+)-of-(\d+)")


class Placed(NamedTuple):
    """An image and the folder of the part that it lies in."""

    image: Image
    folder: Path


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
) -> dict[str, Any]:
    """Writes the shards, moves them to their final names, writes the manifest and removes the spool."""
    folders = _complete_parts(spool, output)
    with contextlib.ExitStack() as stack:
        for folder in folders:
            stack.enter_context(locked(folder / "lock", str(output)))
        indexes = [stack.enter_context(Index(folder)) for folder in folders]
        plan = _common_plan(indexes, spool)
        manifest = read_manifest(output) if (output / MANIFEST).exists() else new_manifest()
        if holds(manifest, plan["sources"]):  # killed after the manifest was written
            shutil.rmtree(spool)
            return manifest
        splitter = _Splitter(folders, indexes, plan["settings"])
        if not splitter.names:
            reasons = [*itertools.chain.from_iterable(index.left_out() for index in indexes)]
            _give_up(spool, output)
            names = ", ".join(source["name"] for source in plan["sources"])
            first = f"; the first of {len(reasons)} files, {reasons[0].name}: {reasons[0].reason}" if reasons else ""
            raise UserError(
                f"no readable image in {names}{first or ' (it is empty)'}; give a folder or tar of photographs"
            )
        described = _describe(splitter)
        _write_shards(splitter, described, spool, workers, on_progress)
        base = len(manifest["sources"])
        left_out = sorted(itertools.chain(splitter.duplicates, *(index.left_out() for index in indexes)))
        manifest["left_out"] += [image._replace(source=base + image.source)._asdict() for image in left_out]
        manifest["sources"] += plan["sources"]
        manifest["splits"] |= _moved(described, spool, output)
        write_manifest(output, manifest)
    shutil.rmtree(spool)
    return manifest


def holds(manifest: dict[str, Any], sources: list[dict[str, Any]]) -> bool:
    """Whether a set was made from these sources, with the same settings, already."""
    return all(source in manifest["sources"] for source in sources)


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
            if not index["complete"]:
                missing.append(int(folder.name.split("-")[1]))
    if missing:
        raise UserError(
            f"of the {count} part(s) of {output}, {len(missing)} are not done; run first "
            f"{', '.join(f'--part={i}/{count}' for i in sorted(missing)[:5])}{', ...' if len(missing) > 5 else ''}"
        )
    return list(folders.values())


def _common_plan(indexes: list[Index], spool: Path) -> dict[str, Any]:
    plan, files = indexes[0]["plan"], indexes[0]["complete"]
    if any(index["plan"] != plan or index["complete"] != files for index in indexes):
        raise UserError(f"the parts in {spool} are of different sources or settings; delete it and prepare them again")
    return plan


def _give_up(spool: Path, output: Path) -> None:
    """Leaves nothing where there was nothing to prepare."""
    shutil.rmtree(spool)
    with contextlib.suppress(OSError):  # it holds other things
        output.rmdir()


class _Splitter:
    """All different images in the order of their digests, each with its split.

    names: the splits that have images.
    duplicates: files left out because another one has the same bytes.
    """

    def __init__(self, folders: list[Path], indexes: list[Index], settings: dict[str, Any]):
        self._folders, self._indexes, self._split = folders, indexes, settings["split"]
        self._listed = indexes[0].listed if indexes[0].has_lists() else lambda path: None
        self.duplicates: list[LeftOut] = []
        self.names: set[str] = set()
        keys = array.array("Q")
        for image, others in self._different():
            self.duplicates += [LeftOut(o.source, o.name, f"same bytes as {image.image.name}") for o in others]
            split = self._by_name(image.image)
            self.names.add(split)
            if split == DEFAULT_SPLIT:
                keys.append(_key(image.image))
        self._val_below = 0
        if self._split is None and "val" not in self.names and len(keys) > 1 and settings["val_fraction"] > 0:
            count = min(len(keys) - 1, math.ceil(settings["val_fraction"] * len(keys)))
            self._val_below = int(np.partition(np.frombuffer(keys, np.uint64), count)[count])
            self.names.add("val")

    def __iter__(self) -> Iterator[tuple[str, Placed]]:
        for placed, _ in self._different():
            split = self._by_name(placed.image)
            if split == DEFAULT_SPLIT and _key(placed.image) < self._val_below:
                split = "val"
            yield split, placed

    def _different(self) -> Iterator[tuple[Placed, list[Image]]]:
        """Each content with the smallest path that has it, and the other files of the same content."""
        parts = [_placed(folder, index) for folder, index in zip(self._folders, self._indexes, strict=True)]
        in_order = heapq.merge(*parts, key=lambda placed: placed.image[:3])  # digest, name, source
        for _, equal in itertools.groupby(in_order, key=lambda placed: placed.image.digest):
            first, *others = equal
            yield first, [placed.image for placed in others]

    def _by_name(self, image: Image) -> str:
        return self._split or split_of(image.name, self._listed)


def _placed(folder: Path, index: Index) -> Iterator[Placed]:
    for image in index.images():
        yield Placed(image, folder)


def _key(image: Image) -> int:
    """What the val images are chosen by: the digest's end, since its beginning orders the shards; both are shuffled."""
    return int.from_bytes(image.digest[:-9:-1])


def _describe(splitter: _Splitter) -> dict[str, Any]:
    """Counts, colours, sizes and numbers of shards, by split."""
    counts: Counter[str] = Counter()
    jpeg_bytes: Counter[str] = Counter()
    pixels: Counter[str] = Counter()
    sums: dict[str, list[int]] = {}
    short_sides: dict[str, Counter[int]] = {}
    for split, (image, _) in splitter:
        counts[split] += 1
        jpeg_bytes[split] += image.length
        pixels[split] += image.height_px * image.width_px
        colours = (image.red, image.green, image.blue)
        sums[split] = [a + b for a, b in zip(sums.get(split, (0, 0, 0)), colours, strict=True)]
        short_sides.setdefault(split, Counter())[min(image.height_px, image.width_px)] += 1
    return {
        split: {
            "count": counts[split],
            "mean_color": [value / pixels[split] / 255 for value in sums[split]],
            "short_side_px": [min(short_sides[split]), _median(short_sides[split]), max(short_sides[split])],
            "shards": math.ceil(jpeg_bytes[split] / SHARD_BYTES),
        }
        for split in sorted(counts)
    }


def _median(counts: Counter[int]) -> int:
    middle = sum(counts.values()) // 2
    for value in sorted(counts):
        middle -= counts[value]
        if middle < 0:
            break
    return value


def _write_shards(
    splitter: _Splitter,
    described: dict[str, Any],
    spool: Path,
    workers: int,
    on_progress: Callable[[float, int], None],
) -> None:
    """Writes each shard and its description into the spool; buckets go as soon as nobody needs them any more."""
    written = spool / "shards"
    written.mkdir(exist_ok=True)
    needed_from: dict[Path | None, float] = {}
    for path, records in map_unordered(_write, _shard_works(splitter, described, written, needed_from), workers):
        del needed_from[path]
        done = min(needed_from.values())
        _remove_buckets_below(done, spool)
        on_progress(done, records)


def _shard_works(
    splitter: _Splitter,
    described: dict[str, Any],
    written: Path,
    needed_from: dict[Path | None, float],
) -> Iterator[ShardWork]:
    """Shards that are not written yet, those of all splits in one sweep over the digests.

    Keeps `needed_from`: where, as a share of all digests, each shard begins that is collected or being written, and
    under None how far the sweep is.
    """
    collected: dict[str, ShardWork] = {}

    def whole(split: str) -> Iterator[ShardWork]:
        work = collected.pop(split)
        if _description(work.path).exists():  # before an interruption
            del needed_from[work.path]
        else:
            yield work

    for split, placed in splitter:
        share = int.from_bytes(placed.image.digest[:4]) / 2**32
        count = described[split]["shards"]
        number = int(share * count)
        path = written / f"{split}-{number:05d}-of-{count:05d}.array_record"
        if split in collected and collected[split].path != path:
            needed_from[None] = share
            yield from whole(split)
        if split not in collected:
            collected[split] = ShardWork(path, [])
            needed_from[path] = number / count
        collected[split].records.append(placed)
    needed_from[None] = 1.0
    for split in [*collected]:
        yield from whole(split)


def _write(work: ShardWork) -> tuple[Path, int]:
    shard = write_shard(work.path, (image.read(folder) for image, folder in work.records))
    with atomic_file(_description(work.path)) as partial:
        partial.write_text(json.dumps(shard))
    return work.path, len(work.records)


def _description(shard: Path) -> Path:
    return shard.with_suffix(".json")


def _remove_buckets_below(share: float, spool: Path) -> None:
    for bucket in spool.glob("part-*/*.bucket"):
        if (int(bucket.name[:2], 16) + 1) / BUCKETS <= share:
            bucket.unlink()


def _moved(described: dict[str, Any], spool: Path, output: Path) -> dict[str, Any]:
    """Moves all shards to their final names; returns the splits with their shards."""
    splits = {}
    for split, about in described.items():
        shards = []
        for path in sorted((spool / "shards").glob(f"{split}-*.json")):
            shard = json.loads(path.read_text())
            new, final = path.parent / shard["file"], output / shard["file"]
            if new.exists():  # else moved before an interruption
                if final.exists():
                    raise UserError(f"{final} is in the way, and no manifest knows it; move it elsewhere, and go on")
                new.rename(final)
            shards.append(shard)
        splits[split] = about | {"shards": shards}
    return splits
