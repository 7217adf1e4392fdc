"""Scores as files: JSON with all means, CSV with a row a case and method, Markdown with the means."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from glcic_jax.atomic import atomic_file
from glcic_jax.evaluation.benchmark import Benchmark
from glcic_jax.evaluation.intervals import LEVEL, RESAMPLES, Estimate
from glcic_jax.evaluation.scoring import METRICS

JSON, CSV, MARKDOWN = "scores.json", "scores.csv", "scores.md"
_DIGITS = {"l1": 4, "l2": 4, "psnr": 2, "ssim": 3, "rim_l1": 4}


def write_json(folder: Path, report: dict[str, Any]) -> None:
    """Means of all groups; an Estimate is [mean, low, high]."""
    _write(folder / JSON, json.dumps(report, indent=1) + "\n")


def write_csv(folder: Path, benchmark: Benchmark, scores: dict[str, dict[str, np.ndarray]]) -> None:
    """A row each case and method."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["case", "kind", "hole_share", "method", *METRICS])
    for index, case in enumerate(benchmark.cases):
        for method, values in scores.items():
            figures = (f"{values[metric][index]:.6f}" for metric in METRICS)
            writer.writerow([case.name, case.kind, f"{case.share:.6f}", method, *figures])
    _write(folder / CSV, text.getvalue())


def write_markdown(folder: Path, report: dict[str, Any]) -> None:
    """The means with intervals, then by how much the first method is ahead."""
    rows = report["summary"]
    first = rows[0]["method"]
    lines = [
        f"In-hole means over {rows[0]['cases']} cases, with {LEVEL:.0%} bootstrap intervals ({RESAMPLES} resamples).",
        "",
    ]
    for group in dict.fromkeys(row["group"] for row in rows):
        chosen = [row for row in rows if row["group"] == group]
        lines += [f"### {group} ({chosen[0]['cases']} cases)", ""]
        lines += _table(["method", *METRICS.values()], [[r["method"], *_cells(r)] for r in chosen])
    others = [row for row in rows if row["group"] == "all" and row["method"] != first]
    if others:
        lines += [f"### By how much {first} is ahead, case by case; an interval above 0 is no accident", ""]
        lines += _table(["of", *METRICS.values()], [[r["method"], *_cells(r["ahead"])] for r in others])
    lines += perceptual_lines(report)
    lines += [f"- {method}: {note}" for method, notes in report["notes"].items() for note in notes]
    _write(folder / MARKDOWN, "\n".join(lines).rstrip() + "\n")


def cell(metric: str, estimate: Estimate) -> str:
    """Such as 0.1210 (0.1150 to 0.1270)."""
    mean, low, high = (f"{value:.{_DIGITS[metric]}f}" for value in estimate)
    return f"{mean} ({low} to {high})"


def mean(metric: str, estimate: Estimate) -> str:
    """Such as 0.1210."""
    return f"{estimate.mean:.{_DIGITS[metric]}f}"


def _cells(row: dict[str, Any]) -> list[str]:
    return [cell(metric, row[metric]) for metric in METRICS]


def perceptual_lines(report: dict[str, Any]) -> list[str]:
    """KID, FID and LPIPS as Markdown, with what they rest on; none if they were not wanted."""
    about, values = report["perceptual"]["about"], report["perceptual"]["values"]
    if not about:
        return []
    lines = ["### Whole composites", ""]
    rows = [[method, *(_perceptual_cell(found[name]) for name in about)] for method, found in values.items()]
    lines += _table(["method", *(name.upper() for name in about)], rows)
    for name, facts in about.items():
        versions = ", ".join(f"{package} {version}" for package, version in facts["versions"].items())
        unit = f"; {facts['unit']}" if "unit" in facts else ""
        lines.append(
            f"- {name.upper()}: {facts['cases']} cases; backbone {facts['backbone']}; "
            f"resizer {facts['resizer']}{unit}; {versions}"
        )
    return [*lines, *(f"- warning: {warning}" for warning in report["perceptual"]["warnings"]), ""]


def _perceptual_cell(value: dict[str, float]) -> str:
    text = f"{value['mean']:.4f}"
    if "spread" in value:
        text += f" ± {value['spread']:.4f}"
    return text + (f" ({value['low']:.4f} to {value['high']:.4f})" if "low" in value else "")


def _table(headings: list[str], rows: list[list[str]]) -> list[str]:
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def _write(path: Path, text: str) -> None:
    with atomic_file(path) as partial:
        partial.write_text(text)
