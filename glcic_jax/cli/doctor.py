"""`doctor`: what to know before a long run: devices, whether the GPU is used, disk, data, speed, time to the end."""

import argparse
from pathlib import Path

from glcic_jax.exit_codes import ExitCode
from glcic_jax.recipes import load_recipe, recipe_path
from glcic_jax.system.paths import user_path


def main(arguments: list[str]) -> int:
    """Parses the arguments, runs all checks, and prints their results."""
    parser = argparse.ArgumentParser(
        prog="doctor",
        description=__doc__,
        epilog="Any key of the recipe can be changed, as with train. Looks at this machine alone: with several hosts, "
        f"run it on each. Exit codes: 0 no problem (there may be warnings), {ExitCode.USER_ERROR} a problem.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", required=True, help="recipe: a file, or the name of one in configs/")
    parser.add_argument("--workdir", type=user_path, help="folder of the run (default: runs/RECIPE)")
    parser.add_argument("--nosteps", action="store_true", help="measure no training steps, which may take minutes")
    options, overrides = parser.parse_known_args(arguments)
    path = recipe_path(options.config)
    recipe = load_recipe(path, overrides)

    from glcic_jax.tools.doctor.checks import Status
    from glcic_jax.tools.doctor.doctor import examine

    results = examine(recipe, options.workdir or Path("runs") / path.stem, measure_steps=not options.nosteps)
    statuses = [result.status for result in results]
    problems, warnings = statuses.count(Status.PROBLEM), statuses.count(Status.WARNING)
    print(f"{problems} problem(s), {warnings} warning(s)")
    return ExitCode.USER_ERROR if problems else ExitCode.DONE
