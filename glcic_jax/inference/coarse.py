"""Holes larger than a network was trained on: completed at a lower scale first, then refined.

In the middle of such a hole the network has nothing to go by. At half the scale, or a quarter, the hole is as small
as in training; from there the picture is enlarged step by step, and at each step the network adds the finest detail
that the smaller picture could not hold, as in a Laplacian pyramid.
"""

from collections.abc import Callable

import cv2
import numpy as np

from glcic_jax.inference.masks import thickness_px
from glcic_jax.models.completion import MARGIN_PX

Paint = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""float32 (H, W, 3) and bool (H, W) -> the image with its hole painted."""
_SMALLEST_PX = 16


def coarse_margin_px(hole: np.ndarray, trained_px: int) -> int:
    """How much around the hole matters, since the network sees further at a lower scale."""
    return 2 * max(MARGIN_PX) * -(-thickness_px(hole) // trained_px)


def complete_coarse(paint: Paint, image: np.ndarray, hole: np.ndarray, trained_px: int) -> np.ndarray:
    """The image, float32 (H, W, 3), with its hole, bool (H, W), painted; trained_px: see `masks.thickness_px`."""
    h, w = hole.shape
    if thickness_px(hole) <= trained_px or min(h, w) < 2 * _SMALLEST_PX:
        return paint(image, hole)
    known = _half((~hole).astype(np.float32))
    seen = _half(np.where(hole[..., None], 0, image)) / np.maximum(known, 1e-6)[..., None]
    small_hole = known < 0.5
    if small_hole.all():
        return paint(image, hole)
    small = complete_coarse(paint, seen, small_hole, trained_px) if small_hole.any() else seen
    coarse = np.where(hole[..., None], cv2.resize(small, (w, h), interpolation=cv2.INTER_CUBIC).clip(0, 1), image)
    fine = _repaint(paint, coarse, hole, trained_px)
    without_detail = cv2.resize(_half(fine), (w, h), interpolation=cv2.INTER_CUBIC)
    return np.where(hole[..., None], (coarse + fine - without_detail).clip(0, 1), image)


def _repaint(paint: Paint, coarse: np.ndarray, hole: np.ndarray, trained_px: int) -> np.ndarray:
    """The hole painted anew in squares of the trained size, each among the coarse result, like a chessboard."""
    ys, xs = np.indices(hole.shape) // trained_px
    for color in (0, 1):
        square = hole & ((ys + xs) % 2 == color)
        if square.any():
            coarse = paint(coarse, square)
    return coarse


def _half(image: np.ndarray) -> np.ndarray:
    size = (-(-image.shape[1] // 2), -(-image.shape[0] // 2))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
