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
    "complete": "windows around the holes, beside the whole image and PyTorch",
}


def main(arguments: list[str]) -> int:
    """Parses the arguments and measures."""
    parser = argparse.ArgumentParser(prog="benchmark", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    modules = {}
    for name, purpose in BENCHMARKS.items():
        modules[name] = importlib.import_module(f"glcic_jax.cli.benchmark_{name}")
        command = commands.add_parser(name, help=purpose, description=modules[name].__doc__, allow_abbrev=False)
        command.add_argument("--json", type=Path, help="also write the figures to this file")
        modules[name].add_arguments(command)
    options = parser.parse_args(arguments)
    if options.json:
        require_parent(options.json)
    console, tables = Console(), modules[options.what].measure(options)
    for title, rows in tables.items():
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        for index, heading in enumerate(rows[0]):
            table.add_column(heading, justify="right" if index else "left", no_wrap=not index)
        for row in rows:
            table.add_row(*(f"{value:,.2f}" if isinstance(value, float) else str(value) for value in row.values()))
        console.print(table)
    if options.json:
        with atomic_file(options.json) as partial:
            partial.write_text(json.dumps(tables, indent=1) + "\n")
    return 0
