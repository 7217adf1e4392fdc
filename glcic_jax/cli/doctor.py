"""`doctor`: what to know before a long run: devices, whether the GPU is used, disk, data, speed, time to the end."""

import argparse
from pathlib import Path

from rich.console import Console

from glcic_jax.cli.findings import Finding, Mark, print_table
from glcic_jax.cli.recipes import load_recipe, recipe_path

EXIT_PROBLEM = 2


def main(arguments: list[str]) -> int:
    """Parses the arguments, runs all checks, and prints what they found."""
    parser = argparse.ArgumentParser(
        prog="doctor",
        description=__doc__,
        epilog="Any key of the recipe can be changed, as with train. Looks at this machine alone: with several hosts, "
        f"run it on each. Exit codes: 0 no problem (there may be warnings), {EXIT_PROBLEM} a problem.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", required=True, help="recipe: a file, or the name of one in configs/")
    parser.add_argument("--workdir", type=Path, help="folder of the run (default: runs/RECIPE)")
    parser.add_argument("--nosteps", action="store_true", help="measure no training steps, which may take minutes")
    options, overrides = parser.parse_known_args(arguments)
    path = recipe_path(options.config)
    config = load_recipe(path, overrides)

    from glcic_jax.cli.doctor_checks import Doctor

    console = Console()
    doctor = Doctor(config, options.workdir or Path("runs") / path.stem, not options.nosteps)
    found: list[Finding] = []
    for title, doing, findings in (
        ("This machine", "looking at this machine", doctor.machine()),
        ("The run", "looking at data and disk", doctor.run()),
        ("Speed", "measuring loader and training steps (--nosteps leaves the steps out)", doctor.speed()),
    ):
        with console.status(doing):
            section = list(findings)
        print_table(console, title, section)
        found += section
    counts = {mark: sum(finding.mark is mark for finding in found) for mark in Mark}
    print(f"{counts[Mark.PROBLEM]} problem(s), {counts[Mark.WARNING]} warning(s)")
    return EXIT_PROBLEM if counts[Mark.PROBLEM] else 0
