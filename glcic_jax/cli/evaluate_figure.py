"""Lays out what `evaluate score` has written: photograph, hole, and each method's completion, as PNG and PDF."""

import argparse

from glcic_jax.exit_codes import ExitCode
from glcic_jax.system.paths import user_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add = parser.add_argument
    add("--scores", required=True, type=user_path, help="folder that evaluate score has written")
    add("--benchmark", type=user_path, help="where it lies now; default: where it lay when it was scored")
    add("--output", required=True, type=user_path, help="the figure; written as .png and as .pdf")
    add("--cases", help="names, separated by commas; default: evenly from the first method's worst to its best")
    add("--count", type=int, default=6, help="of those; default: %(default)s")
    add("--methods", help="names, separated by commas; default: all that were scored")
    add("--transposed", action="store_true", help="photographs side by side, methods below each other")


def main(options: argparse.Namespace) -> int:
    """Draws it."""
    from glcic_jax.evaluation.score_figure import draw_scored

    for file in draw_scored(
        options.scores,
        options.benchmark,
        options.output,
        methods=options.methods.split(",") if options.methods else [],
        cases=options.cases.split(",") if options.cases else [],
        count=options.count,
        transposed=options.transposed,
    ):
        print(f"wrote {file}")
    return ExitCode.DONE
