"""`evaluate`: makes a frozen benchmark, scores any tool's completions on it next to all rivals, draws the figure."""

import argparse
import importlib

COMMANDS = {
    "make": "photographs into a benchmark: images, masks, and a manifest with their hashes",
    "score": "completions of a benchmark into tables and a page with the pictures",
    "figure": "photographs, holes and completions side by side, as PNG and PDF",
}


def main(arguments: list[str]) -> int:
    """Parses the arguments and does one of the three."""
    parser = argparse.ArgumentParser(prog="evaluate", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    modules = {}
    for name, purpose in COMMANDS.items():
        modules[name] = importlib.import_module(f"glcic_jax.cli.evaluate_{name}")
        command = commands.add_parser(name, help=purpose, description=modules[name].__doc__, allow_abbrev=False)
        modules[name].add_arguments(command)
    options = parser.parse_args(arguments)
    code: int = modules[options.what].main(options)
    return code
