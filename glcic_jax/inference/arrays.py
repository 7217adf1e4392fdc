"""Arrays that people hand in: checked for shape, type and range, since a wrong scale would paint nonsense unsaid."""

import numpy as np

from glcic_jax.errors import UserError

_OVERSHOOT = 1e-3  # of floats beyond [0, 1], as resizing leaves it


def check_shapes(image: np.ndarray, mask: np.ndarray) -> None:
    """Raises: UserError unless they are (..., H, W, 3) and (..., H, W, 1), a mask for each image."""
    shapes = f"the image has shape {image.shape} and the mask {mask.shape}"
    if image.ndim < 3 or image.shape[-1] != 3 or mask.ndim < 3 or mask.shape[-1] != 1:
        raise UserError(f"{shapes}; they must be (..., H, W, 3) and (..., H, W, 1)")
    (h, w), (mask_h, mask_w) = image.shape[-3:-1], mask.shape[-3:-1]
    if (h, w) != (mask_h, mask_w):
        raise UserError(f"the image is {w} x {h} px and the mask {mask_w} x {mask_h} px; give them the same size")
    if image.shape[:-1] != mask.shape[:-1]:
        raise UserError(f"{shapes}; give one mask for each image")


def check_image(image: np.ndarray) -> None:
    """Raises: UserError unless it holds uint8, uint16 over its whole range, or floats in [0, 1]."""
    if image.dtype == np.uint16:
        highest = int(image.max(initial=0))
        if 0 < highest <= 255:
            raise UserError(
                f"the image is uint16, but its largest value is {highest}: it seems to hold 8 bits; "
                "give it as uint8, or times 257"
            )
    elif image.dtype.kind == "f":
        low, high = float(image.min(initial=0)), float(image.max(initial=0))
        if not np.isfinite(low + high):
            raise UserError("the image holds values that are not finite (NaN or infinity); replace them")
        if low < -_OVERSHOOT or high > 1 + _OVERSHOOT:
            raise UserError(
                f"the image holds floats from {low:g} to {high:g}; scale them to [0, 1], or give uint8 or uint16"
            )
    elif image.dtype != np.uint8:
        raise UserError(f"the image holds {image.dtype}; it must be uint8, uint16, or float in [0, 1]")


def to_holes(mask: np.ndarray) -> np.ndarray:
    """Where a mask is hole, bool of the same shape: above half its type's range, or 1 where it holds 0 and 1 only.

    Args:
        mask: (..., H, W, 1), bool, an integer type or floats in [0, 1].

    Raises: UserError for another type or range.

    """
    if mask.dtype == np.bool_:
        return mask
    low, high = mask.min(initial=0), mask.max(initial=0)
    if mask.dtype.kind == "f":
        if not (low >= 0 and high <= 1):
            raise UserError(f"the mask holds floats from {low:g} to {high:g}; they must lie in [0, 1], 1 = hole")
        return np.asarray(mask > 0.5)
    if mask.dtype.kind not in "iu":
        raise UserError(f"the mask holds {mask.dtype}; it must be bool, integers, or float in [0, 1]")
    top = np.iinfo(mask.dtype).max if mask.dtype in (np.uint8, np.uint16) else 255
    if low < 0 or high > top:
        raise UserError(f"the mask holds integers from {low} to {high}; give 0 and 1, or uint8")
    return np.asarray(mask > (0 if high <= 1 else top // 2))


def check_holes(holes: np.ndarray) -> None:
    """Raises: UserError if one of them, bool (..., H, W, 1), covers nothing or everything."""
    if not holes.any((-3, -2)).all():
        raise UserError("the mask is empty: no pixel is lighter than mid-grey; paint the hole white")
    if holes.all((-3, -2)).any():
        raise UserError("the mask covers the whole image; paint only the hole white, and leave known pixels black")
