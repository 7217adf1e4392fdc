"""Models, other tools' results and rivals on one benchmark: completed, scored, written down and printed."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from glcic_jax.errors import UserError
from glcic_jax.evaluation.benchmark import CASE_FILE, Benchmark, open_benchmark
from glcic_jax.evaluation.manifest import MANIFEST
from glcic_jax.evaluation.onnx_files import OnnxFile, OnnxNetwork
from glcic_jax.evaluation.page import PAGE, write_page
from glcic_jax.evaluation.perceptual import Perceptual, check_count
from glcic_jax.evaluation.report import JSON, PerceptualReport, ScoreReport, read_scored_methods
from glcic_jax.evaluation.rivals import RIVALS
from glcic_jax.evaluation.scoring import (
    METRICS,
    CaseScores,
    Fill,
    Results,
    fill_all,
    read_results,
    score,
    summarise,
    write_composites,
)
from glcic_jax.evaluation.tables import (
    CSV,
    MARKDOWN,
    format_mean,
    format_notes,
    format_perceptual,
    write_csv,
    write_json,
    write_markdown,
)
from glcic_jax.system.atomic import atomic_folder, require_parent
from glcic_jax.system.bars import Bars
from glcic_jax.system.checksum import sha256_of

NamedFolder = tuple[str, Path]


def compare_methods(
    benchmark_folder: Path,
    output: Path,
    *,
    models: Sequence[NamedFolder],
    results: Sequence[NamedFolder],
    rivals: Sequence[str],
    onnx_files: Sequence[OnnxFile] = (),
    perceptual_names: list[str],
    blend: bool | None = None,
) -> None:
    """Scores every method and writes tables, page and pictures.

    Args:
        benchmark_folder: what `evaluate make` has written.
        output: the folder; scores that it holds already are replaced, other files stay.
        models: names and model folders of this project, which complete first.
        results: names and folders of any tool's outputs.
        rivals: names of ways to fill holes without a network.
        onnx_files: other people's networks.
        perceptual_names: metrics of whole composites.
        blend: whether models' results are blended; None as each model's card recommends.

    Raises: UserError for anything that does not fit, before anything is completed.

    """
    console = Console()
    if output.exists() and not (output / JSON).is_file():
        raise UserError(f"{output} exists and holds no scores; give another --output")
    require_parent(output)
    _require_scikit_image()
    benchmark = open_benchmark(benchmark_folder)
    cases = len(benchmark.cases)
    smallest_px = min(min(case.image.shape[:2]) for case in benchmark.cases)
    warnings = check_count(perceptual_names, cases, smallest_px)
    for warning in warnings:
        console.print(f"warning: {warning}", highlight=False, soft_wrap=True)
    perceptual = Perceptual(perceptual_names) if perceptual_names else None
    completed, settings = _complete(benchmark, models, onnx_files, results, rivals, blend, console)
    scores = {one.method: score(benchmark, one) for one in completed}
    report = ScoreReport(
        benchmark=str(benchmark_folder.absolute()),
        manifest_sha256=sha256_of(benchmark.folder / MANIFEST),
        cases=cases,
        notes={one.method: one.notes for one in completed if one.notes},
        settings=settings,
        summary=summarise(benchmark, scores),
        perceptual=PerceptualReport(
            perceptual.describe_basis(cases) if perceptual else {},
            {one.method: perceptual(benchmark, one) for one in completed} if perceptual else {},
            tuple(warnings),
        ),
    )
    _write(output, benchmark, completed, scores, report)
    _print(console, report)
    where = f"by kind and size: {output / MARKDOWN}; the pictures: {output / PAGE}"
    console.print(where, highlight=False, markup=False, soft_wrap=True)


def _write(
    output: Path,
    benchmark: Benchmark,
    completed: list[Results],
    scores: dict[str, CaseScores],
    report: ScoreReport,
) -> None:
    """Writes tables, page and pictures over those of before; what else lies there stays."""
    old_methods = read_scored_methods(output).methods if output.exists() else ()

    def is_ours(file: Path) -> bool:
        if len(file.parts) == 1:
            return file.name in (JSON, CSV, MARKDOWN, PAGE)
        is_result = len(file.parts) == 3 and file.parts[0] == "results" and file.parts[1] in old_methods
        return is_result and CASE_FILE.fullmatch(file.name) is not None

    with atomic_folder(output, is_ours) as folder:
        for one in completed:
            write_composites(benchmark, one, folder / "results" / one.method)
        write_json(folder, report)
        write_csv(folder, benchmark, scores)
        write_markdown(folder, report)
        write_page(folder, benchmark, completed, scores, report)


def _complete(
    benchmark: Benchmark,
    models: Sequence[NamedFolder],
    onnx_files: Sequence[OnnxFile],
    results: Sequence[NamedFolder],
    rivals: Sequence[str],
    blend: bool | None,
    console: Console,
) -> tuple[list[Results], dict[str, str]]:
    """Every method on every case, and how models completed; what can fail comes before what takes long."""
    for rival in rivals:
        if rival not in RIVALS:
            raise UserError(f"no rival {rival!r}; there are {', '.join(RIVALS)}, or all")
    names = [name for name, _ in models] + [one.name for one in onnx_files] + [name for name, _ in results] + [*rivals]
    if not names:
        raise UserError("nothing to score; give --results=FOLDER, --model=FOLDER, --onnx=NAME=FILE or --rival=telea")
    folded = [name.casefold() for name in names]  # folders of one name to macOS and Windows
    if twice := [name for name in names if folded.count(name.casefold()) > 1]:
        raise UserError(f"two methods are called {twice[0]}; name them: --model=NAME=FOLDER")
    given = [read_results(benchmark, name, folder) for name, folder in results]
    networks = {one.name: OnnxNetwork(one) for one in onnx_files}
    fills: list[Fill] = [*networks.values(), *(RIVALS[rival] for rival in rivals)]
    for fill in fills:  # their packages may be missing
        fill(benchmark.cases[0].image, benchmark.cases[0].mask)
    completed, settings = [], {}
    with Bars(console, "cases") as bars:
        for name, folder in models:
            from glcic_jax.inference.completer import Completer
            from glcic_jax.system.compilation import keep_compiled_programs

            keep_compiled_programs()
            completer = Completer(folder)
            blended = completer.blends if blend is None else blend
            why = "as its card recommends" if blend is None else "as was asked for"
            settings[name] = (
                f"{'blended' if blended else 'not blended'}, {why}; holes thicker than the trained ones coarse first"
            )
            completed.append(fill_all(benchmark, name, partial(completer, blend=blended), bars.bar(name)))
        for name, network in networks.items():
            settings[name] = network.description
            completed.append(fill_all(benchmark, name, network, bars.bar(name)))
        completed += given
        completed += [fill_all(benchmark, name, RIVALS[name], bars.bar(name)) for name in rivals]
    return completed, settings


def _print(console: Console, report: ScoreReport) -> None:
    """The means over all cases, and the notes; the intervals are in the files."""
    table = Table("method", title=f"inside the hole, {report.cases} cases", title_justify="left", box=None)
    for heading in METRICS.values():
        table.add_column(heading, no_wrap=True)
    for row in report.summary:
        if row.group == "all":
            table.add_row(row.method, *(format_mean(metric, row.metrics[metric]) for metric in METRICS))
    console.print(table)
    for line in [*format_perceptual(report), *format_notes(report)]:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _require_scikit_image() -> None:
    try:
        import skimage.metrics  # noqa: F401
    except ImportError:
        raise UserError("scoring needs scikit-image; install it: pip install 'glcic-jax[quickstart]'") from None
