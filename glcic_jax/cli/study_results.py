"""What the study found: a table and plots with error bars over the seeds."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from glcic_jax.atomic import atomic_file

if TYPE_CHECKING:
    from glcic_jax.cli.study import Cell, Score

REFERENCE = "paper"
LEVEL = 0.95


class Mean(NamedTuple):
    """A mean over seeds, with half the length of its Student interval; None where there is one seed."""

    mean: float
    half: float | None
    seeds: int


def student_mean(values: Sequence[float]) -> Mean:
    """Mean and half of the 95 % interval, wide for few seeds as it must be."""
    from scipy.stats import t

    count = len(values)
    if count < 2:
        return Mean(float(np.mean(values)), None, count)
    half = t.ppf((1 + LEVEL) / 2, count - 1) * np.std(values, ddof=1) / math.sqrt(count)
    return Mean(float(np.mean(values)), float(half), count)


def write_results(
    folder: Path, scores: list[tuple["Cell", "Score"]], diverged: list["Cell"], planned: int
) -> None:  # fmt: skip
    """Writes study.json, table.md, psnr.png, differences.png and contrast.png.

    Args:
        scores: of each run that is done.
        diverged: runs whose losses were not finite. planned: all runs.

    """
    found = {(run.budget, run.name, run.seed): score for run, score in scores}
    budgets, cells = sorted({run.budget for run, _ in scores}), list(dict.fromkeys(run.name for run, _ in scores))
    seeds = sorted({run.seed for run, _ in scores})
    rows = []
    for budget in budgets:
        for cell in cells:
            done = [seed for seed in seeds if (budget, cell, seed) in found]
            if not done:
                continue
            paired = [seed for seed in done if (budget, REFERENCE, seed) in found]
            ahead = [found[budget, cell, seed].psnr - found[budget, REFERENCE, seed].psnr for seed in paired]
            row: dict[str, Any] = {"samples": budget.samples, "split": budget.split, "cell": cell}
            for name in ("psnr", "l1", "contrast"):
                row[name] = student_mean([getattr(found[budget, cell, seed], name) for seed in done])
            row["ahead_of_paper"] = student_mean(ahead) if ahead and cell != REFERENCE else None
            rows.append(row)
    runs = [
        {"cell": run.name, "samples": run.budget.samples, "seed": run.seed, **score._asdict()} for run, score in scores
    ]
    _write(
        folder / "study.json",
        json.dumps({"rows": rows, "runs": runs, "planned": planned}, indent=1, allow_nan=False) + "\n",
    )
    _write(folder / "table.md", _table(rows, diverged, len(scores), planned))
    _plots(folder, rows, cells)


def _table(rows: list[dict[str, Any]], diverged: list["Cell"], done: int, planned: int) -> str:
    lines = [
        f"{done} of {planned} runs. Means over seeds ± half of their 95 % Student interval; in-hole PSNR and L1 on "
        "fixed validation samples, the median of a run's last validations; the difference is to the paper's recipe "
        "with the same seed, so the same data order. Contrast: spread of the painted colours beside the photographs'.",
        "",
        "| samples (stages) | cell | seeds | PSNR (dB) | L1 | contrast | PSNR beside the paper's recipe |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        stages = " / ".join(f"{percent} %" for percent in row["split"])
        ahead = row["ahead_of_paper"]
        difference = "" if ahead is None else f"{ahead.mean:+.2f}{_half(ahead, 2)} dB"
        lines.append(
            f"| {row['samples']:,} ({stages}) | {row['cell']} | {row['psnr'].seeds} | {row['psnr'].mean:.2f}"
            f"{_half(row['psnr'], 2)} | {row['l1'].mean:.4f}{_half(row['l1'], 4)} | "
            f"{row['contrast'].mean:.2f}{_half(row['contrast'], 2)} | {difference} |"
        )
    lines += [f"\n- diverged: {run.name}, {run.budget.samples:,} samples, seed {run.seed}" for run in diverged]
    return "\n".join(lines) + "\n"


def _half(mean: Mean, digits: int) -> str:
    return "" if mean.half is None else f" ± {mean.half:.{digits}f}"


def _plots(folder: Path, rows: list[dict[str, Any]], cells: list[str]) -> None:
    from glcic_jax.evaluation.curves import Line, plot

    for name, key, title in (
        ("psnr.png", "psnr", "in-hole PSNR (dB) by samples"),
        ("contrast.png", "contrast", "contrast inside holes, beside the photographs'"),
        ("differences.png", "ahead_of_paper", "PSNR beside the paper's recipe (dB)"),
    ):
        lines = []
        for number, cell in enumerate(cells):
            found = [row for row in rows if row["cell"] == cell and row[key] is not None]
            if found:
                shift = 1.02 ** (number - len(cells) / 2)  # so that bars do not cover each other
                x = [row["samples"] * shift for row in found]
                halves = [row[key].half or 0.0 for row in found]
                lines.append(Line(cell, x, [row[key].mean for row in found], False, halves))
        if lines:
            figure = plot(title, "samples (bars: 95 % over seeds)", lines)
            axes, ticks = figure.axes[0], sorted({row["samples"] for row in rows})
            if legend := axes.get_legend():  # so many lines leave it no room inside
                legend.remove()
                figure.legend(loc="outside right center", fontsize=7)
            axes.set_xscale("log")
            axes.set_xticks(ticks, [f"{samples:,}" for samples in ticks])
            axes.set_xticks([], minor=True)
            with atomic_file(folder / name) as partial:
                figure.savefig(partial, dpi=200)


def _write(path: Path, text: str) -> None:
    with atomic_file(path) as partial:
        partial.write_text(text)
