"""From shards to batches. Sample i is fixed by (seed, i), and global batch k is samples k*B ... (k+1)*B - 1,

whatever the number of processes and threads: so the data position of a run is its step.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import cv2
import grain.python as grain
import numpy as np

from glcic_jax.data.batch import Batch
from glcic_jax.data.holes import draw_hole, random_window
from glcic_jax.errors import UserError


class Records(Protocol):
    """JPEGs by index: `shards.Records`, or a list."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> bytes: ...


def training_samples(
    records: Records,
    *,
    seed: int,
    short_side_px: tuple[int, int],
    crop_px: int,
    flip: bool,
    hole_px: tuple[int, int],
    window_px: int,
    holes: Mapping[str, Mapping[str, Any]],
    holes_in_window: bool,
) -> grain.MapDataset:
    """The endless global order of samples, each a Batch without its first axis; every epoch is a fresh permutation.

    The short side is scaled to a length uniform in `short_side_px`, then a square of `crop_px` is cut anywhere.
    `holes.draw_hole` draws the hole and the window for completed images; the one for real images lies anywhere.

    Source: paper, sections 3.4 and 4.
    """

    def sample(jpeg: bytes, rng: np.random.Generator) -> Batch:
        image = decode_jpeg(jpeg)
        # The order of these draws is part of the data order: new ones go last.
        short_side = int(rng.integers(short_side_px[0], short_side_px[1] + 1))
        image = crop(image, short_side, crop_px, tuple(rng.random(2)))
        if flip and rng.random() < 0.5:
            image = np.ascontiguousarray(image[:, ::-1])
        mask, window = draw_hole(
            rng, size_px=crop_px, window_px=window_px, hole_px=hole_px, holes=holes, in_window=holes_in_window
        )
        return Batch(image, mask, window, random_window(rng, crop_px, window_px))

    return grain.MapDataset.source(records).seed(seed).shuffle().repeat().random_map(sample)


def fixed_samples(
    records: Records,
    *,
    count: int,
    short_side_px: int,
    crop_px: int,
    hole_px: tuple[int, int],
    window_px: int,
    holes: Mapping[str, Mapping[str, Any]],
    holes_in_window: bool,
) -> Batch:
    """The first `count` records of a validation set, cropped at the centre, each with a hole that never changes."""
    samples = []
    for index in range(min(count, len(records))):
        rng = np.random.default_rng(index)
        image = crop(decode_jpeg(records[index]), short_side_px, crop_px, (0.5, 0.5))
        mask, window = draw_hole(
            rng, size_px=crop_px, window_px=window_px, hole_px=hole_px, holes=holes, in_window=holes_in_window
        )
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
) -> Iterator[Batch]:
    """This process's contiguous share of global batches `start_step` ... `stop_step` - 1, read ahead by threads."""
    local = batch_size // process_count

    def share(step: int) -> Batch:
        first = step * batch_size + process_index * local
        return stack([samples[i] for i in range(first, first + local)])

    threads = min(8, os.cpu_count() or 1)
    dataset = grain.MapDataset.range(start_step, stop_step).map(share)
    # A few whole batches ahead; Grain's default would hold hundreds.
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads + 2)
    return iter(dataset.to_iter_dataset(options))


def stack(samples: Sequence[Batch]) -> Batch:
    """Samples -> a batch."""
    return Batch(*(np.stack(field) for field in zip(*samples, strict=True)))


def decode_jpeg(jpeg: bytes) -> np.ndarray:
    """uint8 (H, W, 3) RGB. Raises: UserError for a damaged record."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise UserError(f"a record of {len(jpeg)} bytes is no readable JPEG; prepare the data again")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def crop(image: np.ndarray, short_side_px: int, crop_px: int, place: tuple[float, float]) -> np.ndarray:
    """Cuts the square that has `crop_px` once the short side has `short_side_px`, and scales only that.

    Args:
        image: uint8 (H, W, 3).
        short_side_px: at least crop_px.
        crop_px: side of the result.
        place: where, in [0, 1) from top and left; 0.5 is the centre.

    Returns: uint8 (crop_px, crop_px, 3).

    """
    h, w = image.shape[:2]
    side = max(1, round(crop_px * min(h, w) / short_side_px))
    y, x = (int(p * (full - side + 1)) for p, full in zip(place, (h, w), strict=True))
    cut = image[y : y + side, x : x + side]
    if side == crop_px:
        return np.ascontiguousarray(cut)
    how = cv2.INTER_AREA if side > crop_px else cv2.INTER_CUBIC
    return cv2.resize(cut, (crop_px, crop_px), interpolation=how)
