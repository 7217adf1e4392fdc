"""Errors inside the hole, one value a sample. NumPy arrays (N, H, W, 3) in [0, 1], masks (N, H, W, 1), 1 = hole."""

import numpy as np

SSIM_PX = 11
"""Side of SSIM's Gaussian window (Wang et al. 2004); images must be at least as large."""


def hole_l1(output: np.ndarray, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean absolute error over the hole's pixels and channels: (N,)."""
    return _hole_mean(np.abs(_difference(output, image)), mask)


def rim_l1(output: np.ndarray, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean absolute error over the hole's pixels that touch a known one, side by side: (N,).

    There the photograph goes on right next door, so what is wrong is what does not fit. The hole must have a rim.
    """
    return _hole_mean(np.abs(_difference(output, image)), _rim(mask))


def hole_l2(output: np.ndarray, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean squared error over the hole's pixels and channels: (N,)."""
    return _hole_mean(np.square(_difference(output, image)), mask)


def hole_psnr(output: np.ndarray, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio over the hole's pixels and channels, in dB for a peak of 1: (N,)."""
    with np.errstate(divide="ignore"):  # a perfect completion has infinitely many dB
        return np.asarray(-10 * np.log10(hole_l2(output, image, mask)))


def hole_ssim(output: np.ndarray, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Structural similarity, the mean of scikit-image's map over the hole's pixels and channels: (N,).

    Gaussian window with sigma 1.5, as Wang et al. (2004) have it. Near the hole's rim the window sees known pixels too,
    so `output` must be the composite.
    """
    from skimage.metrics import structural_similarity  # type: ignore[import-untyped,unused-ignore]

    def one(result: np.ndarray, truth: np.ndarray) -> np.ndarray:
        _, similarity = structural_similarity(  # type: ignore[no-untyped-call,unused-ignore]
            result, truth, data_range=1.0, channel_axis=-1, full=True,
            gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        )  # fmt: skip
        return np.asarray(similarity)

    pairs = zip(np.asarray(output, np.float64), np.asarray(image, np.float64), strict=True)
    return _hole_mean(np.stack([one(result, truth) for result, truth in pairs]), mask)


def hole_spread(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Standard deviation of the hole's pixels, mean over the channels: (N,)."""
    hole = np.broadcast_to(mask > 0, image.shape)
    return np.asarray(np.std(np.asarray(image, np.float64), axis=(1, 2), where=hole).mean(axis=1))


def hole_clipped(output: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Share of the hole's values that lie within a level of 255 of black or white: (N,)."""
    return _hole_mean((np.abs(np.asarray(output, np.float64) - 0.5) > 0.5 - 1 / 255).astype(float), mask)


def _rim(mask: np.ndarray) -> np.ndarray:
    from scipy.ndimage import binary_erosion

    hole = mask[..., 0] > 0
    beside = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]], bool)  # within each image
    inner = binary_erosion(hole, beside, border_value=1)  # nothing known lies beyond the image
    return np.asarray(hole & ~inner)[..., None]


def _difference(output: np.ndarray, image: np.ndarray) -> np.ndarray:
    return np.asarray(output, np.float64) - np.asarray(image, np.float64)


def _hole_mean(error: np.ndarray, mask: np.ndarray) -> np.ndarray:
    hole = np.broadcast_to(mask > 0, error.shape)
    return np.asarray(error.mean(axis=(1, 2, 3), where=hole))
