"""A prepared data set: ArrayRecord shards, one JPEG a record, and the manifest that describes them."""

import bisect
import errno
import itertools
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from array_record.python.array_record_data_source import ArrayRecordDataSource
from array_record.python.array_record_module import ArrayRecordWriter

from glcic_jax.atomic import atomic_file
from glcic_jax.checksum import sha256_of
from glcic_jax.errors import UserError

MANIFEST = "manifest.json"
FORMAT = "glcic-jax shards"
FORMAT_VERSION = 1


def write_shard(path: Path, records: Iterable[bytes]) -> dict[str, Any]:
    """Writes one shard, whole or not at all; returns its entry for the manifest. Raises: OSError."""
    count = 0
    with atomic_file(path) as partial:
        # One record a group for random access; JPEGs do not shrink a second time.
        writer = ArrayRecordWriter(str(partial), "group_size:1,uncompressed")
        try:
            try:
                for record in records:
                    writer.write(record)
                    count += 1
            finally:
                writer.close()
        except RuntimeError as error:  # what the writer raises for a full disk, say
            raise OSError(errno.EIO, str(error).partition(";")[0]) from error
        return {
            "file": path.name,
            "count": count,
            "bytes": partial.stat().st_size,
            "sha256": sha256_of(partial),
        }


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Writes the manifest, whole or not at all."""
    with atomic_file(folder / MANIFEST) as partial:
        partial.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


def new_manifest() -> dict[str, Any]:
    """A manifest without splits."""
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "sources": [],
        "splits": {},
        "left_out": [],
    }


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a prepared folder. Raises: UserError that says how to prepare one."""
    path = folder / MANIFEST
    if not path.is_file():
        raise UserError(
            f"no shards in {folder} (no {MANIFEST}); make them with: "
            f"python launch/prepare.py --source=PHOTOGRAPHS --output={folder}"
        )
    try:
        manifest = json.loads(path.read_text())
        known = manifest["format"] == FORMAT and manifest["format_version"] <= FORMAT_VERSION
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a manifest ({error}); prepare the data again") from error
    if not known:
        raise UserError(f"{path} is of another or a newer format; prepare the data with this version")
    return manifest


def problems(
    folder: Path,
    manifest: dict[str, Any],
    on_progress: Callable[[float, int], None] = lambda share, shards: None,
) -> list[str]:
    """Reads every shard whole; says of each that is not as the manifest describes it what is wrong."""
    shards = [shard for split in manifest["splits"].values() for shard in split["shards"]]
    found = []
    for number, shard in enumerate(shards, start=1):
        path = folder / shard["file"]
        if not path.is_file():
            found.append(f"{path} is missing")
        elif path.stat().st_size != shard["bytes"]:
            found.append(f"{path} has {path.stat().st_size} bytes, not {shard['bytes']}")
        elif sha256_of(path) != shard["sha256"]:
            found.append(f"{path} has other bytes than it was written with")
        on_progress(number / len(shards), 1)
    known = {shard["file"] for shard in shards}
    found += [
        f"{path} is not in the manifest" for path in sorted(folder.glob("*.array_record")) if path.name not in known
    ]
    return found


def open_split(folder: Path, manifest: dict[str, Any], split: str) -> "Records":
    """The JPEGs of one split by index, after checking that its shards are as large as the manifest says.

    Raises: UserError if the split or a shard is missing, or a shard has another size or number of records.
    """
    try:
        shards = manifest["splits"][split]["shards"]
    except KeyError:
        raise UserError(
            f"{folder / MANIFEST} has no split {split!r}, only {sorted(manifest['splits'])}; add it with: "
            f"python launch/prepare.py --source=PHOTOGRAPHS --output={folder} --split={split}"
        ) from None
    advice = "prepare the data again, or copy the folder whole"
    for shard in shards:
        path = folder / shard["file"]
        if not path.is_file():
            raise UserError(f"the shard {path} is missing; {advice}")
        if (found := path.stat().st_size) != shard["bytes"]:
            raise UserError(f"the shard {path} has {found} bytes, its manifest says {shard['bytes']}; {advice}")
    count = sum(shard["count"] for shard in shards)
    try:
        source = ArrayRecordDataSource([str(folder / shard["file"]) for shard in shards])
        found = len(source)
    except (RuntimeError, ValueError) as error:  # what the reader raises for a damaged footer
        raise UserError(f"the shards of {split!r} in {folder} cannot be read ({error}); {advice}") from error
    if found != count:
        raise UserError(
            f"the shards of {split!r} in {folder} hold {found} records, the manifest says {count}; {advice}"
        )
    return Records(source, shards)


class Records:
    """The records of a split by index."""

    def __init__(self, source: ArrayRecordDataSource, shards: list[dict[str, Any]]):
        """shards: as the manifest describes them."""
        self._source = source
        self._files = [shard["file"] for shard in shards]
        self._ends = [*itertools.accumulate(shard["count"] for shard in shards)]

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> bytes:
        """Raises: ValueError naming a record that is damaged."""
        try:
            return self._source[index]
        except RuntimeError as error:
            shard = bisect.bisect(self._ends, index)
            place = index - (self._ends[shard - 1] if shard else 0)
            raise ValueError(f"number {place} in {self._files[shard]} is damaged ({error})") from error
