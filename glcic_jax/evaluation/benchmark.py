"""A frozen benchmark: photographs, masks, and a manifest with the SHA-256 of each.

    BENCH/manifest.json  BENCH/images/NAME.png  BENCH/masks/NAME.png (white = hole)

Each photograph has one hole, and the kinds of holes take turns, so that no case depends on another. A case's name ends
with the first digits of its checksum, so that results of another benchmark match no name here.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glcic_jax.data.decoding import crop
from glcic_jax.data.holes import draw_hole
from glcic_jax.data.images import read_image, read_mask, write_image
from glcic_jax.errors import UserError
from glcic_jax.evaluation.manifest import MANIFEST, BenchmarkManifest, CaseEntry, files_of, read_manifest
from glcic_jax.system.atomic import atomic_folder
from glcic_jax.system.checksum import sha256_of

HOLE_KINDS = ("rect", "central", "brush", "thin", "medium", "thick")
"""A rectangle anywhere, one in the centre, and the strokes of a recipe's `config.holes`."""

CASE_FILE = re.compile(r"\d{5}-[a-z]+-[0-9a-f]{6}\.png")
"""What a case's files are called."""

Photograph = tuple[str, Callable[[], np.ndarray]]
"""Where a photograph comes from, and a function that decodes it: uint8 (H, W, 3)."""


@dataclass(frozen=True)
class Case:
    """One photograph with its hole. image uint8 (H, W, 3), mask uint8 (H, W, 1)."""

    name: str
    kind: str
    share: float  # of the image's pixels that are hole
    image: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class Benchmark:
    """An opened benchmark: every file is as its manifest says."""

    folder: Path
    manifest: BenchmarkManifest
    cases: list[Case]


def make_benchmark(
    photographs: Sequence[Photograph],
    output: Path,
    *,
    kinds: list[str],
    count: int,
    crop_px: int,
    short_side_px: int,
    hole_px: tuple[int, int],
    strokes: Mapping[str, Mapping[str, object]],
    seed: int,
) -> BenchmarkManifest:
    """Writes a benchmark of `count` photographs, drawn among those that can be read; returns its manifest.

    Args:
        photographs: where each comes from, and what opens it; those that raise UserError or ValueError are left out.
        output: the folder, which must not exist yet.
        kinds: of holes, among HOLE_KINDS; they take turns.
        crop_px, short_side_px: the short side is scaled to the one, then the centre's square is cut to the other.
        hole_px: smallest and largest side of rectangles.
        strokes: parameters of the other kinds, see `strokes.free_form`.
        seed: decides which photographs are taken, and every hole.

    Raises: UserError if there are too few photographs, or a kind is unknown.

    """
    draw = {kind: _mask_drawer(kind, crop_px, hole_px, strokes) for kind in kinds}
    if output.exists():
        raise UserError(f"{output} exists, and a benchmark is frozen; give another --output, or delete it yourself")
    cases: list[CaseEntry] = []
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
        manifest = BenchmarkManifest(
            seed, tuple(kinds), crop_px, short_side_px, hole_px,
            {kind: dict(strokes[kind]) for kind in kinds if kind in strokes}, tuple(left_out), tuple(cases),
        )  # fmt: skip
        manifest.write(partial)
    return manifest


def open_benchmark(folder: Path) -> Benchmark:
    """Reads a benchmark whole. Raises: UserError if it is none, a file has changed, or a mask covers nothing or all."""
    manifest = read_manifest(folder)
    return Benchmark(folder, manifest, [_read_case(folder, entry) for entry in manifest.cases])


def _mask_drawer(
    kind: str, crop_px: int, hole_px: tuple[int, int], strokes: Mapping[str, Mapping[str, object]]
) -> Callable[[np.random.Generator], np.ndarray]:
    """A function that draws masks of a kind: uint8 (crop, crop, 1)."""
    if kind not in HOLE_KINDS:
        raise UserError(f"no masks of kind {kind!r}; there are {', '.join(HOLE_KINDS)}")
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


def _write_case(folder: Path, index: int, kind: str, source: str, image: np.ndarray, mask: np.ndarray) -> CaseEntry:
    name = f"{index:05d}-{kind}-{hashlib.sha256(image.tobytes() + mask.tobytes()).hexdigest()[:6]}"
    image_file, mask_file = files_of(name)
    write_image(folder / image_file, image)
    write_image(folder / mask_file, (mask * np.uint8(255)).repeat(3, axis=2))
    sums = sha256_of(folder / image_file), sha256_of(folder / mask_file)
    return CaseEntry(name, kind, float(mask.mean()), source, image_file, mask_file, *sums)


def _read_case(folder: Path, entry: CaseEntry) -> Case:
    image_path, mask_path = folder / entry.image, folder / entry.mask
    for path, checksum in ((image_path, entry.image_sha256), (mask_path, entry.mask_sha256)):
        if not path.is_file():
            raise UserError(f"{path} is missing, but {folder / MANIFEST} names it; copy the benchmark again")
        if not path.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"{path} is a link out of the benchmark's folder; copy the file itself there")
        if sha256_of(path) != checksum:
            raise UserError(f"{path} has changed since the benchmark was made; copy the benchmark again")
    image, mask = read_image(image_path), read_mask(mask_path)
    if image.shape[:2] != mask.shape[:2]:
        raise UserError(f"{mask_path} has another size than its image; make the benchmark again")
    if not mask.any() or mask.all():
        covers = "everything" if mask.any() else "nothing"
        raise UserError(f"the mask {mask_path} covers {covers}; make the benchmark again")
    return Case(entry.name, entry.kind, float(mask.mean()), image, mask)
