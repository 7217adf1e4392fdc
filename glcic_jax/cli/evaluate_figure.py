"""Lays out what `evaluate score` has written: photograph, hole, and each method's completion, as PNG and PDF."""

import argparse
import json
from pathlib import Path

import numpy as np

from glcic_jax.data.images import read_image
from glcic_jax.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add = parser.add_argument
    add("--scores", required=True, type=Path, help="folder that evaluate score has written")
    add("--benchmark", type=Path, help="where it lies now; default: where it lay when it was scored")
    add("--output", required=True, type=Path, help="the figure; written as .png and as .pdf")
    add("--cases", help="names, separated by commas; default: evenly from the first method's worst to its best")
    add("--count", type=int, default=6, help="of those; default: %(default)s")
    add("--methods", help="names, separated by commas; default: all that were scored")
    add("--transposed", action="store_true", help="photographs side by side, methods below each other")


def main(options: argparse.Namespace) -> int:
    """Draws it."""
    from glcic_jax.checksum import sha256_of
    from glcic_jax.evaluation.benchmark import MANIFEST, open_benchmark
    from glcic_jax.evaluation.figures import comparison
    from glcic_jax.evaluation.scoring import Results, score
    from glcic_jax.evaluation.tables import JSON

    path = options.scores / JSON
    try:
        report = json.loads(path.read_text())
        scored, folder = list(dict.fromkeys(row["method"] for row in report["summary"])), Path(report["benchmark"])
        checksum = report["manifest_sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read ({error}); give the --output of evaluate score") from error
    folder = options.benchmark or folder
    if not folder.is_dir():
        raise UserError(f"the benchmark of {options.scores} is no longer at {folder}; give --benchmark")
    benchmark = open_benchmark(folder)
    if sha256_of(folder / MANIFEST) != checksum:
        raise UserError(f"{folder} is not the benchmark that {options.scores} was scored on; give --benchmark")
    by_name = {case.name: case for case in benchmark.cases}
    methods = options.methods.split(",") if options.methods else scored
    if unknown := [method for method in methods if method not in scored]:
        raise UserError(f"{options.scores} has no method {unknown[0]!r}; there are {', '.join(scored)}")

    def completed(method: str, name: str) -> np.ndarray:
        return read_image(options.scores / "results" / method / f"{name}.png")

    if options.cases:
        names = options.cases.split(",")
        if unknown := [name for name in names if name not in by_name]:
            raise UserError(f"{folder} has no case {unknown[0]!r}; the names are those of its images")
    else:
        if not 1 <= options.count <= len(by_name):
            raise UserError(f"--count is {options.count}; the benchmark has {len(by_name)} cases")
        first = Results(scored[0], [completed(scored[0], name) for name in by_name], [])
        order = np.argsort(score(benchmark, first)["psnr"], kind="stable")
        ranks = (np.arange(options.count) + 0.5) * len(order) / options.count  # the middles of equal parts
        names = [benchmark.cases[order[int(rank)]].name for rank in ranks]
    rows = []
    for name in names:
        case = by_name[name]
        hole = np.where(case.mask > 0, 255, case.image).astype(np.uint8)
        rows.append([case.image, hole, *(completed(method, name) for method in methods)])
    for written in comparison(options.output, ["photograph", "input", *methods], rows, options.transposed):
        print(f"wrote {written}")
    return 0
