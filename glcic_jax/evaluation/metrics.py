"""Errors inside the hole, one value a sample. NumPy arrays (N, H, W, 3) in [0, 1], masks (N, H, W, 1), 1 = hole."""

import numpy as np


def hole_l1(output: np.ndarray, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean absolute error over the hole's pixels and channels: (N,)."""
    return _hole_mean(np.abs(_difference(output, image)), mask)


def hole_psnr(output: np.ndarray, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio over the hole's pixels and channels, in dB for a peak of 1: (N,)."""
    mse = _hole_mean(np.square(_difference(output, image)), mask)
    with np.errstate(divide="ignore"):  # a perfect completion has infinitely many dB
        return -10 * np.log10(mse)


def _difference(output: np.ndarray, image: np.ndarray) -> np.ndarray:
    return np.asarray(output, np.float64) - np.asarray(image, np.float64)


def _hole_mean(error: np.ndarray, mask: np.ndarray) -> np.ndarray:
    hole = np.broadcast_to(mask > 0, error.shape)
    return error.mean(axis=(1, 2, 3), where=hole)
