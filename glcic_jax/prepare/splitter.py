"""All different images of a spool in the order of their content, each with its split; and what is counted of them."""

import array
import heapq
import itertools
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from glcic_jax.data.manifest import LeftOut, Shard, Split
from glcic_jax.prepare.plan import Settings
from glcic_jax.prepare.splits import DEFAULT_SPLIT, looks_like_a_split, split_of
from glcic_jax.prepare.spool import Image, Index

_MOST_EXAMPLES = 5


class Placed(NamedTuple):
    """An image and the folder of the part that it lies in."""

    image: Image
    folder: Path


class Splitter:
    """All different images in the order of their digests, each with its split.

    names: the splits that have images.
    unclear: folders whose names have a split in them, but were not taken for one; a few of them.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        indexes: Sequence[Index],
        settings: Settings,
        on_duplicates: Callable[[Iterator[LeftOut]], None],
    ):
        """on_duplicates: called with the files that have the same bytes as another one."""
        self._folders, self._indexes, self._split = folders, indexes, settings.split
        self._has_lists = indexes[0].has_lists()
        self.names: set[str] = set()
        self.unclear: set[str] = set()
        keys = array.array("Q")
        for (image, _), others in self._different():
            if others:
                on_duplicates(LeftOut(o.source, o.name, f"same bytes as {image.name}") for o in others)
            split = self._by_name(image)
            self.names.add(split)
            if split == DEFAULT_SPLIT:
                keys.append(_key(image))
                self._look_at_folders(image)
        self._val_below = 0
        if self._split is None and "val" not in self.names and len(keys) > 1 and settings.val_fraction > 0:
            count = min(len(keys) - 1, math.ceil(settings.val_fraction * len(keys)))
            self._val_below = int(np.partition(np.frombuffer(keys, np.uint64), count)[count])
            self.names.add("val")

    def __iter__(self) -> Iterator[tuple[str, Placed]]:
        for placed, _ in self._different():
            split = self._by_name(placed.image)
            if split == DEFAULT_SPLIT and _key(placed.image) < self._val_below:
                split = "val"
            yield split, placed

    def _different(self) -> Iterator[tuple[Placed, list[Image]]]:
        """Each content with the smallest path that has it, and the other files of the same content."""
        parts = [_placed(folder, index) for folder, index in zip(self._folders, self._indexes, strict=True)]
        in_order = heapq.merge(*parts, key=lambda placed: placed.image[:3])  # digest, name, source
        for _, equal in itertools.groupby(in_order, key=lambda placed: placed.image.digest):
            first, *others = equal
            yield first, [placed.image for placed in others]

    def _by_name(self, image: Image) -> str:
        return self._split or split_of(image.name, self._listed)

    def _listed(self, path: str) -> Collection[str]:
        return self._indexes[0].listed(path) if self._has_lists else ()

    def _look_at_folders(self, image: Image) -> None:
        if self._split is None and len(self.unclear) < _MOST_EXAMPLES:
            self.unclear |= {folder for folder in image.name.split("/")[:-1] if looks_like_a_split(folder)}


def _placed(folder: Path, index: Index) -> Iterator[Placed]:
    for image in index.images():
        yield Placed(image, folder)


def _key(image: Image) -> int:
    """What the val images are chosen by: the digest's end, since its beginning orders the shards; both are shuffled."""
    return int.from_bytes(image.digest[:-9:-1])


@dataclass
class Contents:
    """What is counted of a split before its shards are written. short_sides: how many images have each."""

    count: int = 0
    bytes: int = 0
    pixels: int = 0
    color_sums: tuple[int, int, int] = (0, 0, 0)
    short_sides: Counter[int] = field(default_factory=Counter)

    def add(self, image: Image) -> None:
        """Counts an image."""
        red, green, blue = self.color_sums
        self.color_sums = (red + image.red, green + image.green, blue + image.blue)
        self.count, self.bytes = self.count + 1, self.bytes + image.length
        self.pixels += image.height_px * image.width_px
        self.short_sides[min(image.height_px, image.width_px)] += 1

    def split_of(self, shards: Sequence[Shard]) -> Split:
        """The split as the manifest describes it."""
        red, green, blue = (value / self.pixels / 255 for value in self.color_sums)
        sides = self.short_sides
        return Split(self.count, (red, green, blue), (min(sides), _median(sides), max(sides)), tuple(shards))


def count_contents(splitter: Splitter) -> dict[str, Contents]:
    """The contents of each split, in the order of their names."""
    contents: dict[str, Contents] = {}
    for split, (image, _) in splitter:
        contents.setdefault(split, Contents()).add(image)
    return dict(sorted(contents.items()))


def _median(counts: Mapping[int, int]) -> int:
    middle = sum(counts.values()) // 2
    for value in sorted(counts):
        middle -= counts[value]
        if middle < 0:
            break
    return value
