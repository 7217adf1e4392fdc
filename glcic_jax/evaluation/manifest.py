"""The manifest of a benchmark: what it holds, how it was made, and the SHA-256 of every file.

Benchmarks travel, so a manifest is read with suspicion: types and ranges are checked, and a case's files lie where
its name says, inside the benchmark's folder.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from glcic_jax.errors import UserError
from glcic_jax.system.json_fields import JsonError, JsonFields, read_json

MANIFEST = "manifest.json"
FORMAT = "glcic-jax benchmark"
FORMAT_VERSION = 1

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")  # a file's on every system, and in no other folder
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class CaseEntry:
    """What the manifest says of one case.

    Fields:
        name: of both files, without folder or ending.
        kind: of hole. share: of the image's pixels that are hole.
        source: where the photograph came from, for people.
        image, mask: paths of the files in the benchmark's folder.
    """

    name: str
    kind: str
    share: float
    source: str
    image: str
    mask: str
    image_sha256: str
    mask_sha256: str


@dataclass(frozen=True)
class BenchmarkManifest:
    """How a benchmark was made (see `benchmark.make_benchmark`), and its cases."""

    seed: int
    kinds: tuple[str, ...]
    crop_px: int
    short_side_px: int
    hole_px: tuple[int, int]
    strokes: Mapping[str, Mapping[str, object]]
    left_out: tuple[str, ...]
    cases: tuple[CaseEntry, ...]

    def write(self, folder: Path) -> None:
        """Writes it into the benchmark's folder."""
        content = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(self)}
        (folder / MANIFEST).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def files_of(name: str) -> tuple[str, str]:
    """Where a case's image and mask lie in the benchmark's folder."""
    return f"images/{name}.png", f"masks/{name}.png"


def read_manifest(folder: Path) -> BenchmarkManifest:
    """The manifest in a benchmark's folder. Raises: UserError if there is none, or a value in it cannot be."""
    path = folder / MANIFEST
    if not path.is_file():
        raise UserError(f"{folder} is no benchmark: it holds no {MANIFEST}; make one with evaluate make")
    try:
        manifest = _manifest(read_json(path, "the file"))
    except JsonError as error:
        raise UserError(f"{path} is not a benchmark's manifest ({error}); copy the benchmark again") from None
    if not manifest.cases:
        raise UserError(f"{path} names no cases; make the benchmark again")
    return manifest


def _manifest(content: JsonFields) -> BenchmarkManifest:
    if (content.text("format"), content.whole("format_version")) != (FORMAT, FORMAT_VERSION):
        raise JsonError(f"format {content.values['format'][:80]!r}, version {content.values['format_version']}")
    cases = tuple(_case(JsonFields(entry, f"case {index}")) for index, entry in enumerate(content.items("cases")))
    names: set[str] = set()
    for case in cases:
        if case.name.casefold() in names:  # files of one name to macOS and Windows
            raise JsonError(f"two cases are called {case.name}")
        names.add(case.name.casefold())
    smallest, largest = content.wholes("hole_px", 2, 1)
    strokes = content.section("strokes")
    return BenchmarkManifest(
        seed=content.whole("seed"),
        kinds=content.texts("kinds"),
        crop_px=content.whole("crop_px", 1),
        short_side_px=content.whole("short_side_px", 1),
        hole_px=(smallest, largest),
        strokes={kind: strokes.section(kind).values for kind in strokes.values},
        left_out=content.texts("left_out"),
        cases=cases,
    )


def _case(entry: JsonFields) -> CaseEntry:
    name = entry.text("name")
    if not _NAME.fullmatch(name):
        raise JsonError(f"a case is called {name[:80]!r}, where letters, digits, '.', '_' and '-' are allowed")
    image, mask = entry.text("image"), entry.text("mask")
    if (image, mask) != files_of(name):
        raise JsonError(f"the files of case {name} are {image[:80]!r} and {mask[:80]!r}, which is not where they lie")
    sums = entry.text("image_sha256"), entry.text("mask_sha256")
    for key, value in zip(("image_sha256", "mask_sha256"), sums, strict=True):
        if not _SHA256.fullmatch(value):
            raise entry.wrong(key)
    return CaseEntry(name, entry.text("kind"), entry.number("share", 0, 1), entry.text("source"), image, mask, *sums)
