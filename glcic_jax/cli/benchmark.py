"""`benchmark`: measures parts of the program on this machine."""

import argparse

from glcic_jax.cli import benchmark_complete


def main(arguments: list[str]) -> int:
    """Parses the arguments and measures."""
    parser = argparse.ArgumentParser(prog="benchmark", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="what", required=True)
    complete = commands.add_parser("complete", help=benchmark_complete.__doc__, allow_abbrev=False)
    benchmark_complete.add_arguments(complete)
    complete.set_defaults(run=benchmark_complete.run)
    options = parser.parse_args(arguments)
    return int(options.run(options))
