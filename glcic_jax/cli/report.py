"""`report`: turns a run's folder into one HTML page: scores, cost, alarms, curves next to reference curves, grids."""

import argparse

from glcic_jax.system.paths import user_path


def main(arguments: list[str]) -> int:
    """Parses the arguments and writes the page."""
    parser = argparse.ArgumentParser(prog="report", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "workdir", type=user_path, help="folder of the run, such as runs/places2; the run may be under way"
    )
    parser.add_argument("--output", type=user_path, help="default: WORKDIR/report.html")
    parser.add_argument(
        "--curve",
        type=user_path,
        help="also write the validation curve to this JSON file, named after it; a reference for other runs",
    )
    options = parser.parse_args(arguments)

    from glcic_jax.tools.report import write_report

    write_report(options.workdir, options.output or options.workdir / "report.html", options.curve)
    return 0
