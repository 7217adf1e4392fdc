"""Draws README's picture of things taken out of scikit-image's photographs by the model that ships.

python docs/removal_pictures.py

A row is one photograph: as it is, what is marked, and what `glcic complete` makes of it without --model, with --noblend
and as it comes.
"""

from pathlib import Path

import cv2
import numpy as np
from inference_pictures import photograph

from glcic_jax.data.images import contact_sheet, write_image
from glcic_jax.inference.completer import Completer
from glcic_jax.inference.masks import overlay
from glcic_jax.inference.shipped import shipped_model

SIDE_PX = 256
# Photograph, where its square begins, and corners (x, y) around the thing, where the short side has 256 px.
THINGS = (
    ("rocket.jpg", 64, ((182, 68), (202, 68), (208, 110), (208, 244), (178, 244), (178, 110))),
    ("coffee.png", 100, ((256, 36), (276, 42), (270, 72), (252, 130), (262, 188), (240, 214), (206, 206), (200, 160))),
    ("astronaut.png", 0, ((190, 0), (222, 0), (232, 96), (232, 132), (178, 132), (172, 100))),
)


def main(output: Path) -> None:
    """Writes the picture."""
    completer = Completer(shipped_model())
    rows = []
    for name, left, corners in THINGS:
        image = photograph(name)
        mask = np.zeros((*image.shape[:2], 1), np.uint8)
        cv2.fillPoly(mask, [np.array(corners, np.int32)], 1)
        pictures = [image, overlay(image, mask[..., 0] > 0), completer(image, mask), completer(image, mask, blend=True)]
        rows.append([picture[:, left : left + SIDE_PX] for picture in pictures])
    write_image(output, contact_sheet(rows))


if __name__ == "__main__":
    main(Path(__file__).parent / "removal.jpg")
