"""A figure of what was scored: photograph, hole, and each method's completion."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from glcic_jax.data.images import read_image
from glcic_jax.errors import UserError
from glcic_jax.evaluation.benchmark import Benchmark, open_benchmark
from glcic_jax.evaluation.figures import draw_comparison
from glcic_jax.evaluation.manifest import MANIFEST
from glcic_jax.evaluation.report import read_scored_methods
from glcic_jax.evaluation.scoring import Results, score
from glcic_jax.system.checksum import sha256_of


class Scored(NamedTuple):
    """A folder that `evaluate score` has written, and the benchmark that it was scored on."""

    folder: Path
    methods: list[str]
    benchmark: Benchmark

    def read_completion(self, method: str, case: str) -> np.ndarray:
        """uint8 (H, W, 3)."""
        return read_image(self.folder / "results" / method / f"{case}.png")


def draw_scored(
    folder: Path,
    benchmark_folder: Path | None,
    output: Path,
    *,
    methods: Sequence[str],
    cases: Sequence[str],
    count: int,
    transposed: bool,
) -> list[Path]:
    """Draws the figure; returns the files, PNG and PDF.

    Args:
        folder: what `evaluate score` has written.
        benchmark_folder: where the benchmark is now; None: where it was when it was scored.
        output: the figure, without .png and .pdf, which are added, or with one of them.
        methods: shown; none for all.
        cases: shown; none for `count` of them, evenly from the first method's worst to its best.
        count: of cases.
        transposed: photographs side by side, methods below each other.

    Raises: UserError.

    """
    scored = _open_scores(folder, benchmark_folder)
    if unknown := [method for method in methods if method not in scored.methods]:
        raise UserError(f"{folder} has no method {unknown[0]!r}; there are {', '.join(scored.methods)}")
    shown_methods = methods or scored.methods
    by_name = {case.name: case for case in scored.benchmark.cases}
    if unknown := [name for name in cases if name not in by_name]:
        raise UserError(f"{scored.benchmark.folder} has no case {unknown[0]!r}; the names are those of its images")
    rows = []
    for name in cases or _choose_cases(scored, count):
        case = by_name[name]
        hole = np.where(case.mask > 0, 255, case.image).astype(np.uint8)
        rows.append([case.image, hole, *(scored.read_completion(method, name) for method in shown_methods)])
    return draw_comparison(output, ["photograph", "input", *shown_methods], rows, transposed)


def _open_scores(folder: Path, benchmark_folder: Path | None) -> Scored:
    scored = read_scored_methods(folder)
    place = benchmark_folder or Path(scored.benchmark)
    if not place.is_dir():
        raise UserError(f"the benchmark of {folder} is no longer at {place}; give --benchmark")
    benchmark = open_benchmark(place)
    if sha256_of(place / MANIFEST) != scored.manifest_sha256:
        raise UserError(f"{place} is not the benchmark that {folder} was scored on; give --benchmark")
    return Scored(folder, list(scored.methods), benchmark)


def _choose_cases(scored: Scored, count: int) -> list[str]:
    """Names of cases, evenly from the first method's worst to its best."""
    cases = scored.benchmark.cases
    if not 1 <= count <= len(cases):
        raise UserError(f"--count is {count}; the benchmark has {len(cases)} cases")
    method = scored.methods[0]
    first = Results(method, [scored.read_completion(method, case.name) for case in cases], [])
    order = np.argsort(score(scored.benchmark, first)["psnr"], kind="stable")
    ranks = (np.arange(count) + 0.5) * len(order) / count  # the middles of equal parts
    return [cases[order[int(rank)]].name for rank in ranks]
