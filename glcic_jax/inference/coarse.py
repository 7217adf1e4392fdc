"""Holes larger than a network was trained on: completed at a lower scale first, then refined.

In the middle of such a hole the network has nothing to go by. At half the scale, or a quarter, the hole is as small
as in training; from there the picture is enlarged step by step, and at each step the network adds the finest detail
that the smaller picture could not hold, as in a Laplacian pyramid.
"""

from collections.abc import Callable

import cv2
import numpy as np

from glcic_jax.inference.masks import SMALLEST_PX, thickness_px
from glcic_jax.models.completion import MARGIN_PX

Paint = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""float32 (H, W, 3) and bool (H, W) -> the image with its hole painted."""
_OCTAVE_PX = 1.5  # of the Gaussian that leaves what half the scale can hold


def coarse_margin_px(hole: np.ndarray, trained_px: int) -> int:
    """How much around the hole matters, since the network sees further at a lower scale."""
    return 2 * max(MARGIN_PX) * -(-thickness_px(hole) // trained_px)


def complete_coarse(paint: Paint, image: np.ndarray, hole: np.ndarray, trained_px: int) -> np.ndarray:
    """The image, float32 (H, W, 3), with its hole, bool (H, W), painted; trained_px: see `masks.thickness_px`."""
    h, w = hole.shape
    if thickness_px(hole) <= trained_px or min(h, w) < 2 * SMALLEST_PX:
        return paint(image, hole)
    known = _half((~hole).astype(np.float32))
    seen = _half(np.where(hole[..., None], 0, image)) / np.maximum(known, 1e-6)[..., None]
    small_hole = known < 0.5
    if small_hole.all():
        return paint(image, hole)
    small = complete_coarse(paint, seen, small_hole, trained_px) if small_hole.any() else seen
    coarse = np.where(hole[..., None], cv2.resize(small, (w, h), interpolation=cv2.INTER_CUBIC).clip(0, 1), image)
    return np.where(hole[..., None], (coarse + _detail(paint, coarse, hole, trained_px)).clip(0, 1), image)


def _detail(paint: Paint, coarse: np.ndarray, hole: np.ndarray, trained_px: int) -> np.ndarray:
    """What the network adds to the coarse result in the finest octave, from squares of the trained size.

    The squares are painted like a chessboard's, first the ones, then the others, each among the coarse result. What
    is smooth in a square is left out by a mean over the square alone, so that no seam shows.
    """
    ys, xs = np.indices(hole.shape) // trained_px
    detail = np.zeros_like(coarse)
    for color in (0, 1):
        square = hole & ((ys + xs) % 2 == color)
        if square.any():
            share = square[..., None].astype(np.float32)
            painted = paint(coarse, square)
            weights = cv2.GaussianBlur(share, (0, 0), _OCTAVE_PX)[..., None]
            smooth = cv2.GaussianBlur(painted * share, (0, 0), _OCTAVE_PX) / np.maximum(weights, 1e-6)
            detail[square] = (painted - smooth)[square]
    return detail


def _half(image: np.ndarray) -> np.ndarray:
    size = (-(-image.shape[1] // 2), -(-image.shape[0] // 2))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
