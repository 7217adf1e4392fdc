"""Completing one photograph of any size."""

import jax.numpy as jnp
import numpy as np

from glcic_jax.errors import UserError
from glcic_jax.models.completion import STRIDE_PX, CompletionNetwork
from glcic_jax.models.folder import Variables


def complete(network: CompletionNetwork, variables: Variables, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The photograph with its hole painted; known pixels keep every bit.

    Sizes that are no multiples of 4 are padded by reflection, photograph and mask alike, and cut again.

    Args:
        image: uint8 (H, W, 3) RGB.
        mask: uint8 (H, W, 1), 1 = hole.

    Returns: uint8 (H, W, 3).
    Raises: UserError if the sizes differ, or the mask covers nothing or everything.

    """
    h, w = image.shape[:2]
    if mask.shape[:2] != (h, w):
        raise UserError(
            f"the image is {w} x {h} px and the mask {mask.shape[1]} x {mask.shape[0]} px; give them the same size"
        )
    if not mask.any():
        raise UserError("the mask is empty: no pixel is lighter than mid-grey; paint the hole white")
    if mask.all():
        raise UserError("the mask covers the whole image; paint only the hole white, and leave known pixels black")
    padding = ((0, -h % STRIDE_PX), (0, -w % STRIDE_PX), (0, 0))
    # "symmetric" repeats the edge's pixels, so that it also works for images of one pixel.
    padded_image, padded_mask = (np.pad(array, padding, mode="symmetric") for array in (image, mask))
    output = network.apply(variables, jnp.asarray(padded_image, jnp.float32) / 255, jnp.asarray(padded_mask))
    painted = (np.asarray(output)[:h, :w] * 255).round().clip(0, 255).astype(np.uint8)
    return np.where(mask > 0, painted, image)
