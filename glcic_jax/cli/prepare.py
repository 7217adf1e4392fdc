"""`prepare`: turns photographs from folders and archives into ArrayRecord shards and a manifest."""

import argparse
import re
from typing import TYPE_CHECKING

from rich.console import Console

from glcic_jax.errors import UserError
from glcic_jax.exit_codes import ExitCode
from glcic_jax.system.cores import usable_cores
from glcic_jax.system.paths import user_path, user_pattern

if TYPE_CHECKING:
    from glcic_jax.prepare.pipeline import Part
    from glcic_jax.prepare.plan import Settings


def main(arguments: list[str]) -> int:
    """Parses the arguments and prepares."""
    options = _build_parser().parse_args(arguments)
    if options.workers < 1:
        raise UserError(f"--workers is {options.workers}; it must be at least 1")
    from glcic_jax.prepare.reporting import encode_part, merge_and_report, prepare_and_report, verify

    console = Console()
    if options.verify:
        verify(options.output, console)
        return ExitCode.DONE
    if options.merge:
        return merge_and_report(options.output, options.workers, console)
    settings = _settings(options)
    if options.part is None:
        return prepare_and_report(options.source, options.output, settings, options.workers, console)
    encode_part(options.source, options.output, settings, _part(options.part), options.workers, console)
    return ExitCode.DONE


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="prepare",
        description=__doc__,
        epilog="If it is interrupted or even killed, the same command goes on. Exit codes: 0 done, 1 done but a source "
        "broke off in the middle, 2 not done.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--source",
        type=user_pattern,
        action="append",
        default=[],
        help="folder tree, archive (.tar, .tar.gz, .tar.zst, .zip, ...), folder or pattern of archives "
        "('shards/*.tar'), or - for a tar archive on standard input; may be given several times",
    )
    parser.add_argument("--output", required=True, type=user_path, help="folder for the shards, such as data/places2")
    parser.add_argument(
        "--split",
        help="put every image into this split (train or val); default: by lists (train.txt, val.txt, ...) and folders "
        "(train, val_256, ...) in the sources, and a share set apart as val where they have none",
    )
    parser.add_argument(
        "--val_fraction",
        type=float,
        default=0.02,
        help="the share that is set apart, chosen by the images' content (default: %(default)s; 0: none)",
    )
    parser.add_argument(
        "--max_short_side_px",
        type=int,
        default=512,
        help="larger images are scaled down to this (default: %(default)s)",
    )
    parser.add_argument(
        "--min_short_side_px",
        type=int,
        default=32,
        help="smaller images are left out (default: %(default)s)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=usable_cores(),
        help="processes that decode and encode (default: one a core, %(default)s)",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--part", metavar="I/N", help="encode only part I of N, counted from 0, on this host; then --merge"
    )
    how.add_argument("--merge", action="store_true", help="write the shards from all parts in --output")
    how.add_argument("--verify", action="store_true", help="check the set in --output against its manifest")
    return parser


def _settings(options: argparse.Namespace) -> "Settings":
    from glcic_jax.prepare.plan import Settings

    if not options.source:
        raise UserError("no --source; give a folder of photographs or a tar archive")
    if not 0 <= options.val_fraction < 1:
        raise UserError(f"--val_fraction is {options.val_fraction}; it must lie in [0, 1)")
    if options.max_short_side_px < 1:
        raise UserError(f"--max_short_side_px is {options.max_short_side_px}; it must be at least 1")
    if options.min_short_side_px > options.max_short_side_px:
        raise UserError(
            f"--min_short_side_px is {options.min_short_side_px}; it must not exceed --max_short_side_px, "
            f"which is {options.max_short_side_px}"
        )
    if options.split is not None and not re.fullmatch(r"[A-Za-z0-9_]+", options.split):
        raise UserError(f"--split is {options.split!r}; use letters and digits, such as train or val")
    return Settings(options.split, options.val_fraction, options.max_short_side_px, options.min_short_side_px)


def _part(text: str) -> "Part":
    from glcic_jax.prepare.pipeline import Part

    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or int(match[1]) >= int(match[2]):
        raise UserError(f"--part is {text!r}; parts are counted from 0, so of four they are 0/4, 1/4, 2/4 and 3/4")
    return Part(int(match[1]), int(match[2]))
