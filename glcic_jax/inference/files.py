"""One photograph's completion as a job: which files go in, where the result goes, and doing it."""

import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from glcic_jax.data.pixels import MAX_PIXELS
from glcic_jax.errors import UserError
from glcic_jax.inference.encoding import FORMATS, require_encodable
from glcic_jax.inference.masks import HoleSource, check_size, draw_overlay
from glcic_jax.inference.photograph import Photograph, read_photograph
from glcic_jax.inference.search import Found, pair
from glcic_jax.system.atomic import atomic_file, require_parent

Paint = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, list[str]]]
"""Pixels (H, W, 3) and mask (H, W, 1) -> completed pixels, and notes for people."""

MADE_OPAQUE = "the photograph is transparent in the hole; made opaque there"
_PREVIEW = b"preview of a hole, by glcic-jax"


@dataclass(frozen=True)
class Job:
    """One photograph, where its hole is, and where the result goes.

    Fields:
        new_folder: whether the output's folder is made if it does not exist.
        max_pixels: of the photograph; larger ones are refused.
    """

    photograph: Path
    source: HoleSource
    output: Path
    new_folder: bool = False
    max_pixels: int = MAX_PIXELS

    def run(self, paint: Paint, preview: bool, taken: Iterable[Path] = ()) -> list[str]:
        """Completes and writes; returns notes for people.

        Args:
            paint: what completes.
            preview: also write the photograph with its hole in red, as `NAME_preview.jpg` beside the result.
            taken: names that the preview must not have.

        Raises: UserError naming the photograph.

        """
        opened = read_photograph(self.photograph, self.max_pixels)
        pixels, alpha = opened.pixels, opened.alpha
        try:
            check_size(pixels)
            hole, notes = self.source.find_hole(pixels, alpha, opened.stored.orientation)
            notes = [*opened.notes, *notes]
            if self.new_folder:
                self.output.parent.mkdir(parents=True, exist_ok=True)
            if preview:
                notes += self._write_preview(opened, draw_overlay(pixels, hole), taken)
            painted, painting_notes = paint(pixels, hole[..., None])
            erased = is_erased(alpha, hole)
            if erased and not self.source.alpha:
                notes.append(MADE_OPAQUE)
            left_out = opened.save(self.output, painted, hole, opaque=self.source.alpha or erased)
        except UserError as error:
            raise UserError(f"{self.photograph}: {error}") from error
        return [*notes, *painting_notes, *left_out]

    def _write_preview(self, opened: Photograph, picture: np.ndarray, taken: Iterable[Path]) -> list[str]:
        used = {name_key(path) for path in [*taken, self.photograph, self.output]}
        first = self.output.with_name(f"{self.output.stem}_preview.jpg")
        path, number = first, 2
        while name_key(path) in used or (path.exists() and not _is_preview(path)):
            path, number = first.with_name(f"{self.output.stem}_preview{number}.jpg"), number + 1
        with atomic_file(path, readable_like=opened.path) as partial:
            Image.fromarray(picture).save(partial, quality=90, comment=_PREVIEW)
        return [] if path == first else [f"{first} is another file; the preview is {path}"]

    def check(self) -> None:
        """Raises: UserError if the result could not be written, or would replace what it is made of."""
        for given in (self.photograph, self.source.file):
            if given is not None and _is_same_file(given, self.output):
                raise UserError(f"the output {self.output} would overwrite {given}; give another --output")
        require_encodable(self.output)
        if not self.new_folder:
            require_parent(self.output)


def is_erased(alpha: np.ndarray | None, hole: np.ndarray) -> bool:
    """Whether a photograph's alpha (H, W) is mostly transparent somewhere in the hole, bool (H, W)."""
    return alpha is not None and bool((alpha[hole] <= np.iinfo(alpha.dtype).max // 2).any())


def plan_one(
    photograph: Path, source: HoleSource, output: Path | None, suffix: str | None = None, into_folder: bool = False
) -> Job:
    """The job of one photograph; without an output it goes beside it, as NAME_completed.

    Args:
        output: a file, or a folder if it is one, has no ending, or `into_folder` says so; it is made.
        suffix: of the result's name where the output names no file; None keeps the photograph's.

    """
    suffix = suffix or _suffix(photograph)
    if output is None:
        return Job(photograph, source, photograph.with_name(f"{photograph.stem}_completed{suffix}"))
    if into_folder or output.is_dir() or (not output.suffix and not output.exists()):
        return Job(photograph, source, output / f"{photograph.stem}{suffix}", new_folder=True)
    return Job(photograph, source, output)


def plan_many(
    photographs: Sequence[Found], source: HoleSource, masks: Sequence[Found] | None, output: Path, suffix: str | None
) -> tuple[list[Job], list[str]]:
    """Jobs for many photographs, and what is wrong with those that got none.

    Args:
        source: where each hole is; masks: files whose names say whose they are, which then take `source.file`'s place.
        output: the folder for the results, in the same subfolders as the photographs.
        suffix: of their names; None keeps the photograph's.

    Raises: UserError if no photograph at all has a mask, two results would have one name, or one would replace a
        photograph or a mask.

    """
    jobs, errors = [], []
    pairs = pair(photographs, masks) if masks is not None else {}
    for file in photographs:
        result = output / file.inside.with_name(f"{file.path.stem}{suffix or _suffix(file.path)}")
        if masks is None:
            jobs.append(Job(file.path, source, result, new_folder=True))
            continue
        own = [mask.path for mask in pairs[file]]
        if not own:
            wanted = file.inside.with_suffix(".png")
            errors.append(f"{file.path}: no mask of its name; call it {wanted} or {wanted.stem}_mask.png, beside it")
        jobs += [
            Job(file.path, replace(source, file=mask), name, new_folder=True)
            for mask, name in _name_results(own, result)
        ]
    if not jobs:
        raise UserError(f"not one of {len(photographs)} photographs has a mask; {errors[0]}")
    taken: dict[str, Job] = {}
    for job in jobs:
        if (other := taken.setdefault(name_key(job.output), job)) is not job:
            raise UserError(
                f"{other.photograph} and {job.photograph} would both become {job.output}; rename one of them"
            )
    given = {path.resolve() for job in jobs for path in (job.photograph, job.source.file) if path is not None}
    for job in jobs:
        if job.output.resolve() in given:
            raise UserError(f"the results would overwrite {job.output}; give another folder as --output")
    return jobs, errors


def name_key(path: Path) -> str:
    """What two names share that are one file: on macOS and Windows upper and lower case are the same."""
    name = unicodedata.normalize("NFC", str(path.absolute()))
    return name.casefold() if sys.platform in ("darwin", "win32") else name


def _name_results(masks: list[Path], result: Path) -> list[tuple[Path, Path]]:
    """Each mask with the name of its result: the photograph's, or of several masks the mask's."""
    if len(masks) == 1:
        return [(masks[0], result)]
    stems = [mask.stem for mask in masks]
    return [
        (mask, result.with_name(f"{name}{result.suffix}"))
        for mask in masks
        for name in [mask.stem if stems.count(mask.stem) == 1 else mask.name.replace(".", "_")]
    ]


def _is_same_file(one: Path, other: Path) -> bool:
    if one.resolve() == other.resolve():
        return True
    return one.exists() and other.exists() and one.samefile(other)


def _is_preview(path: Path) -> bool:
    try:
        with path.open("rb") as opened:
            return _PREVIEW in opened.read(4096)
    except OSError:
        return False


def _suffix(photograph: Path) -> str:
    """The photograph's own ending where it can be written, else .png."""
    return photograph.suffix if photograph.suffix.lower() in FORMATS else ".png"
