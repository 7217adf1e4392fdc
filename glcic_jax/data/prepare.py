"""Photographs into shards: every image proven, made upright RGB, and shuffled by its content.

The order of the source does not matter: what is written follows from the files' contents and paths alone.
"""

import hashlib
import math
import pickle
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from glcic_jax.data.images import ImageError, Record, encode_record
from glcic_jax.data.shards import MANIFEST, new_manifest, read_manifest, write_manifest, write_shard
from glcic_jax.data.sources import Entry
from glcic_jax.errors import UserError

BUCKETS = 256
SHARD_BYTES = 256 * 2**20

_SPLIT_FOLDER = re.compile(r"(train|val|test)(_256|_large)?")


class Spooled(NamedTuple):
    """An image on its way to a shard."""

    digest: bytes  # SHA-256 of the source file's bytes
    name: str
    split: str
    record: Record


def prepare(
    source_name: str,
    entries: Iterable[Entry],
    output: Path,
    split: str | None,
    val_fraction: float,
    max_short_side_px: int,
    on_file: Callable[[], None],
) -> dict[str, Any]:
    """Writes the shards of one source and the manifest.

    Args:
        source_name: what the manifest calls the source.
        entries: its files.
        output: folder of the set, created if missing; splits that it holds already stay.
        split: name of the split for all images; None goes by folders called train, val or test, and where the
            source has no val, sets `val_fraction` of the images apart, chosen by their content.
        val_fraction: share in [0, 1).
        max_short_side_px: larger images are scaled down to this.
        on_file: called after each file of the source.

    Returns: the manifest as written.
    Raises: UserError if nothing readable was found, or the output holds one of the splits already.

    """
    manifest = read_manifest(output) if (output / MANIFEST).exists() else new_manifest()
    if split in manifest["splits"]:
        raise UserError(f"{output} already holds the split {split!r}; choose another --output or --split")
    new_folder = not output.exists()
    try:
        output.mkdir(parents=True, exist_ok=True)
        spool = Path(tempfile.mkdtemp(prefix=".partial-", dir=output))
    except OSError as error:
        raise UserError(f"cannot write to {output}: {error.strerror}; choose another --output") from error
    try:
        left_out = _spool(entries, spool, split, max_short_side_px, on_file)
        images, duplicates = _deduplicated(spool)
        left_out += duplicates
        if not images:
            why = " (it is empty)"
            if left_out:
                why = f"; the first of {len(left_out)} files, {left_out[0]['name']}: {left_out[0]['reason']}"
            raise UserError(f"no readable image in {source_name}{why}; give a folder or tar of photographs")
        splits = _choose_splits(images, split, val_fraction)
        for name in set(splits.values()) & set(manifest["splits"]):
            raise UserError(f"{output} already holds the split {name!r}; choose another --output, or --split=NAME")
        described = _write_splits(spool, splits)
        manifest["splits"] |= described
        manifest["sources"].append(source_name)
        manifest["settings"] = {"max_short_side_px": max_short_side_px}
        manifest["left_out"] += sorted(left_out, key=lambda entry: entry["name"])
        for name in described:  # whole, all of them: only now do they get their places
            for shard in described[name]["shards"]:
                (spool / shard["file"]).replace(output / shard["file"])
        write_manifest(output, manifest)
    except BaseException as error:
        shutil.rmtree(output if new_folder else spool)
        if isinstance(error, OSError):
            raise UserError(f"cannot write to {output}: {error.strerror}; make room or choose another") from error
        raise
    shutil.rmtree(spool)
    return manifest


def _spool(
    entries: Iterable[Entry],
    spool: Path,
    split: str | None,
    max_short_side_px: int,
    on_file: Callable[[], None],
) -> list[dict[str, str]]:
    """Encodes all images into bucket files by content hash; returns what was left out and why."""
    left_out = []
    for name, data, reason in entries:
        if data is not None:
            try:
                record = encode_record(data, max_short_side_px)
            except ImageError as error:
                reason = str(error)
            else:
                digest = hashlib.sha256(data).digest()
                image = Spooled(digest, name, split or _split_by_folder(name), record)
                with _bucket_file(spool, digest[0]).open("ab") as bucket:
                    pickle.dump(tuple(image), bucket)
        if reason:
            left_out.append({"name": name, "reason": reason})
        on_file()
    return left_out


