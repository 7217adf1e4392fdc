"""Ways to fill a hole without a trained network: (image uint8 (H, W, 3), mask uint8 (H, W, 1)) -> uint8 (H, W, 3)."""

from collections.abc import Callable

import cv2
import numpy as np

from glcic_jax.errors import UserError
from glcic_jax.inference.texture import PATCH_RADIUS_PX, load_patchmatch

RADIUS_PX = 3
"""How far OpenCV's two methods look around a pixel."""


def mean_color(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The mean colour of the photograph's known pixels: knows nothing but that."""
    mean = image[mask[..., 0] == 0].mean(axis=0).round()
    return np.where(mask > 0, mean, image).astype(np.uint8)


def telea(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fast marching from the rim inwards (Telea 2004), by OpenCV."""
    return _opencv(image, mask, cv2.INPAINT_TELEA)


def navier_stokes(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Lines of equal brightness go on like a fluid's flow (Bertalmio et al. 2001), by OpenCV."""
    return _opencv(image, mask, cv2.INPAINT_NS)


def _opencv(image: np.ndarray, mask: np.ndarray, method: int) -> np.ndarray:
    # Near the image's border Navier-Stokes reads what stands in the hole, so nothing may.
    return cv2.inpaint(np.where(mask > 0, 0, image).astype(np.uint8), mask, RADIUS_PX, method)


def biharmonic(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The smoothest surface through the rim (Damelin and Hoang 2018), by scikit-image."""
    try:
        from skimage.restoration import inpaint_biharmonic
    except ImportError:
        raise UserError("biharmonic needs scikit-image; install it: pip install 'glcic-jax[quickstart]'") from None
    filled = inpaint_biharmonic(image, mask[..., 0], channel_axis=-1)
    return np.asarray(filled * 255).round().clip(0, 255).astype(np.uint8)


def patchmatch(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Puts patches of the known part together (Barnes et al. 2009, after Wexler et al. 2007), by PyPatchMatch."""
    filled: np.ndarray = load_patchmatch().inpaint(image, mask[..., 0], patch_size=PATCH_RADIUS_PX)
    return filled


RIVALS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "mean": mean_color,
    "telea": telea,
    "navier-stokes": navier_stokes,
    "biharmonic": biharmonic,
    "patchmatch": patchmatch,
}
"""What the command line calls them."""
