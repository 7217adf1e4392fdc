"""What `manifest.json` says of a prepared data set: its splits with their shards, its sources, what was left out."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from glcic_jax.errors import UserError
from glcic_jax.system.atomic import atomic_file
from glcic_jax.system.durability import flush_file
from glcic_jax.system.json_fields import JsonError, JsonFields, read_json
from glcic_jax.system.retry import retry

MANIFEST = "manifest.json"
LEFT_OUT_LIST = "left_out.jsonl"
SHARD_SUFFIX = ".array_record"
FORMAT = "glcic-jax shards"
FORMAT_VERSION = 1

_MAX_SIDE_PX = 2**31 - 1


@dataclass(frozen=True)
class Shard:
    """A file of records. file: its name beside the manifest. sha256: of its bytes, hexadecimal."""

    file: str
    count: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Split:
    """The images of one split.

    mean_color: RGB in [0, 1] over all pixels.
    short_side_px: the smallest, the median and the largest.
    """

    count: int
    mean_color: tuple[float, float, float]
    short_side_px: tuple[int, int, int]
    shards: tuple[Shard, ...]


@dataclass(frozen=True)
class PreparedSource:
    """A folder or archive that images came from, by the last part of its path, and what was asked for.

    identity: a checksum of its files' names, sizes and times; "" where nobody took one.
    """

    name: str
    split: str | None
    val_fraction: float
    max_short_side_px: int
    min_short_side_px: int
    identity: str = ""


@dataclass(frozen=True)
class LeftOut:
    """A file that is not in the set. source: its place in `Manifest.sources`."""

    source: int
    name: str
    reason: str


@dataclass(frozen=True)
class Manifest:
    """A prepared data set.

    left_out: all files that are not in the set; where they are too many, examples of each kind of reason, and the
        whole list is in LEFT_OUT_LIST beside the manifest.
    left_out_kinds: how many there are of each kind then; else empty.
    notes: sentences for people, about what was done differently from what they might think.
    """

    sources: tuple[PreparedSource, ...] = ()
    splits: Mapping[str, Split] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()
    left_out_kinds: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def left_out_count(self) -> int:
        """How many files are not in the set."""
        return sum(self.left_out_kinds.values()) or len(self.left_out)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes the manifest, whole or not at all."""
    about = {"format": FORMAT, "format_version": FORMAT_VERSION, **dataclasses.asdict(manifest)}
    for key in ("left_out_kinds", "notes"):
        if not about[key]:
            del about[key]
    for source in about["sources"]:
        if not source["identity"]:
            del source["identity"]
    with atomic_file(folder / MANIFEST) as partial:
        partial.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        flush_file(partial)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a prepared folder, checked. Raises: UserError that says how to prepare one."""
    path = folder / MANIFEST
    try:
        about = retry(lambda: read_json(path, "the manifest"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(
            f"no shards in {folder} (no {MANIFEST}); make them with: "
            f"python launch/prepare.py --source=PHOTOGRAPHS --output={folder}"
        ) from error
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); mend that and run the same command again"
        ) from error
    except JsonError as error:
        raise UserError(f"{path} is not a manifest ({error}); prepare the data again") from error
    try:
        if about.text("format") != FORMAT or about.whole("format_version", 1) > FORMAT_VERSION:
            raise UserError(f"{path} is of another or a newer format; prepare the data with this version")
        return _manifest(about)
    except JsonError as error:
        raise UserError(f"{path} is not a manifest ({error}); prepare the data again") from error


def _manifest(about: JsonFields) -> Manifest:
    splits = about.section("splits")
    kinds = about.section("left_out_kinds") if "left_out_kinds" in about else None
    sources = tuple(_source(source) for source in about.sections("sources"))
    return Manifest(
        sources=sources,
        splits={name: _split(splits.section(name)) for name in splits.values},
        left_out=tuple(
            LeftOut(entry.whole("source", most=len(sources) - 1), entry.text("name"), entry.text("reason"))
            for entry in about.sections("left_out")
        ),
        left_out_kinds={kind: kinds.whole(kind) for kind in kinds.values} if kinds else {},
        notes=about.texts("notes") if "notes" in about else (),
    )


def _source(about: JsonFields) -> PreparedSource:
    return PreparedSource(
        name=about.text("name"),
        split=about.text("split") if about.values.get("split") is not None else None,
        val_fraction=about.number("val_fraction", 0, 1),
        max_short_side_px=about.whole("max_short_side_px", 1, _MAX_SIDE_PX),
        min_short_side_px=about.whole("min_short_side_px", -_MAX_SIDE_PX, _MAX_SIDE_PX),
        identity=about.text("identity") if "identity" in about else "",
    )


def _split(about: JsonFields) -> Split:
    red, green, blue = about.numbers("mean_color", 3, 0, 1)
    smallest, median, largest = about.wholes("short_side_px", 3, 1, _MAX_SIDE_PX)
    shards = tuple(_shard(shard) for shard in about.sections("shards"))
    count = about.whole("count", 1)
    records = sum(shard.count for shard in shards)
    if not smallest <= median <= largest:
        raise about.wrong("short_side_px", "the smallest, the median and the largest in this order")
    if count != records:
        raise about.wrong("count", f"the {records} records of its shards")
    if len({shard.file for shard in shards}) < len(shards):
        raise about.wrong("shards", "files of different names")
    return Split(count, (red, green, blue), (smallest, median, largest), shards)


def _shard(about: JsonFields) -> Shard:
    sha256 = about.text("sha256")
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise about.wrong("sha256", "64 hexadecimal digits")
    return Shard(about.file_name("file", SHARD_SUFFIX), about.whole("count"), about.whole("bytes"), sha256)
