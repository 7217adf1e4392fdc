"""Scores of completions on a benchmark, measured once every method's known pixels have been put back."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from glcic_jax.data.images import SUFFIXES, read_image, write_image
from glcic_jax.errors import UserError
from glcic_jax.evaluation.benchmark import Benchmark, Case
from glcic_jax.evaluation.intervals import bootstrap_mean
from glcic_jax.evaluation.metrics import SSIM_PX, hole_l1, hole_l2, hole_psnr, hole_ssim, rim_l1
from glcic_jax.evaluation.report import SummaryRow

Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(image uint8 (H, W, 3), mask uint8 (H, W, 1)) -> uint8 (H, W, 3)."""

METRICS = {"l1": "L1", "l2": "L2", "psnr": "PSNR (dB)", "ssim": "SSIM", "rim_l1": "L1 at the rim"}
"""Measured inside the hole: their keys in files, and their headings in tables."""
HIGHER_IS_BETTER = ("psnr", "ssim")
PERFECT_PSNR = 100.0
"""PSNR, in dB, of a completion without any error, so that means stay finite."""
_PAINTED_PSNR = 40.0  # dB, which no method reaches in holes worth the name
_PAINTED_L2 = 10 ** (-_PAINTED_PSNR / 10)
_FLAT_LEVELS = 8  # of 255
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0)
"""Bounds of the groups by the hole's share of the image."""

CaseScores = dict[str, np.ndarray]
"""Each metric's values, one a case: (N,)."""


@dataclass(frozen=True)
class Results:
    """One method on all cases.

    Fields:
        composites: uint8 (H, W, 3) a case, in the benchmark's order.
        notes: for people, such as how many results had been changed outside the hole.
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
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and (other := found.setdefault(path.stem, path)) != path:
            raise UserError(f"{other} and {path} are two results of one case; keep the right one")
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
    results = composite_all(benchmark, method, lambda case: read_image(found[case.name]))
    notes = _question_perfection(benchmark, results, folder)
    return replace(results, notes=[*notes, *results.notes])


def _question_perfection(benchmark: Benchmark, results: Results, folder: Path) -> list[str]:
    """Warnings of results too good to be painted. Raises: UserError if most were never completed."""
    same, near = 0, 0
    for case, composite in zip(benchmark.cases, results.composites, strict=True):
        hole = case.mask[..., 0] > 0
        truth = case.image[hole].astype(int)
        if np.ptp(truth, axis=0).max() <= _FLAT_LEVELS:  # one colour, which anybody may paint right
            continue
        error = float(np.square((composite[hole] - truth) / 255).mean())
        same, near = same + (error == 0), near + (error < _PAINTED_L2)
    count = len(benchmark.cases)
    if not same and near <= count / 2:
        return []
    done = "completed with inverted masks" if results.notes else "never completed"
    if same > count / 2:
        raise UserError(
            f"{same} of {count} results in {folder} hold the photograph itself in the hole: they were {done}; "
            f"complete {benchmark.folder}/images with {benchmark.folder}/masks, where white is the hole"
        )
    return [
        f"SUSPICIOUS: {near} of {count} results are nearer to the photograph than painting gets (PSNR above "
        f"{_PAINTED_PSNR:.0f} dB, {same} without any error): were they completed at all, and with white as the hole?"
    ]


def fill_all(
    benchmark: Benchmark, method: str, fill: Fill, on_progress: Callable[[float, int], None] = lambda share, cases: None
) -> Results:
    """Completes every case with a function. on_progress: gets the share done and the cases since the last call."""
    counted = itertools.count(1)

    def one(case: Case) -> np.ndarray:
        filled = fill(case.image, case.mask)
        on_progress(next(counted) / len(benchmark.cases), 1)
        return filled

    return composite_all(benchmark, method, one)


def composite_all(benchmark: Benchmark, method: str, result_of: Callable[[Case], np.ndarray]) -> Results:
    """Results with the known pixels put back, and a note if a method had changed some. Raises: UserError for a size."""
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


def score(benchmark: Benchmark, results: Results) -> CaseScores:
    """Measures every case. Raises: UserError if images are too small for SSIM."""
    scores: dict[str, list[float]] = {metric: [] for metric in METRICS}
    for case, composite in zip(benchmark.cases, results.composites, strict=True):
        if min(case.image.shape[:2]) < SSIM_PX:
            raise UserError(f"{case.name} is smaller than SSIM's window of {SSIM_PX} px; make a larger benchmark")
        batch = composite[None] / 255, case.image[None] / 255, case.mask[None]
        for metric, function in zip(METRICS, (hole_l1, hole_l2, hole_psnr, hole_ssim, rim_l1), strict=True):
            scores[metric].append(float(function(*batch)[0]))
    arrays = {metric: np.array(values) for metric, values in scores.items()}
    return arrays | {"psnr": np.minimum(arrays["psnr"], PERFECT_PSNR)}


def group_cases(benchmark: Benchmark) -> dict[str, np.ndarray]:
    """Which cases, bool (N,), are in each group: "all", then one a kind of hole and one a size, if they divide them."""
    kinds = np.array([case.kind for case in benchmark.cases])
    shares = np.array([case.share for case in benchmark.cases])
    groups = {"all": np.ones(len(kinds), bool)}
    for kind in dict.fromkeys(kinds.tolist()):
        groups[f"kind {kind}"] = kinds == kind
    for low, high in itertools.pairwise(SHARES):
        groups[f"hole {low:.0%} to {high:.0%}"] = (shares > low) & (shares <= high)
    return {name: cases for name, cases in groups.items() if name == "all" or (cases.any() and not cases.all())}


def summarise(benchmark: Benchmark, scores: dict[str, CaseScores]) -> list[SummaryRow]:
    """Means with intervals, a row each group and method.

    Args:
        scores: of each method; the others are compared with the first.

    """
    first = next(iter(scores.values()))
    rows = []
    for group, cases in group_cases(benchmark).items():
        for method, values in scores.items():
            signs = {metric: 1 if metric in HIGHER_IS_BETTER else -1 for metric in METRICS}
            rows.append(
                SummaryRow(
                    group, method, int(cases.sum()),
                    metrics={metric: bootstrap_mean(values[metric][cases]) for metric in METRICS},
                    ahead={
                        metric: bootstrap_mean(sign * (first[metric] - values[metric])[cases])
                        for metric, sign in signs.items()
                    },
                )
            )  # fmt: skip
    return rows