def _bucket_file(spool: Path, index: int) -> Path:
    return spool / f"{index:03d}.bucket"


def _split_by_folder(name: str) -> str:
    for part in name.split("/")[:-1]:
        if match := _SPLIT_FOLDER.fullmatch(part):
            return match[1]
    return "train"


def _bucket(spool: Path, index: int) -> Iterator[Spooled]:
    path = _bucket_file(spool, index)
    if not path.exists():
        return
    with path.open("rb") as opened:
        while opened.peek(1):
            digest, name, split, record = pickle.load(opened)
            yield Spooled(digest, name, split, Record(*record))


def _deduplicated(spool: Path) -> tuple[dict[bytes, tuple[str, str]], list[dict[str, str]]]:
    """(name, split) of each different content, the smallest path where several files are equal; and the others."""
    images: dict[bytes, tuple[str, str]] = {}
    left_out = []
    for index in range(BUCKETS):
        for image in _bucket(spool, index):
            mine = (image.name, image.split)
            kept = min(mine, images.get(image.digest, mine))
            if image.digest in images:
                loser = max(mine, images[image.digest])
                left_out.append({"name": loser[0], "reason": f"same bytes as {kept[0]}"})
            images[image.digest] = kept
    return images, left_out


def _choose_splits(images: dict[bytes, tuple[str, str]], split: str | None, val_fraction: float) -> dict[bytes, str]:
    """Split of each content."""
    splits = {digest: of for digest, (_, of) in images.items()}
    train = [digest for digest, of in splits.items() if of == "train"]
    if split or val_fraction == 0 or len(train) < 2 or "val" in splits.values():
        return splits
    # By the digest's end: its beginning orders the records in the shards, and both are to be shuffled.
    train.sort(key=lambda digest: digest[::-1])
    count = min(len(train) - 1, math.ceil(val_fraction * len(train)))
    return splits | dict.fromkeys(train[:count], "val")


def _write_splits(spool: Path, splits: dict[bytes, str]) -> dict[str, Any]:
    """Writes the shards of all splits into the spool, records in the order of their content hash."""
    totals = dict.fromkeys(sorted(set(splits.values())), 0)
    for index in range(BUCKETS):
        for digest, image in _sorted_bucket(spool, index):
            totals[splits[digest]] += len(image.record.jpeg)
    described = {}
    for split, total in totals.items():
        n_shards = min(BUCKETS, math.ceil(total / SHARD_BYTES))
        shards, pixel_sum, pixels, sides = [], [0, 0, 0], 0, []
        for number in range(n_shards):
            records = []
            for index in range(number * BUCKETS // n_shards, (number + 1) * BUCKETS // n_shards):
                for digest, image in _sorted_bucket(spool, index):
                    if splits[digest] != split:
                        continue
                    record = image.record
                    records.append(record.jpeg)
                    pixels += record.height_px * record.width_px
                    pixel_sum = [s + int(v) for s, v in zip(pixel_sum, record.pixel_sum, strict=True)]
                    sides.append(min(record.height_px, record.width_px))
            name = f"{split}-{number:05d}-of-{n_shards:05d}.array_record"
            shards.append(write_shard(spool / name, records))
        described[split] = {
            "count": len(sides),
            "mean_color": [s / pixels / 255 for s in pixel_sum],
            "short_side_px": [min(sides), max(sides)],
            "shards": shards,
        }
    return described


def _sorted_bucket(spool: Path, index: int) -> list[tuple[bytes, Spooled]]:
    """The different images of a bucket in the order of their digests."""
    images = {image.digest: image for image in _bucket(spool, index)}
    return sorted(images.items())
