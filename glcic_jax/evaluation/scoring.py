"""Scores of completions on a benchmark: every method's known pixels are put back first, for all in the same way."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from glcic_jax.data.images import SUFFIXES, read_image, write_image
from glcic_jax.errors import UserError
from glcic_jax.evaluation.benchmark import Benchmark, Case
from glcic_jax.evaluation.intervals import Estimate, bootstrap_mean
from glcic_jax.evaluation.metrics import SSIM_PX, hole_l1, hole_l2, hole_psnr, hole_ssim, rim_l1

Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(image uint8 (H, W, 3), mask uint8 (H, W, 1)) -> uint8 (H, W, 3)."""

METRICS = {"l1": "L1", "l2": "L2", "psnr": "PSNR (dB)", "ssim": "SSIM", "rim_l1": "L1 at the rim"}
"""Inside the hole; keys in files, and headings in tables."""
HIGHER_IS_BETTER = ("psnr", "ssim")
PERFECT_PSNR = 100.0
"""What a completion without any error counts, so that means stay finite."""
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0)
"""Borders of the groups by the hole's share of the image."""


class Results(NamedTuple):
    """One method on all cases.

    Fields:
        composites: uint8 (H, W, 3) a case, in the benchmark's order.
        notes: for people, such as how many results were changed outside the hole.
    """

    method: str
    composites: list[np.ndarray]
    notes: list[str]


def read_results(benchmark: Benchmark, method: str, folder: Path) -> Results:
    """A tool's outputs, one image file a case, named as it.

    Raises: UserError if they are missing, of another benchmark, or of another size.
    """
    if not folder.is_dir():
        raise UserError(f"no folder of results {folder}; it must hold one image a case, named as in images/")
    found = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES}
    missing = [case.name for case in benchmark.cases if case.name not in found]
    if len(missing) == len(benchmark.cases):
        raise UserError(
            f"{folder} holds {len(found)} images, none of which is named like a case of {benchmark.folder} (such as "
            f"{missing[0]}.png); they are results of another benchmark, or renamed"
        )
    if missing:
        raise UserError(
            f"{len(missing)} of {len(benchmark.cases)} results are missing in {folder}, the first is "
            f"{missing[0]}.png; complete all images of {benchmark.folder}/images, none can be left out"
        )
    return compose(benchmark, method, lambda case: read_image(found[case.name]))


def fill_all(
    benchmark: Benchmark, method: str, fill: Fill, on_progress: Callable[[float, int], None] = lambda share, cases: None
) -> Results:
    """What a function makes of every case. on_progress: called with the share done, and the cases since then."""
    counted = itertools.count(1)

    def one(case: Case) -> np.ndarray:
        filled = fill(case.image, case.mask)
        on_progress(next(counted) / len(benchmark.cases), 1)
        return filled

    return compose(benchmark, method, one)


def compose(benchmark: Benchmark, method: str, result_of: Callable[[Case], np.ndarray]) -> Results:
    """Results with the known pixels put back; says what had been changed there. Raises: UserError for a wrong size."""
    composites: list[np.ndarray] = []
    changed, furthest = 0, 0
    for case in benchmark.cases:
        result = result_of(case)
        if result.shape != case.image.shape:
            (h, w), (right_h, right_w) = result.shape[:2], case.image.shape[:2]
            raise UserError(
                f"the result {case.name} of {method} has {w} x {h} px, its image {right_w} x {right_h} px; "
                "results must keep the size"
            )
        known = case.mask[..., 0] == 0
        difference = int(np.abs(result[known].astype(int) - case.image[known]).max())
        changed, furthest = changed + (difference > 0), max(furthest, difference)
        composites.append(np.where(case.mask > 0, result, case.image))
    notes = []
    if changed:
        notes.append(
            f"{changed} of {len(composites)} results were changed outside the hole, by up to {furthest} of 255 levels; "
            "scored with the known pixels put back"
        )
    return Results(method, composites, notes)


def write_composites(benchmark: Benchmark, results: Results, folder: Path) -> None:
    """One PNG a case."""
    folder.mkdir(parents=True, exist_ok=True)
    for case, composite in zip(benchmark.cases, results.composites, strict=True):
        write_image(folder / f"{case.name}.png", composite)


def score(benchmark: Benchmark, results: Results) -> dict[str, np.ndarray]:
    """Each metric of each case: (N,). Raises: UserError if images are too small for SSIM."""
    scores: dict[str, list[float]] = {metric: [] for metric in METRICS}
    for case, composite in zip(benchmark.cases, results.composites, strict=True):
        if min(case.image.shape[:2]) < SSIM_PX:
            raise UserError(f"{case.name} is smaller than SSIM's window of {SSIM_PX} px; make a larger benchmark")
        batch = composite[None] / 255, case.image[None] / 255, case.mask[None]
        for metric, function in zip(METRICS, (hole_l1, hole_l2, hole_psnr, hole_ssim, rim_l1), strict=True):
            scores[metric].append(float(function(*batch)[0]))
    arrays = {metric: np.array(values) for metric, values in scores.items()}
    return arrays | {"psnr": np.minimum(arrays["psnr"], PERFECT_PSNR)}


def groups(benchmark: Benchmark) -> dict[str, np.ndarray]:
    """Which cases, bool (N,), belong to all, to each kind of hole, and to each size; none is empty or all once more."""
    kinds = np.array([case.kind for case in benchmark.cases])
    shares = np.array([case.share for case in benchmark.cases])
    found = {"all": np.ones(len(kinds), bool)}
    for kind in dict.fromkeys(kinds.tolist()):
        found[f"kind {kind}"] = kinds == kind
    for low, high in itertools.pairwise(SHARES):
        found[f"hole {low:.0%} to {high:.0%}"] = (shares > low) & (shares <= high)
    return {name: cases for name, cases in found.items() if name == "all" or (cases.any() and not cases.all())}


def summarise(benchmark: Benchmark, scores: dict[str, dict[str, np.ndarray]]) -> list[dict[str, Any]]:
    """Means with intervals, a row each group and method.

    Args:
        scores: of each method, as `score` gives them.

    Returns: rows with "group", "method", "cases", for each metric an Estimate, and under "ahead" the Estimate of by how
        much the first method is better than this one, from the differences case by case.

    """
    first = next(iter(scores.values()))
    rows = []
    for group, cases in groups(benchmark).items():
        for method, values in scores.items():
            row: dict[str, Any] = {"group": group, "method": method, "cases": int(cases.sum())}
            ahead: dict[str, Estimate] = {}
            for metric in METRICS:
                row[metric] = bootstrap_mean(values[metric][cases])
                sign = 1 if metric in HIGHER_IS_BETTER else -1
                ahead[metric] = bootstrap_mean(sign * (first[metric] - values[metric])[cases])
            rows.append(row | {"ahead": ahead})
    return rows
