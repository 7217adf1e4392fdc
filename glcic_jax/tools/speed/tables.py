"""The tables of `benchmark train`, from what was measured."""

import statistics
from typing import NamedTuple

from glcic_jax.tools.speed.floors import Floors
from glcic_jax.tools.speed.rows import Row, Rows
from glcic_jax.tools.speed.steps import FORWARD, Program

OURS = "ours"


class Part(NamedTuple):
    """One part of the training, compiled and perhaps measured.

    name: one of PARTS.
    operations: for an image, counted from the layers.
    peak_bytes: the most that the device has held up to the part's first steps; 0 where it does not tell.
    seconds: of a step, by contender, one for each round.
    """

    name: str
    batch_size: int
    operations: int
    program: Program
    peak_bytes: int
    seconds: dict[str, list[float]]

    @property
    def title(self) -> str:
        """As the tables name it."""
        return self.name if self.name == FORWARD else f"stage {self.name}"

    @property
    def needs(self) -> Row:
        """What it needs, however fast it runs."""
        return {"compile s": self.program.compile_secs, "needs MB": self.program.needed_bytes / 1e6}

    @property
    def demand(self) -> Row:
        """What an image asks for: operations, and bytes moved where the compiler estimates them."""
        moved = self.program.moved_bytes
        return {
            "GFLOP/image": self.operations / 1e9,
            "MB/image": None if moved is None else moved / self.batch_size / 1e6,
        }


def compiled(part: Part) -> Row:
    """A part's row where nothing ran."""
    return {"part": part.title} | part.needs | part.demand


def speed(part: Part) -> Rows:
    """A part's rows, one for each contender: images per second, and how many times as fast ours is."""
    rows: Rows = []
    ours = statistics.median(part.seconds[OURS])
    for who, seconds in part.seconds.items():
        median, mine = statistics.median(seconds), who == OURS
        rows.append({
            "part": part.title,
            "who": who,
            "images/s": part.batch_size / median,
            "least": part.batch_size / max(seconds),
            "most": part.batch_size / min(seconds),
            "ours / it": None if mine else median / ours,
            "compile s": part.program.compile_secs if mine else None,
            "needs MB": part.program.needed_bytes / 1e6 if mine else None,
            "peak MB": part.peak_bytes / 1e6 if mine and part.peak_bytes else None,
        })  # fmt: skip
    return rows


def beside(width: float, part: Part, floors: Floors) -> Row:
    """A part's one row where there are several widths: everybody's images per second, and ours beside the others'.

    from, to: the least and the most of that ratio in a round, in which they had their turns one after the other.
    """
    ours = statistics.median(part.seconds[OURS])
    row: Row = {"width": width, "part": part.title}
    for who, seconds in part.seconds.items():
        row[f"{who}, images/s"] = part.batch_size / statistics.median(seconds)
    for who, seconds in list(part.seconds.items())[1:]:
        ratios = [theirs / mine for theirs, mine in zip(seconds, part.seconds[OURS], strict=True)]
        row |= {
            f"ours / {who}": statistics.median(seconds) / ours,
            f"{who} from": min(ratios),
            f"{who} to": max(ratios),
        }
    return row | {"share": part.operations * part.batch_size / ours / floors.product_rate}


def gap(part: Part, floors: Floors) -> Row:
    """A part's row beside the floors: what an image takes, and what its operations and bytes would take at best."""
    secs = statistics.median(part.seconds[OURS]) / part.batch_size
    product, copying = part.operations / floors.product_rate, None
    if part.program.moved_bytes is not None:
        copying = part.program.moved_bytes / part.batch_size / floors.bandwidth
    return {"part": part.title} | part.demand | {
        "GFLOP/s": part.operations / secs / 1e9,
        "share": part.operations / secs / floors.product_rate,
        "product ms": 1e3 * product,
        "copying ms": None if copying is None else 1e3 * copying,
        "measured ms": 1e3 * secs,
        "gap": secs / max(product, copying or 0),
    }  # fmt: skip
