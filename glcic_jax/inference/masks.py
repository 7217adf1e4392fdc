"""Where the hole is: from a mask file, the alpha channel, a colour or a rectangle; and what to warn of."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from glcic_jax.data.mask_files import PLAIN, MaskReading, mark_color, parse_marks, read_marks
from glcic_jax.data.orientation import turn_upright
from glcic_jax.errors import UserError
from glcic_jax.inference.groups import bounding_slices, group_holes
from glcic_jax.models.card import Card

SMALLEST_PX = 16
"""Of a photograph's sides."""
LARGE_MASK_PX = 1 << 22
"""Masks of so many pixels are always read, to say how large they are."""
_SQUEEZED = 0.02  # by how much the proportions of mask and photograph may differ


class Hole(NamedTuple):
    """A hole, bool (H, W), neither empty nor full; and notes for people on how it was found."""

    mask: np.ndarray
    notes: list[str]


@dataclass(frozen=True)
class HoleSource:
    """Says where the hole of a photograph is: one of the first four fields, changed by the others.

    Fields:
        file: a mask; what is lighter than half its range is the hole, unless `reading` says otherwise.
        alpha: the photograph's own transparent parts.
        color: RGB, 0 to 255, that marks the hole in the photograph.
        rectangle: (x, y, width, height).
        invert: what is marked is known, the rest is the hole.
        dilate_px: the hole grows by so many pixels all around.
        resize: a mask file of another size is scaled to the photograph's.
        content: the bytes of `file`, which then is only its name.
    """

    file: Path | None = None
    alpha: bool = False
    color: tuple[int, int, int] | None = None
    rectangle: tuple[int, int, int, int] | None = None
    invert: bool = False
    dilate_px: int = 0
    resize: bool = False
    reading: MaskReading = PLAIN
    content: bytes | None = None

    def find_hole(self, pixels: np.ndarray, alpha: np.ndarray | None = None, orientation: int = 1) -> Hole:
        """The hole of one photograph.

        Args:
            pixels: uint8 or uint16 (H, W, 3) RGB, upright. alpha: (H, W), as deep, or None.
            orientation: by which the photograph's stored pixels were turned, EXIF's 1 to 8.

        Raises: UserError.

        """
        if self.dilate_px < 0:
            raise UserError(f"dilate_px is {self.dilate_px}; a hole can only grow, give 0 or more")
        marked, notes = self._find_marks(pixels, alpha, orientation)
        if not marked.any():
            raise UserError(self._say_nothing_is_marked())
        hole = grow(~marked if self.invert else marked, self.dilate_px)
        name = f"the mask {self.file}" if self.file else "the hole"
        if not hole.any():
            raise UserError(
                f"{name} marks the whole photograph, and --invert_mask leaves no hole; mark known pixels only"
            )
        if hole.all():
            raise UserError(f"{name} covers the whole photograph; leave known pixels around it")
        return Hole(hole, notes)

    def _say_nothing_is_marked(self) -> str:
        if self.file is None:
            return "the hole is empty; no pixel of the photograph is marked"
        return f"the mask {self.file} is empty: nothing in it is marked; paint the hole white on black"

    def _find_marks(self, pixels: np.ndarray, alpha: np.ndarray | None, orientation: int) -> Hole:
        h, w = pixels.shape[:2]
        if self.file is not None:
            return self._read_file(self.file, (h, w), orientation)
        if self.rectangle is not None:
            x, y, width, height = self.rectangle
            if width <= 0 or height <= 0 or x >= w or y >= h or x + width <= 0 or y + height <= 0:
                raise UserError(f"no pixel of the rectangle {x},{y},{width},{height} is in the {w} x {h} px photograph")
            hole = np.zeros((h, w), bool)
            hole[max(y, 0) : y + height, max(x, 0) : x + width] = True
            return Hole(hole, [])
        if self.color is not None:
            return Hole(mark_color(pixels, self.color), [])
        if alpha is None:
            raise UserError("the photograph has no alpha channel that could be the mask; give a mask file")
        return Hole(mark_erased(alpha), [])

    def _read_file(self, file: Path, size: tuple[int, int], orientation: int) -> Hole:
        if self.content is None:
            marks = read_marks(file, self.reading)
        else:  # a mask of another size is of no use, so nothing larger is decoded
            marks = parse_marks(self.content, str(file), self.reading, max(size[0] * size[1], LARGE_MASK_PX))
        marked, notes = marks.marked, marks.notes
        stored = size[::-1] if orientation >= 5 else size
        if marked.shape != size and marked.shape == stored and not marks.turned:
            turned = f"the mask {file} was drawn on the photograph as it is stored; turned as its EXIF says"
            return Hole(turn_upright(marked, orientation), [*notes, turned])
        if marked.shape == size:
            return Hole(marked, notes)
        (h, w), (mask_h, mask_w) = size, marked.shape
        sizes = f"the photograph is {w} x {h} px and the mask {file} {mask_w} x {mask_h} px"
        squeezed = abs(np.log((w / h) / (mask_w / mask_h))) > _SQUEEZED
        if squeezed and (w > h) != (mask_w > mask_h):
            raise UserError(f"{sizes}: it seems to be turned by a quarter; turn it back")
        if not self.resize:
            shape = "give them the same size" if squeezed else "give them the same size, or --resize_mask"
            raise UserError(f"{sizes}; {shape}")
        notes += [f"{sizes}: squeezed to fit"] if squeezed else []
        return Hole(resize_mask(marked, size), notes)


