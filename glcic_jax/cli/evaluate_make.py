"""Makes a benchmark: any tool completes BENCH/images with BENCH/masks (white = hole), results of the same names."""

import argparse

from rich.console import Console

from glcic_jax.errors import UserError
from glcic_jax.evaluation.benchmark import HOLE_KINDS
from glcic_jax.exit_codes import ExitCode
from glcic_jax.system.paths import user_path

# Strokes are sized for crops of this side, in the recipe that they come from.
_RECIPE, _RECIPE_CROP_PX = "places2", 256


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add = parser.add_argument
    add("--images", required=True, type=user_path, help="folder of photographs, or of shards: their split val is taken")
    add("--output", required=True, type=user_path, help="the benchmark's folder")
    add(
        "--masks", default="rect,thin,medium,thick",
        help=f"kinds of holes, in turn: {', '.join(HOLE_KINDS)}; default: %(default)s",
    )  # fmt: skip
    add("--seed", type=int, default=0, help="of the choice of photographs and of all holes; default: %(default)s")
    add("--count", type=int, default=300, help="photographs, one hole each; default: %(default)s")
    add("--crop_px", type=int, default=128, help="side of the centre square; default: %(default)s")
    add("--short_side_px", type=int, help="short side before cutting; default: the square's")
    add("--hole_px", default="32,64", help="sides of rectangles, SMALLEST,LARGEST or one; default: %(default)s")


def main(options: argparse.Namespace) -> int:
    """Makes it, and says what it holds."""
    from glcic_jax.evaluation.benchmark import make_benchmark
    from glcic_jax.evaluation.ingredients import list_photographs, scale_strokes
    from glcic_jax.recipes import load_recipe, recipe_path

    short_side_px = options.short_side_px or options.crop_px
    if not 16 <= options.crop_px <= short_side_px:
        raise UserError(f"--crop_px is {options.crop_px}; it must lie in 16 to --short_side_px, {short_side_px}")
    if options.count < 1 or options.seed < 0:
        raise UserError(f"--count is {options.count} and --seed {options.seed}; give at least 1 and 0")
    holes = load_recipe(recipe_path(_RECIPE), []).holes.to_dict()
    scale = options.crop_px / _RECIPE_CROP_PX
    strokes = {kind: scale_strokes(parameters, scale) for kind, parameters in holes.items() if kind in HOLE_KINDS}
    manifest = make_benchmark(
        list_photographs(options.images),
        options.output,
        kinds=list(dict.fromkeys(options.masks.split(","))),
        count=options.count,
        crop_px=options.crop_px,
        short_side_px=short_side_px,
        hole_px=_parse_range(options.hole_px),
        strokes=strokes,
        seed=options.seed,
    )
    console = Console()
    for line in manifest.left_out:
        console.print(f"left out {line}", highlight=False, markup=False, soft_wrap=True)
    shares = [case.share for case in manifest.cases]
    console.print(
        f"{len(shares)} cases of {options.crop_px} px in {options.output}, holes {min(shares):.0%} to "
        f"{max(shares):.0%} of the image. Complete {options.output}/images with {options.output}/masks (white = hole), "
        f"results of the same names, then: evaluate score --benchmark={options.output} --results=NAME=FOLDER",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip
    return ExitCode.DONE


def _parse_range(text: str) -> tuple[int, int]:
    try:
        ends = [int(part) for part in text.split(",")]
    except ValueError:
        ends = []
    if len(ends) not in (1, 2) or not 1 <= ends[0] <= ends[-1]:
        raise UserError(f"--hole_px is {text!r}; give SMALLEST,LARGEST in whole pixels, such as 32,64")
    return ends[0], ends[-1]
