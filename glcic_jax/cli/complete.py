"""`complete`: paints the holes of photographs; everything else in them stays as it was."""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from glcic_jax.data.mask_files import PLAIN, MaskReading
from glcic_jax.data.pixels import MAX_PIXELS
from glcic_jax.errors import UserError
from glcic_jax.exit_codes import ExitCode
from glcic_jax.inference.complete_files import Options, complete_file, complete_files
from glcic_jax.inference.encoding import FORMATS
from glcic_jax.inference.files import plan_many, plan_one
from glcic_jax.inference.masks import HoleSource, parse_color, parse_labels, parse_rectangle
from glcic_jax.inference.search import find_images, is_folder_or_pattern, leave_out_masks
from glcic_jax.inference.texture import load_patchmatch
from glcic_jax.models.shipped import licence_note, shipped_model
from glcic_jax.system.paths import user_path, user_pattern

_EXAMPLES = """
one photograph, the hole painted white in mask.png:
  glcic complete photo.jpg --mask mask.png
all photographs of a folder, with masks of the same names (or NAME_mask.png, NAME_mask001.png):
  glcic complete photos --mask masks --output completed

PNG keeps the known pixels bit for bit; JPEG codes the whole picture again.
"""


def main(arguments: list[str]) -> int:
    """Parses the arguments and completes."""
    options = build_parser().parse_args(arguments)
    if options.workers < 1:
        raise UserError(f"--workers is {options.workers}; it must be at least 1")
    if options.copy_texture:
        load_patchmatch()  # before anything takes long
    if options.model is None:
        options.model = shipped_model()
        print(f"note: {licence_note(options.model)}", file=sys.stderr)
    how = Options(
        options.model, options.coarse, options.blend, options.copy_texture, options.preview, options.overwrite,
        options.workers,
    )  # fmt: skip
    max_pixels = int(options.max_megapixels * 1e6)
    many_masks = options.mask is not None and is_folder_or_pattern(options.mask)
    mask = Path(options.mask) if options.mask is not None and not many_masks else None
    source = _hole_source(options, mask)
    output = None if options.output is None else Path(options.output)
    if len(options.photographs) == 1 and not is_folder_or_pattern(options.photographs[0]) and not many_masks:
        into_folder = options.output is not None and options.output.endswith(("/", os.sep))
        job = plan_one(Path(options.photographs[0]), source, output, options.format, into_folder)
        complete_file(replace(job, max_pixels=max_pixels), how)
        return ExitCode.DONE
    if output is None:
        raise UserError("several photographs need a folder for the results; give --output=FOLDER")
    masks = find_images([options.mask], output, may_be_none=True).files if many_masks else None
    photographs = leave_out_masks(find_images(options.photographs, output), masks, mask)
    for note in photographs.notes:
        print(f"note: {note}", file=sys.stderr)
    jobs, errors = plan_many(photographs.files, source, masks, output, options.format)
    return complete_files([replace(job, max_pixels=max_pixels) for job in jobs], errors, output, how)


def _hole_source(options: argparse.Namespace, mask: Path | None) -> HoleSource:
    reading = MaskReading(options.mask_level, options.mask_labels, options.mask_paint, options.mask_transparent)
    if options.mask is None and reading != PLAIN:
        raise UserError(
            "--mask_level, --mask_labels, --mask_paint and --mask_transparent say how to read a --mask file"
        )
    if sum(value is not None and value is not False and value != () for value in vars(reading).values()) > 1:
        raise UserError("give one of --mask_level, --mask_labels, --mask_paint and --mask_transparent")
    return HoleSource(
        mask, options.mask_from_alpha, options.mask_color, options.rectangle,
        options.invert_mask, options.dilate_px, options.resize_mask, reading,
    )  # fmt: skip


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(
        prog="complete", description=__doc__, epilog=_EXAMPLES, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add(
        "photographs", nargs="+", type=user_pattern, metavar="PHOTOGRAPH",
        help="a file, a folder, or a pattern such as 'photos/*.jpg'",
    )  # fmt: skip
    add(
        "--model", type=user_path, default=os.environ.get("GLCIC_MODEL"),
        help="model folder; default: $GLCIC_MODEL, else the one that ships",
    )  # fmt: skip
    add(
        "--output", type=user_pattern,
        help="a file, or a folder (its name ends with / or has no ending); default: beside the photograph, as "
        "NAME_completed",
    )  # fmt: skip
    add(
        "--format", choices=sorted(FORMATS), type=_suffix, metavar="png",
        help="where --output names no file; default: the photograph's",
    )  # fmt: skip
    add("--overwrite", action="store_true", help="of several photographs, complete also those whose result is there")
    _add_holes(parser.add_argument_group("where the hole is (one of the first four)"))
    how = parser.add_argument_group("how it is painted")
    how.add_argument(
        "--blend", action="store_true", default=None,
        help="match colours to the surroundings (Poisson blending); default: what the model's card recommends",
    )  # fmt: skip
    how.add_argument("--noblend", dest="blend", action="store_false", help="leave colours as they are painted")
    how.add_argument(
        "--copy_texture", action="store_true",
        help="make what is painted of patches from around the hole; needs: pip install 'glcic-jax[texture]'",
    )  # fmt: skip
    how.add_argument(
        "--coarse", action="store_true", default=True,
        help="paint holes thicker than the trained ones at a lower scale first; the default",
    )  # fmt: skip
    how.add_argument("--nocoarse", dest="coarse", action="store_false", help="paint them at full scale too")
    how.add_argument("--workers", type=int, default=2, help="photographs at a time; default: %(default)s")
    how.add_argument(
        "--max_megapixels", type=_megapixels, default=MAX_PIXELS / 1e6,
        help="larger photographs are refused, since they need much memory; default: %(default).0f",
    )  # fmt: skip
    return parser


def _add_holes(where: argparse._ArgumentGroup) -> None:
    one = where.add_mutually_exclusive_group(required=True)
    one.add_argument(
        "--mask", type=user_pattern, help="image of the same size, white = hole; a folder or a pattern for several"
    )
    one.add_argument("--mask_from_alpha", action="store_true", help="what is transparent in the photograph")
    one.add_argument("--mask_color", type=parse_color, metavar="#FF00FF", help="what has this colour in the photograph")
    one.add_argument(
        "--rectangle", type=parse_rectangle, metavar="X,Y,WIDTH,HEIGHT", help="in pixels from the top left"
    )
    where.add_argument(
        "--mask_level", type=int, choices=range(1, 256), metavar="128", help="what is this light in the mask, 1 to 255"
    )
    where.add_argument(
        "--mask_labels", type=parse_labels, default=(), metavar="1,15", help="what has these values in the mask"
    )
    where.add_argument(
        "--mask_paint", type=parse_color, metavar="#FF0000", help="what is painted in this colour in the mask"
    )
    where.add_argument("--mask_transparent", action="store_true", help="what is transparent in the mask")
    where.add_argument("--invert_mask", action="store_true", help="what is marked is known, the rest is the hole")
    where.add_argument("--dilate_px", type=int, default=0, help="let the hole grow, over soft edges and shadows")
    where.add_argument("--resize_mask", action="store_true", help="allow a mask of another size")
    where.add_argument("--preview", action="store_true", help="also write NAME_preview.jpg, with the hole in red")


def _megapixels(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < 1e6:
        raise UserError(f"--max_megapixels is {text!r}; give a number above 0")
    return value


def _suffix(text: str) -> str:
    return "." + text.lower().removeprefix(".")
