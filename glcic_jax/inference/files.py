"""Photographs and masks on disk: which belong together, and completing them one by one or in numbers."""

import glob
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glcic_jax.data.encoding import KINDS
from glcic_jax.data.images import SUFFIXES, require_writable, write_image
from glcic_jax.data.photographs import read_photograph
from glcic_jax.errors import UserError
from glcic_jax.inference.masks import HoleSource, check_size, overlay

# image.png goes with image.png, image_mask.png and, as LaMa names them, image_mask001.png in the masks' folder.
_MASK_NAME = re.compile(r"(?P<stem>.+?)_mask\d*$")

Paint = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, list[str]]]
"""Pixels (H, W, 3) and mask (H, W, 1) -> completed pixels, and notes for people."""


@dataclass(frozen=True)
class Job:
    """One photograph, where its hole is, and where the result goes."""

    photograph: Path
    source: HoleSource
    output: Path

    def run(self, paint: Paint, preview: bool) -> list[str]:
        """Completes and writes; returns notes for people. Raises: UserError naming the photograph."""
        opened = read_photograph(self.photograph)
        pixels = opened.pixels
        try:
            check_size(pixels)
            hole = self.source.hole(pixels, opened.alpha)
        except UserError as error:
            raise UserError(f"{self.photograph}: {error}") from error
        if preview:
            write_image(self.preview, overlay(pixels, hole))
        painted, notes = paint(pixels, hole[..., None])
        opened.save(self.output, painted, hole, opaque=self.source.alpha)
        return [*opened.notes, *notes]

    @property
    def preview(self) -> Path:
        """Where the overlay of the mask goes."""
        return self.output.with_name(f"{self.output.stem}_preview.jpg")

    def check(self) -> None:
        """Raises: UserError if the result could not be written, or would replace what it is made of."""
        for given in (self.photograph, self.source.file):
            if given is not None and given.resolve() == self.output.resolve():
                raise UserError(f"the output {self.output} would overwrite {given}; give another --output")
        require_writable(self.output)


def single_job(photograph: Path, source: HoleSource, output: Path | None, suffix: str | None = None) -> Job:
    """The job of one photograph; without an output it goes beside it, as NAME_completed.

    suffix: of the result's name where the output names no file; None keeps the photograph's.
    """
    suffix = suffix or _suffix(photograph)
    if output is None:
        output = photograph.with_name(f"{photograph.stem}_completed{suffix}")
    elif output.is_dir():
        output = output / f"{photograph.stem}{suffix}"
    return Job(photograph, source, output)


def names_many(pattern: str) -> bool:
    """Whether it is a folder or a glob pattern, not a file's name."""
    return Path(pattern).is_dir() or (glob.has_magic(pattern) and not Path(pattern).exists())


def find_photographs(patterns: list[str]) -> list[Path]:
    """The images that files, folders and glob patterns name, in order. Raises: UserError if one names none."""
    found: list[Path] = []
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            some = [p for p in sorted(path.rglob("*")) if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
            some = [p for p in some if not (_MASK_NAME.fullmatch(p.stem))]
        elif names_many(pattern):
            some = [path for path in _matching(pattern) if path.is_file()]
        else:
            some = [path]
        if not some:
            raise UserError(f"no image in {pattern}; known kinds: {', '.join(SUFFIXES)}")
        found.extend(some)
    return list(dict.fromkeys(found))


def find_masks(pattern: str) -> dict[str, list[Path]]:
    """Masks by the name of the photograph that they belong to."""
    path = Path(pattern)
    names = path.rglob("*") if path.is_dir() else _matching(pattern)
    masks: dict[str, list[Path]] = {}
    for mask in sorted(p for p in names if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")):
        matched = _MASK_NAME.fullmatch(mask.stem)
        masks.setdefault(matched["stem"] if matched else mask.stem, []).append(mask)
    return masks


def batch_jobs(
    photographs: list[Path], source: HoleSource, masks: dict[str, list[Path]] | None, output: Path, suffix: str | None
) -> tuple[list[Job], list[str]]:
    """Jobs for many photographs, and what is wrong with those that got none.

    Args:
        source: where each hole is; masks: files by the photograph's name, which then take `source.file`'s place.
        output: the folder for the results. suffix: of their names; None keeps the photograph's.

    Raises: UserError if no photograph at all has a mask, two results would have one name, or one would replace a
        photograph or a mask.

    """
    jobs, errors = [], []
    for photograph in photographs:
        name = f"{photograph.stem}{suffix or _suffix(photograph)}"
        if masks is None:
            jobs.append(Job(photograph, source, output / name))
            continue
        own = [mask for mask in masks.get(photograph.stem, []) if mask.resolve() != photograph.resolve()]
        if not own:
            errors.append(
                f"{photograph}: no mask of its name; call it {photograph.stem}.png or {photograph.stem}_mask.png"
            )
        for mask in own:
            kept = name if len(own) == 1 else f"{mask.stem}{Path(name).suffix}"
            jobs.append(Job(photograph, source._replace(file=mask), output / kept))
    if not jobs:
        raise UserError(f"not one of {len(photographs)} photographs has a mask; {errors[0]}")
    taken: dict[Path, Path] = {}
    for job in jobs:
        if (other := taken.setdefault(job.output, job.photograph)) != job.photograph:
            raise UserError(f"{other} and {job.photograph} would both become {job.output}; rename one of them")
    given = {path.resolve() for path in [*photographs, *(job.source.file for job in jobs if job.source.file)]}
    for job in jobs:
        if job.output.resolve() in given:
            raise UserError(f"the results would overwrite {job.output}; give another folder as --output")
    return jobs, errors


def _matching(pattern: str) -> list[Path]:
    return [Path(name) for name in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207 (of absolute ones too)


def _suffix(photograph: Path) -> str:
    """The photograph's own ending where it can be written, else .png."""
    return photograph.suffix if photograph.suffix.lower() in KINDS else ".png"
