"""Curves of training runs as SVG, and the reference curves that the project keeps (extra `train` for Matplotlib)."""

import io
import json
from pathlib import Path
from typing import Any, NamedTuple

from glcic_jax.evaluation.figures import import_figure
from glcic_jax.run.config import HolesConfig
from glcic_jax.system.atomic import atomic_file

REFERENCES = Path(__file__).parent / "references"
_INCHES = (5.4, 2.7)


class Curve(NamedTuple):
    """Validation scores by samples seen, of one run.

    Fields:
        name, about: what it is, for people.
        crop_px, hole_px, hole_shares: curves compare only where these agree. Shares of kinds that are drawn.
        points: (samples, in-hole L1, in-hole PSNR in dB).
    """

    name: str
    about: str
    crop_px: int
    hole_px: tuple[int, int]
    hole_shares: dict[str, float]
    points: list[tuple[int, float, float]]


def write_curve(path: Path, curve: Curve) -> None:
    """Writes a curve to a file that can become a reference."""
    with atomic_file(path) as partial:
        partial.write_text(json.dumps(curve._asdict()) + "\n")


def hole_shares(holes: HolesConfig) -> dict[str, float]:
    """Shares of the kinds of holes in a recipe's `holes`; a central rectangle is a kind of its own."""
    shares = holes.shares()
    if holes.rectangles.central and "rectangles" in shares:
        shares["central"] = shares.pop("rectangles")
    return shares


def references(like: Curve) -> list[Curve]:
    """The project's curves of runs with the same sizes and kinds of holes."""
    curves = []
    for path in sorted(REFERENCES.glob("*.json")):
        raw = json.loads(path.read_text())
        points = [(int(samples), float(l1), float(psnr)) for samples, l1, psnr in raw["points"]]
        curve = Curve(raw["name"], raw["about"], raw["crop_px"], tuple(raw["hole_px"]), raw["hole_shares"], points)
        if curve[2:5] == like[2:5]:
            curves.append(curve)
    return curves


class Line(NamedTuple):
    """One line of a plot; faint for what is only compared with; errors: half the length of bars, where there are."""

    label: str
    x: list[float]
    y: list[float]
    faint: bool = False
    errors: list[float] | None = None


def plot(
    title: str, x_label: str, lines: list[Line], borders: tuple[float, ...] = (), logarithmic: bool = False
) -> Any:
    """A Matplotlib figure of lines, with dashed verticals at borders. Raises: UserError without Matplotlib."""
    figure = import_figure()(figsize=_INCHES, layout="constrained")
    axes = figure.subplots()
    for line in lines:
        marker = "." if len(line.x) < 40 else None
        style: dict[str, str | float | None] = {"label": line.label, "linewidth": 1.4, "marker": marker}
        if line.faint:
            style |= {"linestyle": ":", "color": "0.45"}
        if line.errors is None:
            axes.plot(line.x, line.y, **style)
        else:
            axes.errorbar(line.x, line.y, yerr=line.errors, capsize=2.5, **style)
    for border in borders:
        axes.axvline(border, color="0.8", linestyle="--", linewidth=0.8, zorder=0)
    if logarithmic:
        axes.set_yscale("log")
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x_label, fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    if len(lines) > 1:
        axes.legend(fontsize=7)
    return figure


def svg(figure: Any) -> str:
    """A figure as an element of a page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()[buffer.getvalue().index("<svg") :]
