"""What the loader hands to a training step."""

from typing import Any, NamedTuple


class Batch(NamedTuple):
    """One global batch, or one process's contiguous share of it; NumPy or JAX arrays.

    image: uint8 (N, H, W, 3) RGB.
    mask: uint8 (N, H, W, 1), 1 = hole.
    fake_window, real_window: int32 (N, 2), origins (y, x) of the local discriminator's window on completed and on
        real images.
    """

    image: Any
    mask: Any
    fake_window: Any
    real_window: Any
