"""Scores completions inside the holes, known pixels put back for all methods alike, with bootstrap intervals.

The first method is the one that all others are compared with: models come first, then
ONNX files, results, rivals.
"""

import argparse
from pathlib import Path

from glcic_jax.errors import UserError
from glcic_jax.evaluation.report import is_method_name
from glcic_jax.exit_codes import ExitCode
from glcic_jax.system.paths import user_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add = parser.add_argument
    add("--benchmark", required=True, type=user_path, help="folder that evaluate make has written")
    add(
        "--results", action="append", default=[], metavar="[NAME=]FOLDER",
        help="any tool's outputs, named as the benchmark's images; may be given several times",
    )  # fmt: skip
    add(
        "--model", action="append", default=[], metavar="[NAME=]FOLDER",
        help="a model folder of this project, which completes first; may be given several times",
    )  # fmt: skip
    add(
        "--onnx", action="append", default=[], metavar="NAME=FILE[,KEY=VALUE...]",
        help="a network in an ONNX file, such as lama=lama.onnx,output_range=0:255; keys: image, mask, output, range, "
        "output_range, mask_range, fill, multiple (docs/exchange.md); may be given several times",
    )  # fmt: skip
    add("--rival", action="append", default=[], help="mean, telea, navier-stokes, biharmonic, patchmatch, or all")
    add("--perceptual", default="", help="any of efficientnet_kid,efficientnet_kid_crops,kid,fid,lpips; extra `eval`")
    add(
        "--blend", action="store_true", default=None,
        help="blend what models paint; default: what each model's card recommends, as complete does",
    )  # fmt: skip
    add("--noblend", dest="blend", action="store_false", help="leave what models paint as it is")
    add(
        "--output", required=True, type=user_path,
        help="folder for tables, page and pictures; older scores there are replaced, other files stay",
    )  # fmt: skip


def main(options: argparse.Namespace) -> int:
    """Scores, writes and prints."""
    from glcic_jax.evaluation.compare import compare_methods
    from glcic_jax.evaluation.onnx_files import parse_onnx_file
    from glcic_jax.evaluation.rivals import RIVALS

    compare_methods(
        options.benchmark,
        options.output,
        models=_parse_folders(options.model),
        results=_parse_folders(options.results),
        onnx_files=[parse_onnx_file(text) for text in options.onnx],
        rivals=list(RIVALS) if "all" in options.rival else options.rival,
        blend=options.blend,
        perceptual_names=[name for name in options.perceptual.split(",") if name],
    )
    return ExitCode.DONE


def _parse_folders(given: list[str]) -> list[tuple[str, Path]]:
    """Folders with names, by default their own, of RUN/model the run's. Raises: UserError for a name with a slash."""
    pairs = []
    for text in given:
        name, separator, folder = text.partition("=")
        path = user_path(folder if separator else text)
        if not separator:
            name = path.absolute().parent.name if path.name == "model" else path.absolute().name
        if not is_method_name(name):
            raise UserError(f"{name!r} cannot be a method's name; write NAME=FOLDER with a plain name")
        pairs.append((name, path))
    return pairs
