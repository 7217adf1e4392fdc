"""Pictures and masks drawn from a seed."""

import io

import numpy as np
from PIL import Image


def photograph(seed: int, height: int = 80, width: int = 96) -> np.ndarray:
    """A smooth random picture, uint8 (H, W, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def encoded(image: np.ndarray, kind: str = "JPEG") -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind)
    return buffer.getvalue()


def random_mask(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """uint8 (H, W, 1): one to six rectangles, a third of them at a border or in a corner."""
    mask = np.zeros((height, width, 1), np.uint8)
    for _ in range(rng.integers(1, 7)):
        h, w = (np.exp(rng.uniform(0, np.log(min(side, 250)), 2)).astype(int) for side in (height, width))
        h, w = max(1, h[0] // 2), max(1, w[0] // 2)
        y, x = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
        if rng.random() < 1 / 3:
            y = (0, height - h)[rng.integers(2)]
        if rng.random() < 1 / 3:
            x = (0, width - w)[rng.integers(2)]
        mask[y : y + h, x : x + w] = 1
    return mask
