"""Preparing with progress bars on a console, and what it says at the end."""

from pathlib import Path

from rich.console import Console

from glcic_jax.data.manifest import LEFT_OUT_LIST, MANIFEST, Manifest, read_manifest
from glcic_jax.data.shards import find_damage
from glcic_jax.errors import UserError
from glcic_jax.exit_codes import ExitCode
from glcic_jax.prepare.archives import THE_END, is_end
from glcic_jax.prepare.left_out import count_kinds, kind_of
from glcic_jax.prepare.pipeline import Earlier, Part, compare_with_earlier, merge, prepare, spool_part
from glcic_jax.prepare.plan import Settings
from glcic_jax.system.bars import Bars

SHOWN_REASONS = 8
"""At most so many kinds of reasons for leaving files out are shown, the most frequent first."""


def prepare_and_report(sources: list[str], output: Path, settings: Settings, workers: int, console: Console) -> int:
    """Prepares, and says what the set holds; returns the exit code."""
    earlier = compare_with_earlier(sources, output, settings)
    if earlier is Earlier.SAME:
        _say(console, f"{output} was made from these sources before: nothing to do. To make it anew, delete it first.")
    elif earlier is Earlier.PERHAPS_SAME:
        _say(
            console,
            f"{output} was made from sources of these names before, by a version that did not note which files were in "
            "them: nothing to do. If they have changed, delete it first.",
        )
    with Bars(console, "files") as bars:
        manifest = prepare(sources, output, settings, workers, bars.bar("encoding"), bars.bar("writing shards"))
    return report(manifest, output, console)


def merge_and_report(output: Path, workers: int, console: Console) -> int:
    """Merges the parts that are in the output, and says what the set holds; returns the exit code."""
    with Bars(console, "images") as bars:
        manifest = merge(output, workers, bars.bar("writing shards"))
    return report(manifest, output, console)


def encode_part(
    sources: list[str], output: Path, settings: Settings, part: Part, workers: int, console: Console
) -> None:
    """Encodes one part, and says what is to be done after all of them."""
    with Bars(console, "files") as bars:
        title = f"encoding part {part.number} of {part.of}"
        spool_part(sources, output, settings, part, workers, bars.bar(title))
    _say(console, f"part {part.number} of {part.of} is done; after all of them: --merge --output={output}")


def verify(output: Path, console: Console) -> None:
    """Reads every shard and compares it with the manifest. Raises: UserError if one is not as it says."""
    manifest = read_manifest(output)
    with Bars(console, "shards") as bars:
        damage = find_damage(output, manifest, bars.bar("reading shards"))
    for line in damage:
        _say(console, line)
    if damage:
        raise UserError(f"{len(damage)} of the shards in {output} are not as the manifest says; prepare the data again")
    shards = sum(len(split.shards) for split in manifest.splits.values())
    _say(console, f"{output}: all {shards} shard(s) are as the manifest says")


def report(manifest: Manifest, output: Path, console: Console) -> int:
    """Says what is in a set and what was left out; returns the exit code: FAILED if a source broke off."""
    for name, split in manifest.splits.items():
        low, middle, high = split.short_side_px
        colour = ", ".join(f"{value:.3f}" for value in split.mean_color)
        _say(
            console,
            f"{name}: {split.count} images in {len(split.shards)} shard(s), short sides {low} to {high} "
            f"px (half of them up to {middle}), mean colour ({colour})",
        )
    count = manifest.left_out_count
    listed = output / (LEFT_OUT_LIST if manifest.left_out_kinds else MANIFEST)
    _say(console, f"left out: {count} file(s)" + (f"; each with its reason in {listed}" if count else ""))
    for kind, number in count_kinds(manifest).most_common(SHOWN_REASONS):
        example = next((file for file in manifest.left_out if kind_of(file.reason) == kind), None)
        _say(console, f"  {number:>8} " + (f"{example.reason!r}, such as {example.name!r}" if example else kind))
    for note in manifest.notes:
        _say(console, f"NOTE: {note}")
    broken = [file for file in manifest.left_out if is_end(file.name)]
    for file in broken:
        name = file.name.removesuffix(THE_END).rstrip("/") or manifest.sources[file.source].name
        _say(console, f"WARNING: {name} is damaged or breaks off in the middle: only what came before is in this set")
    return ExitCode.FAILED if broken else ExitCode.DONE


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
