"""`prepare`: a folder or tar of photographs into ArrayRecord shards and a manifest."""

import argparse
import re
import time
from collections.abc import Iterator
from pathlib import Path

import rich.progress
from rich.console import Console

from glcic_jax.errors import UserError


def main(arguments: list[str]) -> int:
    """Parses the arguments and prepares."""
    parser = argparse.ArgumentParser(prog="prepare", description=__doc__, allow_abbrev=False)
    parser.add_argument("--source", required=True, type=Path, help="folder tree or tar archive, compressed or not")
    parser.add_argument("--output", required=True, type=Path, help="folder for the shards, such as data/places2")
    parser.add_argument(
        "--split",
        help="put every image into this split (train or val); default: by folders named train, val or test in the "
        "source, and a share set apart as val where it has none",
    )
    parser.add_argument(
        "--val_fraction",
        type=float,
        default=0.02,
        help="that share, chosen by the images' content (default: %(default)s; 0: none)",
    )
    parser.add_argument(
        "--max_short_side_px",
        type=int,
        default=512,
        help="larger images are scaled down to this (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    if not 0 <= options.val_fraction < 1:
        raise UserError(f"--val_fraction is {options.val_fraction}; it must lie in [0, 1)")
    if options.max_short_side_px < 1:
        raise UserError(f"--max_short_side_px is {options.max_short_side_px}; it must be at least 1")
    if options.split is not None and not re.fullmatch(r"[A-Za-z0-9_]+", options.split):
        raise UserError(f"--split is {options.split!r}; use letters and digits, such as train or val")
    run(
        options.source,
        options.output,
        options.split,
        options.val_fraction,
        options.max_short_side_px,
        Console(),
    )
    return 0


def run(
    source: Path,
    output: Path,
    split: str | None,
    val_fraction: float,
    max_short_side_px: int,
    console: Console,
) -> None:
    """Prepares with a progress line and a closing report."""
    from glcic_jax.data.prepare import prepare
    from glcic_jax.data.sources import Entry, entries

    progress = rich.progress.Progress(
        rich.progress.SpinnerColumn(),
        rich.progress.TextColumn("{task.description}"),
        rich.progress.TextColumn("{task.completed} files, {task.fields[rate]:.0f}/s"),
        rich.progress.TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    found: Iterator[Entry] = entries(source)
    start = time.perf_counter()
    with progress:
        task = progress.add_task(f"preparing {source.name}", total=None, rate=0.0)

        def on_file() -> None:
            done = progress.tasks[0].completed + 1
            progress.update(task, advance=1, rate=done / (time.perf_counter() - start))

        manifest = prepare(source.name, found, output, split, val_fraction, max_short_side_px, on_file)
    for name, described in manifest["splits"].items():
        low, high = described["short_side_px"]
        colour = ", ".join(f"{value:.3f}" for value in described["mean_color"])
        console.print(
            f"{name}: {described['count']} images in {len(described['shards'])} shard(s), "
            f"short sides {low} to {high} px, mean colour ({colour})",
            highlight=False,
            soft_wrap=True,
        )
    left_out = manifest["left_out"]
    console.print(f"left out: {len(left_out)} files", highlight=False)
    for entry in left_out[:5]:
        console.print(f"  {entry['name']}: {entry['reason']}", highlight=False, markup=False, soft_wrap=True)
    if len(left_out) > 5:
        console.print(f"  ... all of them are in {output / 'manifest.json'}", highlight=False, soft_wrap=True)
