"""Scores completions inside the holes, known pixels put back for all methods alike, with bootstrap intervals.

The first method is the one that all others are compared with: models come first, then results, then rivals.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from glcic_jax.atomic import atomic_folder, require_parent
from glcic_jax.cli.bars import Bars
from glcic_jax.errors import UserError

if TYPE_CHECKING:
    from glcic_jax.evaluation.benchmark import Benchmark
    from glcic_jax.evaluation.scoring import Results


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add = parser.add_argument
    add("--benchmark", required=True, type=Path, help="folder that evaluate make has written")
    add(
        "--results", action="append", default=[], metavar="[NAME=]FOLDER",
        help="any tool's outputs, named as the benchmark's images; may be given several times",
    )  # fmt: skip
    add(
        "--model", action="append", default=[], metavar="[NAME=]FOLDER",
        help="a model folder of this project, which completes first; may be given several times",
    )  # fmt: skip
    add("--rival", action="append", default=[], help="mean, telea, navier-stokes, biharmonic, patchmatch, or all")
    add("--perceptual", default="", help="any of kid,fid,lpips; needs the extra `eval` and their weights")
    add("--output", required=True, type=Path, help="folder for tables, page and pictures; an older one is replaced")


def main(options: argparse.Namespace) -> int:
    """Scores, writes and prints."""
    from glcic_jax.checksum import sha256_of
    from glcic_jax.evaluation.benchmark import MANIFEST, open_benchmark
    from glcic_jax.evaluation.page import PAGE, write_page
    from glcic_jax.evaluation.perceptual import Perceptual, check_count
    from glcic_jax.evaluation.scoring import score, summarise, write_composites
    from glcic_jax.evaluation.tables import JSON, MARKDOWN, write_csv, write_json, write_markdown

    console = Console()
    if options.output.exists() and not (options.output / JSON).is_file():
        raise UserError(f"{options.output} exists and holds no scores; give another --output")
    require_parent(options.output)
    _require_scikit_image()
    benchmark = open_benchmark(options.benchmark)
    wanted = [name for name in options.perceptual.split(",") if name]
    smallest = min(min(case.image.shape[:2]) for case in benchmark.cases)
    warnings = check_count(wanted, len(benchmark.cases), smallest)
    for warning in warnings:
        console.print(f"warning: {warning}", highlight=False, soft_wrap=True)
    perceptual = Perceptual(wanted) if wanted else None
    results = _complete(benchmark, options, console)
    scores = {found.method: score(benchmark, found) for found in results}
    report: dict[str, Any] = {
        "benchmark": str(options.benchmark.absolute()),
        "manifest_sha256": sha256_of(benchmark.folder / MANIFEST),
        "cases": len(benchmark.cases),
        "notes": {found.method: found.notes for found in results if found.notes},
        "summary": summarise(benchmark, scores),
        "perceptual": {
            "about": perceptual.about(len(benchmark.cases)) if perceptual else {},
            "values": {found.method: perceptual(benchmark, found) for found in results} if perceptual else {},
            "warnings": warnings,
        },
    }
    with atomic_folder(options.output) as partial:
        for found in results:
            write_composites(benchmark, found, partial / "results" / found.method)
        write_json(partial, report)
        write_csv(partial, benchmark, scores)
        write_markdown(partial, report)
        write_page(partial, benchmark, results, scores, report)
    _print(console, report)
    where = f"by kind and size: {options.output / MARKDOWN}; the pictures: {options.output / PAGE}"
    console.print(where, highlight=False, markup=False, soft_wrap=True)
    return 0


def _print(console: Console, report: dict[str, Any]) -> None:
    """The means over all cases, and the notes; the files hold the intervals."""
    from glcic_jax.evaluation.scoring import METRICS
    from glcic_jax.evaluation.tables import mean, perceptual_lines

    table = Table("method", title=f"inside the hole, {report['cases']} cases", title_justify="left", box=None)
    for heading in METRICS.values():
        table.add_column(heading, no_wrap=True)
    for row in report["summary"]:
        if row["group"] == "all":
            table.add_row(row["method"], *(mean(metric, row[metric]) for metric in METRICS))
    console.print(table)
    for line in perceptual_lines(report):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    for method, notes in report["notes"].items():
        for note in notes:
            console.print(f"{method}: {note}", highlight=False, markup=False, soft_wrap=True)


def _complete(benchmark: "Benchmark", options: argparse.Namespace, console: Console) -> list["Results"]:
    """Every method on every case."""
    from glcic_jax.evaluation.rivals import RIVALS
    from glcic_jax.evaluation.scoring import fill_all, read_results

    models, folders = _named(options.model), _named(options.results)
    rivals = list(RIVALS) if "all" in options.rival else options.rival
    for rival in rivals:
        if rival not in RIVALS:
            raise UserError(f"no rival {rival!r}; there are {', '.join(RIVALS)}, or all")
    names = [*(name for name, _ in models), *(name for name, _ in folders), *rivals]
    if not names:
        raise UserError("nothing to score; give --results=FOLDER, --model=FOLDER or --rival=telea")
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"two methods are called {twice[0]}; name them: --model=NAME=FOLDER")
    # What can fail comes before what takes long: results that do not fit, rivals whose package is not there.
    given = [read_results(benchmark, name, folder) for name, folder in folders]
    for rival in rivals:
        RIVALS[rival](benchmark.cases[0].image, benchmark.cases[0].mask)
    found = []
    with Bars(console, "cases") as bars:
        for name, folder in models:
            from glcic_jax.compilation import keep_compiled_programs
            from glcic_jax.inference.completer import Completer

            keep_compiled_programs()
            found.append(fill_all(benchmark, name, Completer(folder), bars.bar(name)))
        found += given
        found += [fill_all(benchmark, name, RIVALS[name], bars.bar(name)) for name in rivals]
    return found


def _named(given: list[str]) -> list[tuple[str, Path]]:
    """Folders with names, by default their own, of RUN/model the run's. Raises: UserError for a name with a slash."""
    pairs = []
    for text in given:
        name, separator, folder = text.partition("=")
        path = Path(folder if separator else text)
        if not separator:
            name = path.absolute().parent.name if path.name == "model" else path.absolute().name
        if not name or "/" in name or name.startswith("."):
            raise UserError(f"{name!r} cannot be a method's name; write NAME=FOLDER with a plain name")
        pairs.append((name, path))
    return pairs


def _require_scikit_image() -> None:
    try:
        import skimage.metrics  # noqa: F401
    except ImportError:
        raise UserError("scoring needs scikit-image; install it: pip install 'glcic-jax[eval]'") from None