def mark_erased(alpha: np.ndarray) -> np.ndarray:
    """What was erased of a photograph, with the soft rim that erasers leave: bool (H, W).

    Args:
        alpha: uint8 or uint16 (H, W). What is at most half opaque was erased, and what lies around it that is not
            wholly opaque.

    """
    top = np.iinfo(alpha.dtype).max
    erased = alpha <= top // 2
    if not erased.any():
        return erased
    soft = (alpha < top).astype(np.uint8)
    _, labels = cv2.connectedComponents(soft, connectivity=8)
    reached = np.zeros(int(labels.max()) + 1, bool)
    reached[labels[erased]] = True
    reached[0] = False
    return np.asarray(reached[labels])


def resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mask, bool (H, W), in another size: a pixel is hole if any part of it was, so that thin strokes stay whole."""
    for axis, length in enumerate(size):
        old = mask.shape[axis]
        edges = np.arange(length) * old // length
        mask = np.logical_or.reduceat(mask, edges, axis=axis) if length < old else np.take(mask, edges, axis=axis)
    return mask


def grow(hole: np.ndarray, px: int) -> np.ndarray:
    """The hole, bool (H, W), with all pixels that are at most so far away; as fast for wide margins as for narrow."""
    if not px or not hole.any():
        return hole
    rows, columns = bounding_slices(hole)
    box = np.s_[max(rows.start - px, 0) : rows.stop + px, max(columns.start - px, 0) : columns.stop + px]
    far = cv2.distanceTransform((~hole[box]).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    grown = hole.copy()
    grown[box] = far <= px
    return grown


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
    if not re.fullmatch(r"-?\d{1,9},-?\d{1,9},\d{1,9},\d{1,9}", text, re.ASCII):
        raise UserError(f"rectangle is {text!r}; give X,Y,WIDTH,HEIGHT in pixels, such as 120,40,64,64")
    x, y, width, height = (int(part) for part in text.split(","))
    return x, y, width, height


def parse_labels(text: str) -> tuple[int, ...]:
    """'1,15' -> (1, 15). Raises: UserError."""
    if not re.fullmatch(r"\d{1,5}(,\d{1,5})*", text, re.ASCII):
        raise UserError(f"mask_labels is {text!r}; give whole numbers, such as 1 or 1,15")
    return tuple(int(part) for part in text.split(","))


def thickness_px(hole: np.ndarray) -> int:
    """The hole's widest place: the side of the square, clear of known pixels, around its most hidden pixel.

    A long wire is as thick as it is wide. At the photograph's border only one side is known, so a hole there counts
    twice.
    """
    parts = (hole[box].astype(np.uint8) for box in group_holes(hole, 1))
    return max(2 * int(cv2.distanceTransform(part, cv2.DIST_C, 3).max()) - 1 for part in parts)


def trained_px(card: Card) -> int | None:
    """The largest hole that a model was trained on; None if its card does not say."""
    return card.trained.hole_px[1] if card.trained else None


def list_concerns(hole: np.ndarray, card: Card, coarse: bool) -> list[str]:
    """What may make the result poor, in words for people; coarse: whether a lower scale helps with large holes."""
    concerns = []
    thick, trained = thickness_px(hole), trained_px(card)
    if trained is not None and thick > trained:
        remedy = "completed at a lower scale first" if coarse else "without --nocoarse a lower scale would help"
        concerns.append(f"the hole is {thick} px thick, the model was trained on holes of up to {trained} px; {remedy}")
    if hole[0].any() or hole[-1].any() or hole[:, 0].any() or hole[:, -1].any():
        concerns.append("the hole reaches the photograph's border, where nothing is known on one side")
    if (share := hole.mean()) > 0.5:
        concerns.append(f"the hole covers {share:.0%} of the photograph")
    return concerns


def draw_overlay(pixels: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The photograph, uint8 (H, W, 3), with the hole in red."""
    levels = pixels if pixels.dtype == np.uint8 else (pixels // 257).astype(np.uint8)
    picture = levels.copy()
    picture[hole] = picture[hole] // 2 + np.array([127, 0, 0], np.uint8)
    return picture
