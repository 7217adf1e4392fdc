"""Draws the pictures of inference.md from scikit-image's photographs: python docs/inference_pictures.py MODEL.

A row is one photograph: as it is, its hole, and completions of the hole in several ways. The holes lie in the right
half of a square, 128 px wide, that the quickstart keeps out of its training.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import skimage

from glcic_jax.data.images import contact_sheet, decode, write_image
from glcic_jax.inference.completer import Completer
from glcic_jax.inference.masks import draw_overlay
from glcic_jax.tools.quickstart import SHORT_SIDE_PX

# Photograph, and the hole's middle and half axes (x, y) where the short side has 256 px.
SMALL = (
    ("astronaut.png", (205, 62), (16, 20)),
    ("chelsea.png", (330, 60), (20, 16)),
    ("coffee.png", (330, 200), (18, 18)),
    ("rocket.jpg", (340, 80), (18, 18)),
)
LARGE = (
    ("chelsea.png", (320, 70), (50, 44)),
    ("coffee.png", (320, 190), (48, 44)),
    ("rocket.jpg", (325, 90), (46, 46)),
)


def draw(completer: Completer, holes: tuple, side_px: int, ways: tuple[dict[str, bool], ...]) -> np.ndarray:
    """uint8 (H, W, 3): squares of the photographs around the holes."""
    rows = []
    rows = []
    for name, middle, axes in holes:
        image = photograph(name)
        mask = np.zeros((*image.shape[:2], 1), np.uint8)
        cv2.ellipse(mask, middle, axes, 0, 0, 360, 1, -1)
        top, left = (
            int(np.clip(place - side_px // 2, 0, side - side_px))
            for place, side in zip(middle[::-1], image.shape[:2], strict=True)
        )
        pictures = [image, draw_overlay(image, mask[..., 0] > 0), *(completer(image, mask, **way) for way in ways)]
        rows.append([picture[top : top + side_px, left : left + side_px] for picture in pictures])
    return contact_sheet(rows)


def photograph(name: str) -> np.ndarray:
    """uint8 (H, W, 3), its short side 256 px."""
    image = decode((Path(skimage.__file__).parent / "data" / name).read_bytes())
    scale = SHORT_SIDE_PX / min(image.size)
    return np.array(image.resize((round(image.width * scale), round(image.height * scale))))


def main(model: str, folder: Path) -> None:
    """Writes both pictures into the folder."""
    completer = Completer(model)
    ways = ({"blend": False}, {"blend": True})
    write_image(folder / "inference_small.jpg", draw(completer, SMALL, 96, ways).repeat(2, 0).repeat(2, 1))
    ways = ({"coarse": False}, {"coarse": True}, {"coarse": True, "blend": True})
    write_image(folder / "inference_large.jpg", draw(completer, LARGE, 144, ways))


if __name__ == "__main__":
    main(sys.argv[1], Path(__file__).parent)
