"""Scores as files: all means as JSON, a row for each case and method as CSV, the means as Markdown."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path

from glcic_jax.evaluation.benchmark import Benchmark
from glcic_jax.evaluation.intervals import LEVEL, RESAMPLES, Estimate
from glcic_jax.evaluation.report import JSON, ScoreReport
from glcic_jax.evaluation.scoring import METRICS, CaseScores
from glcic_jax.system.atomic import atomic_file

CSV, MARKDOWN = "scores.csv", "scores.md"
_DIGITS = {"l1": 4, "l2": 4, "psnr": 2, "ssim": 3, "rim_l1": 4}


def write_json(folder: Path, report: ScoreReport) -> None:
    """Means of all groups; an Estimate is [mean, low, high]."""
    _write(folder / JSON, json.dumps(report.to_json(), indent=1) + "\n")


def write_csv(folder: Path, benchmark: Benchmark, scores: dict[str, CaseScores]) -> None:
    """A row for each case and method."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["case", "kind", "hole_share", "method", *METRICS])
    for index, case in enumerate(benchmark.cases):
        for method, values in scores.items():
            figures = (f"{values[metric][index]:.6f}" for metric in METRICS)
            writer.writerow([case.name, case.kind, f"{case.share:.6f}", method, *figures])
    _write(folder / CSV, text.getvalue())


def write_markdown(folder: Path, report: ScoreReport) -> None:
    """The means with intervals, then by how much the first method is ahead."""
    rows = report.summary
    first = rows[0].method
    lines = [
        f"In-hole means over {rows[0].cases} cases, with {LEVEL:.0%} bootstrap intervals ({RESAMPLES} resamples).",
        "",
    ]
    for group in dict.fromkeys(row.group for row in rows):
        chosen = [row for row in rows if row.group == group]
        lines += [f"### {group} ({chosen[0].cases} cases)", ""]
        lines += _table(["method", *METRICS.values()], [[row.method, *_cells(row.metrics)] for row in chosen])
    others = [row for row in rows if row.group == "all" and row.method != first]
    if others:
        lines += [f"### By how much {first} is ahead, case by case; an interval above 0 is no accident", ""]
        lines += _table(["of", *METRICS.values()], [[row.method, *_cells(row.ahead)] for row in others])
    lines += format_perceptual(report)
    lines += [f"- {line}" for line in format_notes(report)]
    _write(folder / MARKDOWN, "\n".join(lines).rstrip() + "\n")


def format_interval(metric: str, estimate: Estimate) -> str:
    """Such as 0.1210 (0.1150 to 0.1270)."""
    mean, low, high = (f"{value:.{_DIGITS[metric]}f}" for value in estimate)
    return f"{mean} ({low} to {high})"


def format_mean(metric: str, estimate: Estimate) -> str:
    """Such as 0.1210."""
    return f"{estimate.mean:.{_DIGITS[metric]}f}"


def _cells(estimates: Mapping[str, Estimate]) -> list[str]:
    return [format_interval(metric, estimates[metric]) for metric in METRICS]


def format_notes(report: ScoreReport) -> list[str]:
    """How each model completed, and what is to be known of each method."""
    settings = [f"{method}: {how}" for method, how in report.settings.items()]
    return [*settings, *(f"{method}: {note}" for method, notes in report.notes.items() for note in notes)]


def format_perceptual(report: ScoreReport) -> list[str]:
    """Lines of Markdown with the perceptual metrics and what they rest on; none if they were not wanted."""
    about, values = report.perceptual.about, report.perceptual.values
    if not about:
        return []
    lines = ["### How real they look", ""]
    rows = [[method, *(_perceptual_cell(own[name]) for name in about)] for method, own in values.items()]
    lines += _table(["method", *(_heading(name) for name in about)], rows)
    for name, basis in about.items():
        versions = ", ".join(f"{package} {version}" for package, version in basis.versions.items())
        unit = f"; {basis.unit}" if basis.unit else ""
        lines.append(
            f"- {_heading(name)}: {basis.cases} cases; backbone {basis.backbone}; "
            f"resizer {basis.resizer}{unit}; {versions}"
        )
    return [*lines, *(f"- warning: {warning}" for warning in report.perceptual.warnings), ""]


def _heading(name: str) -> str:
    """Never "KID" alone for another network's features."""
    return {
        "efficientnet_kid": "KID of EfficientNet-Lite0",
        "efficientnet_kid_crops": "KID of EfficientNet-Lite0, around the holes",
    }.get(name, name.upper())


def _perceptual_cell(value: Mapping[str, float]) -> str:
    text = f"{value['mean']:.4f}"
    if "spread" in value:
        text += f" ± {value['spread']:.4f}"
    return text + (f" ({value['low']:.4f} to {value['high']:.4f})" if "low" in value else "")


def _table(headings: list[str], rows: list[list[str]]) -> list[str]:
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def _write(path: Path, text: str) -> None:
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
