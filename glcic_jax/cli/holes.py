"""`holes`: a recipe's holes as a picture, a row each kind with the local window outlined, and how much they cover."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table

from glcic_jax.cli.recipes import load_recipe, recipe_path
from glcic_jax.errors import UserError

MEASURED = 1_000
"""Masks of each kind behind the coverage figures."""

BINS = 25
BLOCKS = " ▁▂▃▄▅▆▇█"
KNOWN, HOLE, WINDOW = (225, 225, 225), (70, 70, 70), (220, 30, 30)


def main(arguments: list[str]) -> int:
    """Parses the arguments, draws and measures."""
    parser = argparse.ArgumentParser(
        prog="holes",
        description=__doc__,
        epilog="Keys of the recipe can be changed, as with train: --config.holes.brush.share=1.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", required=True, help="recipe: a file, or the name of one in configs/")
    parser.add_argument("--output", required=True, type=Path, help="the picture, such as holes.png")
    parser.add_argument("--count", type=int, default=6, help="masks in a row (default: %(default)s)")
    options, overrides = parser.parse_known_args(arguments)
    if options.count < 1:
        raise UserError(f"--count is {options.count}; it must be at least 1")

    from glcic_jax.data.images import contact_sheet, require_writable, write_image
    from glcic_jax.training.setup import check

    config = load_recipe(recipe_path(options.config), overrides)
    check(config)
    require_writable(options.output)
    rows, coverage = [], {}
    for kind, hole in config.holes.items():
        if hole.share > 0:
            masks = draws(config, kind)
            shown = [next(masks) for _ in range(options.count)]
            rows.append([_label(kind, config.crop_px), *(_tile(*drawn, config.window_px) for drawn in shown)])
            measured = shown + [next(masks) for _ in range(MEASURED - options.count)]
            coverage[kind] = np.array([100 * mask.mean() for mask, _ in measured])
    write_image(options.output, contact_sheet(rows))
    console = Console()
    console.print(_table(coverage))
    console.print(
        f"coverage in percent of {config.crop_px} x {config.crop_px} px, {MEASURED} masks of each kind; "
        f"the masks are in {options.output}",
        highlight=False,
        soft_wrap=True,
    )
    return 0


def draws(config: Any, kind: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Masks and windows of one kind without end, always the same ones."""
    from glcic_jax.data.holes import draw_hole

    rng = np.random.default_rng(0)
    while True:
        yield draw_hole(
            rng,
            size_px=config.crop_px,
            window_px=config.window_px,
            hole_px=config.hole_px,
            holes={kind: config.holes[kind].to_dict()},
            in_window=config.holes_in_window,
        )


def _label(text: str, size_px: int) -> np.ndarray:
    """A white tile that says what its row shows."""
    tile = Image.new("RGB", (size_px, size_px), "white")
    ImageDraw.Draw(tile).text((size_px // 2, size_px // 2), text, "black", anchor="mm", font_size=size_px // 8)
    return np.array(tile)


def _tile(mask: np.ndarray, window: np.ndarray, window_px: int) -> np.ndarray:
    """uint8 (H, W, 3): the hole dark, the window's outline red."""
    tile = Image.fromarray(np.where(mask > 0, HOLE, KNOWN).astype(np.uint8))
    y, x = window.tolist()
    ImageDraw.Draw(tile).rectangle((x, y, x + window_px - 1, y + window_px - 1), outline=WINDOW, width=2)
    return np.array(tile)


def _table(coverage: dict[str, np.ndarray]) -> Table:
    """One row a kind; all histograms run from 0 to the largest coverage of any."""
    top = max(values.max() for values in coverage.values())
    table = Table("kind", box=None, pad_edge=False)
    for heading in ("min", "median", "mean", "max"):
        table.add_column(heading, justify="right")
    table.add_column(f"0{top:>{BINS - 1}.1f}", no_wrap=True)
    for kind, values in coverage.items():
        counts, _ = np.histogram(values, BINS, (0, top))
        heights = np.ceil(counts / counts.max() * (len(BLOCKS) - 1)).astype(int)
        figures = (values.min(), np.median(values), values.mean(), values.max())
        table.add_row(kind, *(f"{figure:.1f}" for figure in figures), "".join(BLOCKS[height] for height in heights))
    return table
