"""`benchmark`: measures how fast each part is, next to something well known, in the same run."""

import argparse
import importlib

from glcic_jax.system.atomic import require_parent
from glcic_jax.system.paths import user_path
from glcic_jax.tools.speed.rows import print_tables, write_tables

MEASUREMENTS = {
    "loader": "samples from shards, next to a PyTorch DataLoader with Pillow and to bare decoding",
    "prepare": "images into shards, next to bare decoding",
    "save": "what a checkpoint costs the training",
    "train": "painting and each stage's step, next to PyTorch and to what the device can do at best",
    "complete": "windows around the holes, next to the whole image and to PyTorch",
}


def main(arguments: list[str]) -> int:
    """Parses the arguments and measures."""
    parser = argparse.ArgumentParser(prog="benchmark", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    for name, purpose in MEASUREMENTS.items():
        command = commands.add_parser(name, help=purpose, allow_abbrev=False)
        if arguments[:1] == [name]:  # others would start JAX before this one has set how
            module = importlib.import_module(f"glcic_jax.tools.speed.{name}")
            command.description = module.__doc__
            command.add_argument("--json", type=user_path, help="also write the figures to this file")
            module.add_arguments(command)
    options = parser.parse_args(arguments)
    if options.json:
        require_parent(options.json)
    tables = module.measure(options)
    print_tables(tables)
    if options.json:
        write_tables(options.json, tables)
    return 0
