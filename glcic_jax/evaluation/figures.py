"""The comparison figure: a row for each photograph, columns for the hole and each method. Needs the extra `eval`."""

from pathlib import Path
from typing import Any

import numpy as np

from glcic_jax.errors import UserError
from glcic_jax.system.atomic import atomic_file, require_parent

COLUMN_INCHES = 1.15
_DPI = 300
_GAP = 0.03  # between pictures, of a picture


def import_figure() -> Any:
    """Matplotlib's Figure, which needs no display. Raises: UserError if Matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError("figures and plots need Matplotlib; install it: pip install 'glcic-jax[train]'") from None
    return Figure


def draw_comparison(
    output: Path, columns: list[str], rows: list[list[np.ndarray]], transposed: bool = False
) -> list[Path]:
    """Lays pictures out on white with the methods' names above, as the paper's figure 7 does; writes PNG and PDF.

    Args:
        output: without .png or .pdf, which are added, or with one of them.
        columns: headings. rows: uint8 (H, W, 3) each, as many as headings.
        transposed: photographs side by side and methods below each other.

    Returns: the two files. Raises: UserError if Matplotlib is missing.

    """
    Figure = import_figure()
    require_parent(output)
    grid = [list(column) for column in zip(*rows, strict=True)] if transposed else rows
    down, across = len(grid), len(grid[0])
    tallest = max(picture.shape[0] / picture.shape[1] for row in grid for picture in row)
    figure = Figure(figsize=(COLUMN_INCHES * across, COLUMN_INCHES * tallest * down), dpi=_DPI)
    axes = figure.subplots(down, across, squeeze=False)
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1, wspace=_GAP, hspace=_GAP)
    for r, row in enumerate(grid):
        for c, picture in enumerate(row):
            shown = axes[r, c]
            shown.imshow(picture, interpolation="lanczos")
            shown.set_xticks([])
            shown.set_yticks([])
            for spine in shown.spines.values():
                spine.set_visible(False)
            if not transposed and r == 0:
                shown.set_title(columns[c], fontsize=7, pad=3)
            if transposed and c == 0:
                shown.set_ylabel(columns[r], fontsize=7, labelpad=3)
    stem = output.with_suffix("") if output.suffix.lower() in (".png", ".pdf") else output
    written = [stem.with_name(f"{stem.name}{suffix}") for suffix in (".png", ".pdf")]
    for path in written:
        with atomic_file(path) as partial:
            figure.savefig(partial, bbox_inches="tight", pad_inches=0.02)
    return written
