"""Texture inside the hole, beside the photograph's own. Arrays (N, H, W, 3) in [0, 1], masks (N, H, W, 1), 1 = hole.

Errors favour blur, so these figures stand beside them: how much fine detail was painted, and whether it repeats with
the period of the network's upsampling, which the eye sees as a grid.
"""

import numpy as np
from scipy.ndimage import convolve1d, minimum_filter

GRID_PX = 4
"""Period of the completion network's two upsampling layers (paper, table 1)."""

_LUMA = np.array([[0.299, 0.587, 0.114], [0.5, -0.418688, -0.081312], [-0.168736, -0.331264, 0.5]])
"""RGB to Y, Cr, Cb (ITU-R BT.601)."""
_SMOOTH = np.array([1, 2, 2, 2, 1]) / 8
"""A symmetric mean over GRID_PX pixels: it takes out whatever repeats with that period, and keeps ramps."""


def detail_energy(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Energy of what is finer than GRID_PX inside the holes, of luma and of both chroma channels: two arrays (N,).

    Only pixels count whose surroundings lie within the hole; where there are none it is 0.
    """
    fine, inside = _fine_detail(image), _inner(mask)
    energy = _mean_over(np.square(fine), inside)
    return energy[:, 0], energy[:, 1:].sum(axis=1)


def grid_share(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Share of the fine detail inside a hole that repeats every GRID_PX pixels along both axes, in [0, 1]: (N,).

    Detail is averaged over all pixels at the same place of the grid; a pattern with its period survives that, texture
    does not. The share that chance leaves (places over pixels) is taken off. 0 where a hole is too small to say.
    """
    fine, inside = _fine_detail(image), _inner(mask)
    rows, columns = (np.arange(side) % GRID_PX for side in inside.shape[1:])
    place = rows[:, None] * GRID_PX + columns
    shares = np.zeros(len(fine))
    for index, (detail, kept) in enumerate(zip(fine, inside, strict=True)):
        places, values = place[kept], detail[kept]
        counts = np.bincount(places, minlength=GRID_PX**2)
        if counts.min() < 4:  # fewer than four periods along an axis say nothing
            continue
        means = np.stack([np.bincount(places, channel, GRID_PX**2) for channel in values.T], axis=1) / counts[:, None]
        repeating = np.square(means[places]).sum() / max(np.square(values).sum(), 1e-12)
        chance = GRID_PX**2 / len(values)
        shares[index] = max(0.0, (repeating - chance) / (1 - chance))
    return shares


def _fine_detail(image: np.ndarray) -> np.ndarray:
    """Luma and chroma without what is coarser than GRID_PX, around 0."""
    opponent = np.asarray(image, np.float64) @ _LUMA.T
    smooth = opponent
    for axis in (1, 2):
        smooth = convolve1d(smooth, _SMOOTH, axis=axis, mode="nearest")
    return np.asarray(opponent - smooth)


def _inner(mask: np.ndarray) -> np.ndarray:
    """Pixels whose surroundings, as far as _SMOOTH reaches, lie within the hole: (N, H, W) bool."""
    hole = (np.asarray(mask)[..., 0] > 0).astype(np.uint8)
    return np.asarray(minimum_filter(hole, (1, len(_SMOOTH), len(_SMOOTH)), mode="constant") > 0)


def _mean_over(values: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Means (N, C) over the pixels kept; 0 where there are none."""
    weight = kept[..., None]
    return np.asarray((values * weight).sum(axis=(1, 2)) / np.maximum(weight.sum(axis=(1, 2)), 1))
