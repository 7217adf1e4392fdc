"""From shards to batches. Sample i is fixed by (seed, i), and global batch k is samples k*B ... (k+1)*B - 1,

whatever the number of processes and threads: so the data position of a run is its step.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import grain.python as grain
import numpy as np

from glcic_jax.data.batch import Batch
from glcic_jax.data.decoding import crop
from glcic_jax.data.holes import random_window
from glcic_jax.data.reading import Reader

DrawHole: TypeAlias = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]
"""Mask and origin of the local window; see `holes.draw_hole`."""


def training_samples(
    reader: Reader,
    *,
    seed: int,
    short_side_px: tuple[int, int],
    crop_px: int,
    flip: bool,
    window_px: int,
    draw_hole: DrawHole,
    real_window_on_hole: bool = False,
) -> grain.MapDataset:
    """The endless global order of samples, each a Batch without its first axis; every epoch is a fresh permutation.

    The short side is scaled to a length uniform in `short_side_px`, then a square of `crop_px` is cut anywhere.
    `draw_hole` draws the hole and the window for completed images; the one for real images lies anywhere,
    or with `real_window_on_hole` at the same place.

    Source: paper, sections 3.4 and 4.
    """

    def sample(index: int, rng: np.random.Generator) -> Batch:
        # The order of these draws is part of the data order: new ones go last.
        short_side = int(rng.integers(short_side_px[0], short_side_px[1] + 1))
        place = tuple(rng.random(2))
        mirrored = flip and rng.random() < 0.5
        image = crop(reader.read(index, short_side), short_side, crop_px, place, mirrored)
        mask, window = draw_hole(rng)
        elsewhere = random_window(rng, crop_px, window_px)
        return Batch(image, mask, window, window if real_window_on_hole else elsewhere)

    return grain.MapDataset.range(len(reader)).seed(seed).shuffle().repeat().random_map(sample)


def fixed_samples(reader: Reader, *, count: int, short_side_px: int, crop_px: int, draw_hole: DrawHole) -> Batch:
    """`count` crops of a validation set, each with a hole; neither ever changes.

    Of the first `count` records the centres; where there are fewer, they come again, cropped elsewhere.
    """
    samples = []
    for index in range(count):
        rng = np.random.default_rng(index)
        mask, window = draw_hole(rng)
        place = (0.5, 0.5) if index < len(reader) else tuple(rng.random(2))
        image = crop(reader.read(index % len(reader), short_side_px), short_side_px, crop_px, place)
        samples.append(Batch(image, mask, window, window))
    return stack(samples)


def batches(
    samples: grain.MapDataset,
    *,
    batch_size: int,
    start_step: int,
    stop_step: int,
    process_index: int = 0,
    process_count: int = 1,
    threads: int = min(8, os.cpu_count() or 1),
) -> Iterator[Batch]:
    """This process's contiguous share of global batches `start_step` ... `stop_step` - 1, read ahead by threads."""
    local = batch_size // process_count

    def share(step: int) -> Batch:
        first = step * batch_size + process_index * local
        return stack([samples[i] for i in range(first, first + local)])

    dataset = grain.MapDataset.range(start_step, stop_step).map(share)
    # A few whole batches ahead; Grain's default would hold hundreds.
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads + 2)
    return iter(dataset.to_iter_dataset(options))


def stack(samples: Sequence[Batch]) -> Batch:
    """Samples -> a batch."""
    return Batch(*(np.stack(field) for field in zip(*samples, strict=True)))
