"""Batches of noise, with holes and windows as the paper draws them (section 3.4)."""

import numpy as np
import torch

from reference.steps import Batch


def draw_batch(count: int, image_px: int, window_px: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Batch:
    """Images of 8-bit values; holes of 3/4 to all of the window's side, windows centred on them."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (count, 3, image_px, image_px), dtype=np.uint8)
    mask = np.zeros((count, 1, image_px, image_px), np.float32)
    fake_window = np.zeros((count, 2), np.int64)
    for sample in range(count):
        size = rng.integers(window_px * 3 // 4, window_px, 2, endpoint=True)
        corner = rng.integers(0, image_px - size, endpoint=True)
        (y, x), (bottom, right) = corner, corner + size
        mask[sample, :, y:bottom, x:right] = 1
        fake_window[sample] = np.clip(corner + size // 2 - window_px // 2, 0, image_px - window_px)
    real_window = rng.integers(0, image_px - window_px, (count, 2), endpoint=True)
    return Batch(
        torch.from_numpy(image).to(dtype) / 255,
        torch.from_numpy(mask).to(dtype),
        torch.from_numpy(fake_window),
        torch.from_numpy(real_window),
    )
