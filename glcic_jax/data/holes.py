"""Holes, and where the local discriminator looks. Masks uint8 (H, W, 1), 1 = hole; boxes (y, x, h, w) in pixels."""

import numpy as np


def rectangle(rng: np.random.Generator, size_px: int, hole_px: tuple[int, int]) -> tuple[int, int, int, int]:
    """Box of a rectangular hole anywhere in a square image; both sides uniform in `hole_px`, ends included.

    Source: paper, section 3.4 (96 to 128 px in 256 px).
    """
    h, w = (int(v) for v in rng.integers(hole_px[0], hole_px[1] + 1, 2))
    y, x = int(rng.integers(0, size_px - h + 1)), int(rng.integers(0, size_px - w + 1))
    return y, x, h, w


def mask_of(box: tuple[int, int, int, int], size_px: int) -> np.ndarray:
    """uint8 (size, size, 1) mask of one box."""
    y, x, h, w = box
    mask = np.zeros((size_px, size_px, 1), np.uint8)
    mask[y : y + h, x : x + w] = 1
    return mask


def centred_window(box: tuple[int, int, int, int], size_px: int, window_px: int) -> np.ndarray:
    """Origin (y, x), int32, of the window centred on a box, moved inside the image where it would leave it."""
    y, x, h, w = box
    centre = np.array([y + h // 2, x + w // 2])
    return np.clip(centre - window_px // 2, 0, size_px - window_px).astype(np.int32)


def random_window(rng: np.random.Generator, size_px: int, window_px: int) -> np.ndarray:
    """Origin (y, x), int32, of a window anywhere in the image."""
    return rng.integers(0, size_px - window_px + 1, 2).astype(np.int32)
