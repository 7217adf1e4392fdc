"""A picture of a recipe's holes, one row a kind with the local window outlined, and how much they cover."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table

from glcic_jax.data.holes import draw_hole
from glcic_jax.data.images import contact_sheet, require_writable, write_image
from glcic_jax.run.config import Config

MEASURED_MASKS = 1_000
"""Of each kind, for the coverage."""

HISTOGRAM_BINS = 25
BLOCKS = " ▁▂▃▄▅▆▇█"
KNOWN, HOLE, WINDOW = (225, 225, 225), (70, 70, 70), (220, 30, 30)


def write_hole_sheet(config: Config, output: Path, count: int) -> None:
    """Writes the picture and prints a table of coverage. count: masks in a row. Raises: UserError."""
    require_writable(output)
    rows, coverage = [], {}
    for kind in config.holes.shares():
        masks = draw_masks(config, kind)
        shown = [next(masks) for _ in range(count)]
        tiles = [_outline(mask, window, config.window_px) for mask, window in shown]
        rows.append([_label(kind, config.crop_px), *tiles])
        measured = shown + [next(masks) for _ in range(MEASURED_MASKS - count)]
        coverage[kind] = np.array([100 * mask.mean() for mask, _ in measured])
    write_image(output, contact_sheet(rows))
    console = Console()
    console.print(_tabulate(coverage))
    console.print(
        f"coverage in percent of {config.crop_px} x {config.crop_px} px, {MEASURED_MASKS} masks of each kind; "
        f"the masks are in {output}",
        highlight=False,
        soft_wrap=True,
    )


def draw_masks(config: Config, kind: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Masks uint8 (H, W, 1) and windows (y, x) of one kind without end, the same ones every time."""
    rng = np.random.default_rng(0)
    while True:
        yield draw_hole(
            rng,
            size_px=config.crop_px,
            window_px=config.window_px,
            hole_px=config.hole_px,
            holes={kind: config.holes.to_dict()[kind]},
            in_window=config.holes_in_window,
        )


def _label(text: str, size_px: int) -> np.ndarray:
    """A white tile that names its row."""
    tile = Image.new("RGB", (size_px, size_px), "white")
    ImageDraw.Draw(tile).text((size_px // 2, size_px // 2), text, "black", anchor="mm", font_size=size_px // 8)
    return np.array(tile)


def _outline(mask: np.ndarray, window: np.ndarray, window_px: int) -> np.ndarray:
    """uint8 (H, W, 3): the hole dark, the window's outline red."""
    tile = Image.fromarray(np.where(mask > 0, HOLE, KNOWN).astype(np.uint8))
    y, x = window.tolist()
    ImageDraw.Draw(tile).rectangle((x, y, x + window_px - 1, y + window_px - 1), outline=WINDOW, width=2)
    return np.array(tile)


def _tabulate(coverage: dict[str, np.ndarray]) -> Table:
    """One row a kind; all histograms run from 0 to the largest coverage of any."""
    top = max(values.max() for values in coverage.values())
    table = Table("kind", box=None, pad_edge=False)
    for heading in ("min", "median", "mean", "max"):
        table.add_column(heading, justify="right")
    table.add_column(f"0{top:>{HISTOGRAM_BINS - 1}.1f}", no_wrap=True)
    for kind, values in coverage.items():
        counts, _ = np.histogram(values, HISTOGRAM_BINS, (0, top))
        heights = np.ceil(counts / counts.max() * (len(BLOCKS) - 1)).astype(int)
        figures = (values.min(), np.median(values), values.mean(), values.max())
        table.add_row(kind, *(f"{figure:.1f}" for figure in figures), "".join(BLOCKS[height] for height in heights))
    return table
