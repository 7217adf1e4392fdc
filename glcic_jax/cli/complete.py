"""`complete`: paints the holes of photographs; everything else in them stays as it was."""

import argparse
import os
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from glcic_jax.data.encoding import KINDS
from glcic_jax.errors import UserError
from glcic_jax.inference.files import Job, Paint, batch_jobs, find_masks, find_photographs, names_many, single_job
from glcic_jax.inference.masks import HoleSource, concerns, parse_color, parse_rectangle
from glcic_jax.inference.shipped import licence_note, shipped_model

if TYPE_CHECKING:
    from glcic_jax.inference.completer import Completer

EXIT_SOME_FAILED = 1
_EXAMPLES = """
one photograph, the hole painted white in mask.png:
  glcic complete photo.jpg --mask mask.png
all photographs of a folder, with masks of the same names (or NAME_mask.png, NAME_mask001.png):
  glcic complete photos --mask masks --output completed

PNG keeps the known pixels bit for bit; JPEG codes the whole picture again.
"""


def main(arguments: list[str]) -> int:
    """Parses the arguments and completes."""
    options = _parser().parse_args(arguments)
    if options.model is None:
        options.model = shipped_model()
        print(f"note: {licence_note(options.model)}", file=sys.stderr)
        if options.blend is None:
            options.blend = True  # small as it is, its colours come out better so: docs/results.md
    photographs = find_photographs(options.photographs)
    source = HoleSource(
        None, options.mask_from_alpha, options.mask_color, options.rectangle,
        options.invert_mask, options.dilate_px, options.resize_mask,
    )  # fmt: skip
    many_masks = options.mask is not None and names_many(options.mask)
    if options.mask is not None and not many_masks:
        source = source._replace(file=Path(options.mask))
    if len(options.photographs) == 1 and not names_many(options.photographs[0]) and not many_masks:
        return _complete_one(single_job(photographs[0], source, options.output, options.format), options)
    if options.output is None:
        raise UserError("several photographs need a folder for the results; give --output=FOLDER")
    masks = find_masks(options.mask) if many_masks else None
    jobs, errors = batch_jobs(photographs, source, masks, options.output, options.format)
    options.output.mkdir(parents=True, exist_ok=True)
    return _complete_many(jobs, errors, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="complete", description=__doc__, epilog=_EXAMPLES, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("photographs", nargs="+", metavar="PHOTOGRAPH", help="a file, a folder, or a pattern such as 'photos/*.jpg'")
    add(
        "--model",
        type=Path,
        default=os.environ.get("GLCIC_MODEL"),
        help="model folder; default: $GLCIC_MODEL, else the one that ships",
    )
    add("--output", type=Path, help="file, or folder for several; default: beside the photograph, NAME_completed")
    add(
        "--format",
        choices=sorted(KINDS),
        type=_suffix,
        metavar="png",
        help="where --output names no file; default: the photograph's",
    )
    where = parser.add_argument_group("where the hole is (one of the first four)")
    one = where.add_mutually_exclusive_group(required=True)
    one.add_argument("--mask", help="image of the same size, white = hole; a folder or a pattern for several")
    one.add_argument("--mask_from_alpha", action="store_true", help="the photograph's transparent part")
    one.add_argument("--mask_color", type=parse_color, metavar="#FF00FF", help="what has this colour")
    one.add_argument(
        "--rectangle", type=parse_rectangle, metavar="X,Y,WIDTH,HEIGHT", help="in pixels from the top left"
    )
    where.add_argument("--invert_mask", action="store_true", help="what is marked is known, the rest is the hole")
    where.add_argument("--dilate_px", type=int, default=0, help="let the hole grow, over soft edges and shadows")
    where.add_argument("--resize_mask", action="store_true", help="allow a mask of another size")
    where.add_argument("--preview", action="store_true", help="also write OUTPUT_preview.jpg, with the hole in red")
    how = parser.add_argument_group("how it is painted")
    how.add_argument(
        "--blend", action="store_true", default=None,
        help="match colours to the surroundings (Poisson blending); the default with the model that ships",
    )  # fmt: skip
    how.add_argument("--noblend", dest="blend", action="store_false", help="leave them as painted")
    how.add_argument(
        "--coarse", action="store_true", default=True,
        help="paint holes thicker than the trained ones at a lower scale first; the default",
    )  # fmt: skip
    how.add_argument("--nocoarse", dest="coarse", action="store_false", help="paint them at full scale too")
    how.add_argument("--workers", type=int, default=2, help="photographs at a time; default: %(default)s")
    return parser


def _complete_one(job: Job, options: argparse.Namespace) -> int:
    began = time.monotonic()
    job.check()
    with ThreadPoolExecutor(2) as pool:
        # The photograph is read while JAX and the model load.
        loading = pool.submit(_load, options.model)
        notes = job.run(_painter(loading, options), options.preview)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    print(f"wrote {job.output} ({time.monotonic() - began:.1f} s)")
    return 0


def _complete_many(jobs: list[Job], errors: list[str], options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    waiting = [job for job in jobs if not job.output.exists()]
    columns = (TextColumn("completing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        ThreadPoolExecutor(max(1, options.workers) + 1) as pool,
        Progress(*columns, console=Console(stderr=True)) as progress,
    ):
        task = progress.add_task("", total=len(waiting))
        loading = pool.submit(_load, options.model)
        if waiting:
            loading.result()  # a model that cannot be loaded concerns all
        work = {pool.submit(_run, job, _painter(loading, options), options.preview): job for job in waiting}
        for done in as_completed(work):
            progress.advance(task)
            try:
                for note in done.result():
                    progress.console.print(f"{work[done].photograph}: {note}", markup=False, highlight=False)
            except UserError as error:
                errors.append(str(error))
            except (OSError, MemoryError) as error:
                errors.append(f"{work[done].photograph}: {str(error) or type(error).__name__}")
    for line in errors:
        print(f"error: {line}", file=sys.stderr)
    written, skipped = sum(job.output.exists() for job in waiting), len(jobs) - len(waiting)
    print(f"{written} completed, {skipped} were there already, {len(errors)} failed: {options.output}")
    return EXIT_SOME_FAILED if errors else 0


def _run(job: Job, paint: Paint, preview: bool) -> list[str]:
    job.check()
    return job.run(paint, preview)


def _load(model: Path) -> "Completer":
    from glcic_jax.allocator import keep_freed_memory
    from glcic_jax.compilation import keep_compiled_programs
    from glcic_jax.inference.completer import Completer

    keep_freed_memory()
    keep_compiled_programs()
    return Completer(model)


def _painter(loading: "Future[Completer]", options: argparse.Namespace) -> Paint:
    def paint(pixels: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, list[str]]:
        completer = loading.result()
        notes = concerns(mask[..., 0], completer.card, options.coarse)
        return completer(pixels, mask, coarse=options.coarse, blend=bool(options.blend)), notes

    return paint


def _suffix(text: str) -> str:
    return "." + text.lower().removeprefix(".")
