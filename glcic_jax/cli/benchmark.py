"""`benchmark`: how fast each part is, beside something well known, measured side by side in one run."""

import argparse
import importlib
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from glcic_jax.atomic import atomic_file, require_parent

BENCHMARKS = {
    "loader": "samples from shards, beside a PyTorch DataLoader with Pillow and bare decoding",
    "prepare": "images into shards, beside bare decoding",
    "save": "what a checkpoint costs the training",
    "train": "painting and each stage's step, beside PyTorch and what the device can do at best",
    "complete": "windows around the holes, beside the whole image and PyTorch",
}


def main(arguments: list[str]) -> int:
    """Parses the arguments and measures."""
    parser = argparse.ArgumentParser(prog="benchmark", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    for name, purpose in BENCHMARKS.items():
        command = commands.add_parser(name, help=purpose, allow_abbrev=False)
        if arguments[:1] == [name]:  # others would start JAX before this one has set how
            module = importlib.import_module(f"glcic_jax.cli.benchmark_{name}")
            command.description = module.__doc__
            command.add_argument("--json", type=Path, help="also write the figures to this file")
            module.add_arguments(command)
    options = parser.parse_args(arguments)
    if options.json:
        require_parent(options.json)
    console, tables = Console(), module.measure(options)
    for title, rows in tables.items():
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        headings = [heading for heading in rows[0] if any(row[heading] is not None for row in rows)]
        for index, heading in enumerate(headings):
            table.add_column(heading, justify="right" if index else "left", no_wrap=not index, overflow="fold")
        for row in rows:
            table.add_row(*(_cell(row[heading]) for heading in headings))
        console.print(table)
    if options.json:
        with atomic_file(options.json) as partial:
            partial.write_text(json.dumps(tables, indent=1) + "\n")
    return 0


def _cell(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.2g}" if 0 < abs(value) < 0.1 else f"{value:,.2f}"
