"""A frozen benchmark: photographs, masks, and a manifest with the SHA-256 of each.

    BENCH/manifest.json  BENCH/images/NAME.png  BENCH/masks/NAME.png (white = hole)

Each photograph has one hole, the kinds in turn, so that cases are independent of each other. A case's name ends with
a piece of its checksum: results of another benchmark fit by no name.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from glcic_jax.atomic import atomic_folder
from glcic_jax.checksum import sha256_of
from glcic_jax.data.decoding import crop
from glcic_jax.data.holes import draw_hole
from glcic_jax.data.images import read_image, read_mask, write_image
from glcic_jax.errors import UserError

MANIFEST = "manifest.json"
FORMAT = "glcic-jax benchmark"
FORMAT_VERSION = 1
KINDS = ("rect", "central", "brush", "thin", "medium", "thick")
"""A rectangle anywhere, one in the centre, and the strokes of a recipe's `config.holes`."""

Open = tuple[str, Callable[[], np.ndarray]]
"""Where a photograph comes from, and a function that decodes it: uint8 (H, W, 3)."""


class Case(NamedTuple):
    """One photograph with its hole. image uint8 (H, W, 3), mask uint8 (H, W, 1)."""

    name: str
    kind: str
    share: float  # of the image's pixels that are hole
    image: np.ndarray
    mask: np.ndarray


class Benchmark(NamedTuple):
    """An opened benchmark: every file is as its manifest says."""

    folder: Path
    manifest: dict[str, Any]
    cases: list[Case]


def make(
    photographs: Sequence[Open],
    output: Path,
    *,
    kinds: list[str],
    count: int,
    crop_px: int,
    short_side_px: int,
    hole_px: tuple[int, int],
    strokes: Mapping[str, Mapping[str, Any]],
    seed: int,
) -> dict[str, Any]:
    """Writes a benchmark of `count` photographs, drawn among those that can be read; returns its manifest.

    Args:
        photographs: where each comes from, and what opens it; what raises UserError or ValueError is left out.
        output: the folder, which must not exist yet.
        crop_px, short_side_px: the centre's square, after scaling the short side.
        hole_px: sides of rectangles. strokes: parameters of the other kinds, see `strokes.free_form`.
        seed: fixes which photographs, and every hole.

    Raises: UserError if there are too few photographs, or a kind is unknown.

    """
    draw = {kind: _drawer(kind, crop_px, hole_px, strokes) for kind in kinds}
    if output.exists():
        raise UserError(f"{output} exists, and a benchmark is frozen; give another --output, or delete it yourself")
    cases: list[dict[str, Any]] = []
    left_out: list[str] = []
    with atomic_folder(output) as partial:
        for folder in ("images", "masks"):
            (partial / folder).mkdir()
        for index in np.random.default_rng(seed).permutation(len(photographs)):
            if len(cases) == count:
                break
            source, read = photographs[index]
            try:
                image = crop(read(), short_side_px, crop_px, (0.5, 0.5))
            except (UserError, ValueError) as error:
                left_out.append(f"{source}: {error}")
                continue
            kind = kinds[len(cases) % len(kinds)]
            mask = draw[kind](np.random.default_rng([seed, len(cases)]))
            cases.append(_write_case(partial, len(cases), kind, source, image, mask))
        if len(cases) < count:
            raise UserError(
                f"only {len(cases)} photographs can be used, not {count}; give a smaller --count, or more --images"
                + (f" ({len(left_out)} were left out, the first: {left_out[0]})" if left_out else "")
            )
        manifest = {
            "format": FORMAT, "format_version": FORMAT_VERSION, "seed": seed, "kinds": kinds, "crop_px": crop_px,
            "short_side_px": short_side_px, "hole_px": list(hole_px),
            "strokes": {kind: dict(strokes[kind]) for kind in kinds if kind in strokes},
            "left_out": left_out, "cases": cases,
        }  # fmt: skip
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest


def open_benchmark(folder: Path) -> Benchmark:
    """Reads a benchmark whole. Raises: UserError if it is none, a file has changed, or a mask covers nothing or all."""
    path = folder / MANIFEST
    if not path.is_file():
        raise UserError(f"{folder} is no benchmark: it holds no {MANIFEST}; make one with evaluate make")
    try:
        manifest = json.loads(path.read_text())
        if (manifest["format"], manifest["format_version"]) != (FORMAT, FORMAT_VERSION):
            raise ValueError(f"format {manifest['format']!r}, version {manifest['format_version']}")
        cases = [_read_case(folder, entry) for entry in manifest["cases"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a benchmark's manifest ({error}); copy the benchmark again") from error
    if not cases:
        raise UserError(f"{path} names no cases; make the benchmark again")
    return Benchmark(folder, manifest, cases)


def _drawer(
    kind: str, crop_px: int, hole_px: tuple[int, int], strokes: Mapping[str, Mapping[str, Any]]
) -> Callable[[np.random.Generator], np.ndarray]:
    """What draws a mask of a kind: uint8 (crop, crop, 1)."""
    if kind not in KINDS:
        raise UserError(f"no masks of kind {kind!r}; there are {', '.join(KINDS)}")
    if kind in ("rect", "central") and hole_px[1] >= crop_px:
        raise UserError(f"holes of {hole_px[1]} px leave nothing of {crop_px} px; give a smaller --hole_px")
    rectangles = {"share": 1.0, "count": (1, 1), "central": kind == "central"}
    holes = {"rectangles": rectangles} if kind in ("rect", "central") else {kind: {**strokes[kind], "share": 1.0}}

    def draw(rng: np.random.Generator) -> np.ndarray:
        while True:
            mask, _ = draw_hole(
                rng, size_px=crop_px, window_px=crop_px, hole_px=hole_px, holes=holes, in_window=False
            )  # fmt: skip
            if mask.any():
                return mask

    return draw


def _write_case(
    folder: Path, index: int, kind: str, source: str, image: np.ndarray, mask: np.ndarray
) -> dict[str, Any]:
    name = f"{index:05d}-{kind}-{hashlib.sha256(image.tobytes() + mask.tobytes()).hexdigest()[:6]}"
    files = {"image": f"images/{name}.png", "mask": f"masks/{name}.png"}
    write_image(folder / files["image"], image)
    write_image(folder / files["mask"], (mask * np.uint8(255)).repeat(3, axis=2))
    sums = {f"{what}_sha256": sha256_of(folder / file) for what, file in files.items()}
    return {"name": name, "kind": kind, "share": float(mask.mean()), "source": source, **files, **sums}


def _read_case(folder: Path, entry: dict[str, Any]) -> Case:
    for what in ("image", "mask"):
        file = folder / entry[what]
        if not file.is_file():
            raise UserError(f"{file} is missing, but {folder / MANIFEST} names it; copy the benchmark again")
        if sha256_of(file) != entry[f"{what}_sha256"]:
            raise UserError(f"{file} has changed since the benchmark was made; copy the benchmark again")
    image, mask = read_image(folder / entry["image"]), read_mask(folder / entry["mask"])
    if image.shape[:2] != mask.shape[:2]:
        raise UserError(f"{folder / entry['mask']} has another size than its image; make the benchmark again")
    if not mask.any() or mask.all():
        covers = "everything" if mask.any() else "nothing"
        raise UserError(f"the mask {folder / entry['mask']} covers {covers}; make the benchmark again")
    return Case(entry["name"], entry["kind"], float(mask.mean()), image, mask)
