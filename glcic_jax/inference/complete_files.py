"""Completing one photograph's file, or many with a progress bar."""

import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from glcic_jax.errors import UserError
from glcic_jax.exit_codes import ExitCode
from glcic_jax.inference import record as records
from glcic_jax.inference.files import Job, Paint
from glcic_jax.inference.masks import list_concerns
from glcic_jax.inference.texture import list_texture_concerns

if TYPE_CHECKING:
    from glcic_jax.inference.completer import Completer


@dataclass(frozen=True)
class Options:
    """How photographs are completed.

    Fields:
        model: its folder.
        coarse: holes thicker than the trained ones at a lower scale first.
        blend: match colours to the surroundings; None as the model's card recommends.
        copy_texture: make what is painted of patches from the surroundings.
        preview: also write each photograph with its hole in red.
        overwrite: complete anew what is there already.
        workers: photographs at a time.
    """

    model: Path
    coarse: bool = True
    blend: bool | None = None
    copy_texture: bool = False
    preview: bool = False
    overwrite: bool = False
    workers: int = 1


def complete_file(job: Job, options: Options) -> None:
    """Completes one photograph and says what was written. Raises: UserError."""
    began = time.monotonic()
    job.check()
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load_completer, options.model)  # while the photograph is read
        try:
            notes = job.run(painter(loading, options), options.preview)
        except UserError:
            if loading.done() and (cause := loading.exception()) is not None:  # which is not the photograph's fault
                raise cause from None
            raise
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    print(f"wrote {job.output} ({time.monotonic() - began:.1f} s)")


def complete_files(jobs: Sequence[Job], errors: Sequence[str], folder: Path, options: Options) -> int:
    """Completes many photographs, but not those whose result is there; goes on past files that cannot be completed.

    Args:
        jobs: what to complete.
        errors: what is wrong with photographs that got no job.
        folder: for the results.
        options: how.

    Returns: the exit code, FAILED if some photographs could not be completed.
    Raises: UserError if the model cannot be loaded, KeyboardInterrupt without waiting for those not yet begun.

    """
    _make_folder(folder)
    to_do: list[Job] = []
    skipped: list[Job] = []
    for job in jobs:
        (skipped if job.output.exists() and not options.overwrite else to_do).append(job)
    record = records.Record(folder)
    loaded: Future[Completer] = Future()
    if to_do:
        loaded.set_result(load_completer(options.model))  # a model that cannot be loaded stops them all
    failures = [*errors, *_complete_all(to_do, jobs, loaded, record, options)]
    for line in failures:
        print(f"error: {line}", file=sys.stderr)
    _note_other_options(skipped, record, options)
    completed = len(to_do) - (len(failures) - len(errors))
    print(f"{completed} completed, {len(skipped)} were there already, {len(failures)} failed: {folder}")
    return ExitCode.FAILED if failures else ExitCode.DONE


def _complete_all(
    to_do: Sequence[Job], jobs: Sequence[Job], loaded: "Future[Completer]", record: records.Record, options: Options
) -> list[str]:
    """What is wrong with those that could not be completed."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("completing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    failures: list[str] = []
    stopped = threading.Event()
    taken = [path for job in jobs for path in (job.output, job.photograph, job.source.file) if path is not None]
    paint = painter(loaded, options)

    def complete(job: Job) -> list[str]:
        if stopped.is_set():
            return []
        job.check()
        notes = job.run(paint, options.preview, taken)
        record.add(job.output, _describe(job, options))
        return notes

    pool = ThreadPoolExecutor(options.workers)
    try:
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task("", total=len(to_do))
            futures = {pool.submit(complete, job): job for job in to_do}
            for future in as_completed(futures):
                progress.advance(task)
                photograph = futures[future].photograph
                try:
                    for note in future.result():
                        progress.console.print(f"{photograph}: {note}", markup=False, highlight=False, soft_wrap=True)
                except UserError as error:
                    failures.append(str(error))
                except Exception as error:  # whatever one file makes libraries raise is no reason to stop the others
                    failures.append(f"{photograph}: {type(error).__name__}: {' '.join(str(error).split())}")
    finally:
        stopped.set()
        pool.shutdown(wait=True, cancel_futures=True)  # of an interruption: those that are being completed
        if to_do:
            record.write()
    return failures


def _note_other_options(skipped: Sequence[Job], record: records.Record, options: Options) -> None:
    """Says which results were there already, but made by other options than these."""
    differing = [(job, why) for job in skipped if (why := record.differences(job.output, _describe(job, options)))]
    if differing:
        job, why = differing[0]
        print(
            f"note: {len(differing)} of the results that were there already were made with other options, such as "
            f"{job.output} ({'; '.join(why)}); --overwrite completes them anew",
            file=sys.stderr,
        )


def _describe(job: Job, options: Options) -> records.Options:
    """What decides the pixels of a result, as the record keeps it."""
    source = {key: value for key, value in asdict(job.source).items() if key not in ("file", "reading", "content")}
    reading = asdict(job.source.reading)
    described: dict[str, str | int | bool | None] = {
        "model": str(options.model), "coarse": options.coarse, "blend": options.blend,
        "copy_texture": options.copy_texture or None,  # older records do not know it
        "mask": str(job.source.file) if job.source.file else None,
    }  # fmt: skip
    for key, value in {**source, **{f"mask_{key}": value for key, value in reading.items()}}.items():
        described[key] = value if value is None or isinstance(value, int) else ",".join(str(part) for part in value)
    return described


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UserError(f"{folder} is a file, and several results need a folder; give another --output") from None


def load_completer(model: Path) -> "Completer":
    """The model, ready to complete. Raises: UserError."""
    from glcic_jax.inference.completer import Completer
    from glcic_jax.system.compilation import keep_compiled_programs
    from glcic_jax.system.cpu import tune_cpu

    tune_cpu()
    keep_compiled_programs()
    return Completer(model)


def painter(loading: "Future[Completer]", options: Options, watch: Callable[[], None] | None = None) -> Paint:
    """A function that completes pixels, once the model is loaded; watch: see `Completer`."""

    def paint(pixels: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, list[str]]:
        completer = loading.result()
        notes = list_concerns(mask[..., 0], completer.card, options.coarse)
        if options.copy_texture:
            notes += list_texture_concerns(pixels, mask[..., 0] > 0)
        try:
            return completer(
                pixels, mask, coarse=options.coarse, blend=options.blend, copy_texture=options.copy_texture, watch=watch
            ), notes
        except RuntimeError as error:  # JAX's, without importing it here
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise UserError("not enough memory to paint it; close other programs, or give --workers=1") from error

    return paint
