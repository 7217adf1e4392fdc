"""Where the hole is: from a mask file, the alpha channel, a colour or a rectangle; and what to warn of."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from glcic_jax.data.images import read_mask
from glcic_jax.errors import UserError

SMALLEST_PX = 16
"""Of a photograph's sides."""
COLOR_TOLERANCE = 16
"""Of 255 levels a channel, so that JPEG's errors do not matter."""


class HoleSource(NamedTuple):
    """Says where the hole of a photograph is: one of the first four fields, changed by the others.

    Fields:
        file: a mask, lighter than mid-grey (above 127 of 255) = hole.
        alpha: the photograph's own transparent parts.
        color: RGB, 0 to 255, that marks the hole in the photograph.
        rectangle: (x, y, width, height).
        invert: what is marked is known, the rest is the hole.
        dilate_px: the hole grows by so many pixels all around.
        resize: a mask file of another size is scaled to the photograph's.
    """

    file: Path | None = None
    alpha: bool = False
    color: tuple[int, int, int] | None = None
    rectangle: tuple[int, int, int, int] | None = None
    invert: bool = False
    dilate_px: int = 0
    resize: bool = False

    def hole(self, pixels: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
        """The hole of one photograph.

        Args:
            pixels: uint8 or uint16 (H, W, 3) RGB. alpha: (H, W), as deep, or None.

        Returns: bool (H, W), neither empty nor full.
        Raises: UserError.

        """
        if self.dilate_px < 0:
            raise UserError(f"dilate_px is {self.dilate_px}; a hole can only grow, give 0 or more")
        hole = self._marked(pixels, alpha) ^ self.invert
        if self.dilate_px:
            disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * self.dilate_px + 1,) * 2)
            hole = cv2.dilate(hole.astype(np.uint8), disk) > 0
        name = f"the mask {self.file}" if self.file else "the hole"
        if not hole.any():
            way = "white is the hole (--invert_mask: black is)" if self.file else "no pixel of the photograph is marked"
            raise UserError(f"{name} is empty; {way}")
        if hole.all():
            way = "leave known pixels black (--invert_mask: white)" if self.file else "leave known pixels around it"
            raise UserError(f"{name} covers the whole photograph; {way}")
        return hole

    def _marked(self, pixels: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
        h, w = pixels.shape[:2]
        if self.file is not None:
            return self._from_file(self.file, h, w)
        if self.rectangle is not None:
            x, y, width, height = self.rectangle
            if width <= 0 or height <= 0 or x >= w or y >= h or x + width <= 0 or y + height <= 0:
                raise UserError(f"no pixel of the rectangle {x},{y},{width},{height} is in the {w} x {h} px photograph")
            hole = np.zeros((h, w), bool)
            hole[max(y, 0) : y + height, max(x, 0) : x + width] = True
            return hole
        if self.color is not None:
            levels = pixels if pixels.dtype == np.uint8 else pixels // 257
            return (
                cv2.inRange(
                    np.ascontiguousarray(levels, np.uint8),
                    np.array(self.color, float) - COLOR_TOLERANCE,
                    np.array(self.color, float) + COLOR_TOLERANCE,
                )
                > 0
            )
        if alpha is None:
            raise UserError("the photograph has no alpha channel that could be the mask; give a mask file")
        return alpha <= np.iinfo(alpha.dtype).max // 2

    def _from_file(self, file: Path, h: int, w: int) -> np.ndarray:
        hole = read_mask(file)[..., 0]
        if hole.shape != (h, w):
            if not self.resize:
                raise UserError(
                    f"the photograph is {w} x {h} px and the mask {file} {hole.shape[1]} x {hole.shape[0]} px; "
                    "give them the same size, or --resize_mask"
                )
            hole = cv2.resize(hole, (w, h), interpolation=cv2.INTER_NEAREST)
        return hole > 0


def check_size(pixels: np.ndarray) -> None:
    """Raises: UserError if a photograph (..., H, W, 3) is too small to complete."""
    h, w = pixels.shape[-3:-1]
    if min(h, w) < SMALLEST_PX:
        raise UserError(f"only {w} x {h} px, where {SMALLEST_PX} px a side are the least; give a larger photograph")


def parse_color(text: str) -> tuple[int, int, int]:
    """#ff00ff -> (255, 0, 255). Raises: UserError."""
    digits = text.removeprefix("#")
    if not re.fullmatch("[0-9a-fA-F]{6}", digits):
        raise UserError(f"mask_color is {text!r}; give red, green and blue as in '#FF00FF'")
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)


def parse_rectangle(text: str) -> tuple[int, int, int, int]:
    """'x,y,width,height' -> numbers. Raises: UserError."""
    if not re.fullmatch(r"-?\d+,-?\d+,\d+,\d+", text):
        raise UserError(f"rectangle is {text!r}; give X,Y,WIDTH,HEIGHT in pixels, such as 120,40,64,64")
    x, y, width, height = (int(part) for part in text.split(","))
    return x, y, width, height


def thickness_px(hole: np.ndarray) -> int:
    """The hole's widest place: the side of the square, clear of known pixels, around its most hidden pixel.

    A long wire is as thick as it is wide. At the photograph's border only one side is known, so a hole there counts
    twice.
    """
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    part = hole[max(rows[0] - 1, 0) : rows[-1] + 2, max(columns[0] - 1, 0) : columns[-1] + 2]
    return 2 * int(cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_C, 3).max()) - 1


def trained_px(card: dict[str, Any]) -> int | None:
    """The largest hole that a model was trained on; None if its card does not say."""
    sizes = card.get("trained", {}).get("hole_px")
    return int(np.max(sizes)) if sizes else None


def concerns(hole: np.ndarray, card: dict[str, Any], coarse: bool) -> list[str]:
    """What may make the result poor, in words for people; coarse: whether a lower scale helps with large holes."""
    said = []
    thick, trained = thickness_px(hole), trained_px(card)
    if trained is not None and thick > trained:
        remedy = "completed at a lower scale first" if coarse else "without --nocoarse a lower scale would help"
        said.append(f"the hole is {thick} px thick, the model was trained on holes of up to {trained} px; {remedy}")
    if hole[0].any() or hole[-1].any() or hole[:, 0].any() or hole[:, -1].any():
        said.append("the hole reaches the photograph's border, where nothing is known on one side")
    if (share := hole.mean()) > 0.5:
        said.append(f"the hole covers {share:.0%} of the photograph")
    return said


def overlay(pixels: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The photograph, uint8 (H, W, 3), with the hole in red."""
    levels = pixels if pixels.dtype == np.uint8 else (pixels // 257).astype(np.uint8)
    picture = levels.copy()
    picture[hole] = picture[hole] // 2 + np.array([127, 0, 0], np.uint8)
    return picture
