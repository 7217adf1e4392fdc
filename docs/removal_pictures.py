"""Draws README's picture of thin things taken out of scikit-image's photographs by the model that ships.

python docs/removal_pictures.py

A row is one photograph: as it is, what is marked, and what `glcic complete --copy_texture` makes of it without --model.
"""

from pathlib import Path

import cv2
import numpy as np
from inference_pictures import photograph

from glcic_jax.data.images import contact_sheet, write_image
from glcic_jax.inference.completer import Completer
from glcic_jax.inference.masks import draw_overlay
from glcic_jax.models.shipped import shipped_model

WIDTH_PX = 380
"""Of each picture, so that all have one size."""
# The slim towers beside the rocket, as corners (x, y) where the short side has 256 px.
TOWERS = (
    ((117, 72), (124, 72), (124, 118), (128, 230), (101, 230), (112, 118)),
    ((264, 72), (272, 72), (276, 118), (288, 236), (263, 236), (263, 118)),
)
# Part of the cat's picture where bright thin lines are whiskers: rows and columns.
WHISKERS = (slice(155, 256), slice(0, 135))


def mark_towers(image: np.ndarray) -> np.ndarray:
    """Polygons around both: (H, W) uint8."""
    mask = np.zeros(image.shape[:2], np.uint8)
    for corners in TOWERS:
        cv2.fillPoly(mask, [np.array(corners, np.int32)], 1)
    return mask


def mark_whiskers(image: np.ndarray) -> np.ndarray:
    """What is brighter than its surroundings and thin, and a pixel around it: (H, W) uint8."""
    mask = np.zeros(image.shape[:2], np.uint8)
    grey = cv2.cvtColor(np.ascontiguousarray(image[WHISKERS]), cv2.COLOR_RGB2GRAY)
    lines = cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, np.ones((7, 7), np.uint8))
    mask[WHISKERS] = cv2.dilate((lines > 22).astype(np.uint8), np.ones((3, 3), np.uint8))
    return mask


def scratch(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The photograph with scratches across it, and where they are: (H, W, 3) and (H, W), uint8."""
    mask, rng = np.zeros(image.shape[:2], np.uint8), np.random.default_rng(3)
    height, width = mask.shape
    for _ in range(5):
        corners = rng.integers(0, (width, height), (4, 2)).astype(np.int32)
        cv2.polylines(mask, [corners], isClosed=False, color=1, thickness=2)
    return np.where(mask[..., None] > 0, 235, image).astype(np.uint8), mask


def main(output: Path) -> None:
    """Writes the picture."""
    completer = Completer(shipped_model())
    rocket, cat = photograph("rocket.jpg"), photograph("chelsea.png")
    marked = [(rocket, mark_towers(rocket)), (cat, mark_whiskers(cat)), scratch(photograph("coffee.png"))]
    rows = []
    for image, mask in marked:
        pictures = [image, draw_overlay(image, mask > 0), completer(image, mask[..., None], copy_texture=True)]
        rows.append([picture[:, :WIDTH_PX] for picture in pictures])
    write_image(output, contact_sheet(rows))


if __name__ == "__main__":
    main(Path(__file__).parent / "removal.jpg")
