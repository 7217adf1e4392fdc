"""The results of a study: a table, plots with error bars over the seeds, and both as JSON."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from glcic_jax.system.atomic import atomic_file
from glcic_jax.tools.study.curves import Line, plot
from glcic_jax.tools.study.trials import Trial

REFERENCE = "paper"
LEVEL = 0.95


class Score(NamedTuple):
    """Of a finished trial, inside holes of fixed validation samples: medians of its last validations.

    Fields:
        psnr: dB. l1: of values in [0, 1].
        contrast: spread of the painted colours beside the photographs'; below 1 they are faint.

    """

    psnr: float
    l1: float
    contrast: float


class Mean(NamedTuple):
    """A mean over seeds, with half the length of its Student interval; None where there is one seed."""

    mean: float
    half: float | None
    seeds: int


class Row(NamedTuple):
    """One variant with one budget, over its seeds.

    ahead_of_paper: PSNR beside the paper's recipe with the same seeds; None for that recipe, or where it is missing.
    """

    samples: int
    split: tuple[int, int, int]
    cell: str
    psnr: Mean
    l1: Mean
    contrast: Mean
    ahead_of_paper: Mean | None


def student_mean(values: Sequence[float]) -> Mean:
    """Mean and half of the 95 % interval, which is wide for few seeds, as it must be."""
    from scipy.stats import t

    count = len(values)
    if count < 2:
        return Mean(float(np.mean(values)), None, count)
    half = t.ppf((1 + LEVEL) / 2, count - 1) * np.std(values, ddof=1) / math.sqrt(count)
    return Mean(float(np.mean(values)), float(half), count)


def write_results(folder: Path, scores: list[tuple[Trial, Score]], diverged: list[Trial], planned: int) -> None:
    """Writes study.json, table.md, psnr.png, differences.png and contrast.png.

    Args:
        folder: of the study.
        scores: of each trial that is done.
        diverged: trials whose losses were not finite. planned: number of all trials.

    """
    rows = summarise(scores)
    trials = [
        {"cell": trial.variant, "samples": trial.budget.samples, "seed": trial.seed, **score._asdict()}
        for trial, score in scores
    ]
    results = {"rows": [row._asdict() for row in rows], "runs": trials, "planned": planned}
    _write(folder / "study.json", json.dumps(results, indent=1, allow_nan=False) + "\n")
    _write(folder / "table.md", _tabulate(rows, diverged, len(scores), planned))
    _plot(folder, rows)


def summarise(scores: list[tuple[Trial, Score]]) -> list[Row]:
    """Means over the seeds, a row each budget and variant."""
    by_trial = {(trial.budget, trial.variant, trial.seed): score for trial, score in scores}
    variants = list(dict.fromkeys(trial.variant for trial, _ in scores))
    seeds = sorted({trial.seed for trial, _ in scores})
    rows = []
    for budget in sorted({trial.budget for trial, _ in scores}):
        for variant in variants:
            own = {seed: by_trial[budget, variant, seed] for seed in seeds if (budget, variant, seed) in by_trial}
            if not own:
                continue
            paired = [seed for seed in own if (budget, REFERENCE, seed) in by_trial]
            ahead = [own[seed].psnr - by_trial[budget, REFERENCE, seed].psnr for seed in paired]
            rows.append(
                Row(
                    budget.samples,
                    budget.split,
                    variant,
                    student_mean([score.psnr for score in own.values()]),
                    student_mean([score.l1 for score in own.values()]),
                    student_mean([score.contrast for score in own.values()]),
                    student_mean(ahead) if ahead and variant != REFERENCE else None,
                )
            )
    return rows


def _tabulate(rows: list[Row], diverged: list[Trial], done: int, planned: int) -> str:
    lines = [
        f"{done} of {planned} runs. Means over seeds ± half of their 95 % Student interval; in-hole PSNR and L1 on "
        "fixed validation samples, the median of a run's last validations; the difference is to the paper's recipe "
        "with the same seed, so the same data order. Contrast: spread of the painted colours beside the photographs'.",
        "",
        "| samples (stages) | cell | seeds | PSNR (dB) | L1 | contrast | PSNR beside the paper's recipe |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        stages = " / ".join(f"{percent} %" for percent in row.split)
        ahead = row.ahead_of_paper
        difference = "" if ahead is None else f"{ahead.mean:+.2f}{_half(ahead, 2)} dB"
        lines.append(
            f"| {row.samples:,} ({stages}) | {row.cell} | {row.psnr.seeds} | {row.psnr.mean:.2f}{_half(row.psnr, 2)} | "
            f"{row.l1.mean:.4f}{_half(row.l1, 4)} | {row.contrast.mean:.2f}{_half(row.contrast, 2)} | {difference} |"
        )
    lines += [
        f"\n- diverged: {trial.variant}, {trial.budget.samples:,} samples, seed {trial.seed}" for trial in diverged
    ]
    return "\n".join(lines) + "\n"


def _half(mean: Mean, digits: int) -> str:
    return "" if mean.half is None else f" ± {mean.half:.{digits}f}"


def _plot(folder: Path, rows: list[Row]) -> None:
    """The three figures, whose lines are the variants."""
    variants = list(dict.fromkeys(row.cell for row in rows))
    for name, title, means in (
        ("psnr.png", "in-hole PSNR (dB) by samples", [row.psnr for row in rows]),
        ("contrast.png", "contrast inside holes, beside the photographs'", [row.contrast for row in rows]),
        ("differences.png", "PSNR beside the paper's recipe (dB)", [row.ahead_of_paper for row in rows]),
    ):
        lines = []
        for number, variant in enumerate(variants):
            points = [
                (row.samples, mean)
                for row, mean in zip(rows, means, strict=True)
                if row.cell == variant and mean is not None
            ]
            if points:
                shift = 1.02 ** (number - len(variants) / 2)  # so that bars do not cover each other
                x, y = [samples * shift for samples, _ in points], [mean.mean for _, mean in points]
                lines.append(Line(variant, x, y, False, [mean.half or 0.0 for _, mean in points]))
        if lines:
            _save_plot(folder / name, title, lines, sorted({row.samples for row in rows}))


def _save_plot(path: Path, title: str, lines: list[Line], ticks: list[int]) -> None:
    figure = plot(title, "samples (bars: 95 % over seeds)", lines)
    axes = figure.axes[0]
    if legend := axes.get_legend():  # so many lines leave it no room inside
        legend.remove()
        figure.legend(loc="outside right center", fontsize=7)
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{samples:,}" for samples in ticks])
    axes.set_xticks([], minor=True)
    with atomic_file(path) as partial:
        figure.savefig(partial, dpi=200)


def _write(path: Path, text: str) -> None:
    with atomic_file(path) as partial:
        partial.write_text(text)
