"""`prepare`: photographs from folders and archives into ArrayRecord shards and a manifest."""

import argparse
import os
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from glcic_jax.cli.bars import Bars
from glcic_jax.errors import UserError

if TYPE_CHECKING:
    from glcic_jax.data.prepare import Part, Settings

EXIT_DAMAGED_SOURCE = 1


def main(arguments: list[str]) -> int:
    """Parses the arguments and prepares."""
    parser = argparse.ArgumentParser(
        prog="prepare",
        description=__doc__,
        epilog="Interrupted, even killed, the same command goes on. Exit codes: 0 done, 1 done but a source broke off "
        "in the middle, 2 not done.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--source",
        action="append",
        default=[],
        help="folder tree, tar archive (.tar, .tar.gz, .tar.zst, ...), or - for an archive on standard input; may be "
        "given several times",
    )
    parser.add_argument("--output", required=True, type=Path, help="folder for the shards, such as data/places2")
    parser.add_argument(
        "--split",
        help="put every image into this split (train or val); default: by lists (train.txt, val.txt, ...) and folders "
        "(train, val_256, ...) in the sources, and a share set apart as val where they have none",
    )
    parser.add_argument(
        "--val_fraction",
        type=float,
        default=0.02,
        help="that share, chosen by the images' content (default: %(default)s; 0: none)",
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
        default=len(os.sched_getaffinity(0)),
        help="processes that decode and encode (default: one a core, %(default)s)",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--part", metavar="I/N", help="encode only part I of N, counted from 0, on this host; then --merge"
    )
    how.add_argument("--merge", action="store_true", help="write the shards from all parts in --output")
    how.add_argument("--verify", action="store_true", help="check the set in --output against its manifest")
    options = parser.parse_args(arguments)
    if options.workers < 1:
        raise UserError(f"--workers is {options.workers}; it must be at least 1")
    console = Console()
    if options.verify:
        return verify(options.output, console)
    if options.merge:
        from glcic_jax.data.prepare import merge

        with Bars(console, "images") as bars:
            manifest = merge(options.output, options.workers, bars.bar("writing shards"))
        return report(manifest, options.output, console)
    settings = _settings(options)
    if options.part is None:
        return run(options.source, options.output, settings, options.workers, console)
    return run_part(options.source, options.output, settings, _part(options.part), options.workers, console)


def run(given: list[str], output: Path, settings: "Settings", workers: int, console: Console) -> int:
    """Prepares with progress bars and a closing report; returns the exit code."""
    from glcic_jax.data.prepare import is_prepared, prepare

    if is_prepared(given, output, settings):
        _say(console, f"{output} was made from these sources before: nothing to do. To make it anew, delete it first.")
    with Bars(console, "files") as bars:
        manifest = prepare(given, output, settings, workers, bars.bar("encoding"), bars.bar("writing shards"))
    return report(manifest, output, console)


def run_part(given: list[str], output: Path, settings: "Settings", part: "Part", workers: int, console: Console) -> int:
    """Encodes one part."""
    from glcic_jax.data.prepare import spool_part

    with Bars(console, "files") as bars:
        title = f"encoding part {part.number} of {part.of}"
        spool_part(given, output, settings, part, workers, bars.bar(title))
    _say(console, f"part {part.number} of {part.of} is done; after all of them: --merge --output={output}")
    return 0


def verify(output: Path, console: Console) -> int:
    """Reads every shard and compares it with the manifest."""
    from glcic_jax.data.shards import problems, read_manifest

    manifest = read_manifest(output)
    with Bars(console, "shards") as bars:
        found = problems(output, manifest, bars.bar("reading shards"))
    for problem in found:
        _say(console, problem)
    if found:
        raise UserError(f"{len(found)} of the shards in {output} are not as the manifest says; prepare the data again")
    shards = sum(len(split["shards"]) for split in manifest["splits"].values())
    _say(console, f"{output}: all {shards} shard(s) are as the manifest says")
    return 0


def report(manifest: dict[str, Any], output: Path, console: Console) -> int:
    """Says what is in a set; returns the exit code."""
    from glcic_jax.data.archives import THE_END

    for name, described in manifest["splits"].items():
        low, middle, high = described["short_side_px"]
        colour = ", ".join(f"{value:.3f}" for value in described["mean_color"])
        _say(
            console,
            f"{name}: {described['count']} images in {len(described['shards'])} shard(s), short sides {low} to {high} "
            f"px (half of them up to {middle}), mean colour ({colour})",
        )
    left_out = manifest["left_out"]
    _say(
        console,
        f"left out: {len(left_out)} file(s)"
        + (f"; each with its reason in {output}/manifest.json" if left_out else ""),
    )
    # Reasons with names and numbers in them, such as "same bytes as ...", are one kind.
    kinds = Counter(re.sub(r"(as|to|after) .*|\d+", "...", entry["reason"]) for entry in left_out)
    for kind, count in kinds.most_common(8):
        example = next(entry for entry in left_out if re.sub(r"(as|to|after) .*|\d+", "...", entry["reason"]) == kind)
        _say(console, f"  {count:>8} {example['reason']!r}, such as {example['name']!r}")
    broken = [manifest["sources"][entry["source"]]["name"] for entry in left_out if entry["name"] == THE_END]
    for name in broken:
        _say(console, f"WARNING: {name} is damaged or breaks off in the middle: only what came before is in this set")
    return EXIT_DAMAGED_SOURCE if broken else 0


def _settings(options: argparse.Namespace) -> "Settings":
    from glcic_jax.data.prepare import Settings

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
    from glcic_jax.data.prepare import Part

    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or int(match[1]) >= int(match[2]):
        raise UserError(f"--part is {text!r}; parts are counted from 0, so of four they are 0/4, 1/4, 2/4 and 3/4")
    return Part(int(match[1]), int(match[2]))


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
