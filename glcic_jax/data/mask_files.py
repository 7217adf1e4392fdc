"""Mask files as people have them: what in them is the hole, or why that cannot be told and which option tells it."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from glcic_jax.data.orientation import turn_upright
from glcic_jax.data.pixels import MAX_PIXELS, ImageError, Pixels, read_pixels, rescale
from glcic_jax.errors import UserError

COLOR_TOLERANCE = 16
"""Of 255 levels a channel, so that JPEG's errors do not matter."""

_HALF = 127
_DARK = 16  # levels that count as black
_COLORED = 32  # levels between the channels of what is no grey
_NEAR_PX = 8  # of a hole: its soft edge, and a JPEG's block around it
_FEW_VALUES = 64
_LEAST_MARKS_PX = 16


@dataclass(frozen=True)
class MaskReading:
    """Which part of a mask file is the hole, where that is not what is lighter than half its range; one field at most.

    Fields:
        level: what is this light or lighter, 1 to 255.
        labels: what has one of these values, of a palette or of grey.
        paint: what has this colour, RGB of 0 to 255.
        transparent: what is transparent.
    """

    level: int | None = None
    labels: tuple[int, ...] = ()
    paint: tuple[int, int, int] | None = None
    transparent: bool = False


PLAIN = MaskReading()
"""What is lighter than half the range is the hole."""


class Marks(NamedTuple):
    """What a mask file marks: bool (H, W), upright.

    turned: whether the file says itself which way up it is.
    notes: for people.
    """

    marked: np.ndarray
    turned: bool
    notes: list[str]


def read_marks(path: Path, reading: MaskReading = PLAIN) -> Marks:
    """Reads a mask file. Raises: UserError naming the file, what was found in it and the option that reads it."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the mask {path}: {error.strerror}; give another file") from error
    return parse_marks(data, str(path), reading)


def parse_marks(data: bytes, name: str, reading: MaskReading = PLAIN, max_pixels: int = MAX_PIXELS) -> Marks:
    """The same from the bytes of a file; larger ones than `max_pixels` are refused. Raises: UserError."""
    try:
        pixels = read_pixels(data, max_pixels)
    except ImageError as error:
        raise UserError(f"cannot read the mask {name}: {error}; give another file") from error
    try:
        marked, notes = _read(pixels, reading)
    except _Unclear as error:
        raise UserError(f"the mask {name} {error}") from None
    return Marks(marked, pixels.orientation != 1, [f"the mask {name} {note}" for note in notes])


def mark_color(pixels: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """Where uint8 or uint16 (H, W, 3) has a colour, up to COLOR_TOLERANCE: bool (H, W)."""
    levels = pixels if pixels.dtype == np.uint8 else (pixels // 257).astype(np.uint8)
    low, high = np.array(color, float) - COLOR_TOLERANCE, np.array(color, float) + COLOR_TOLERANCE
    return np.asarray(cv2.inRange(np.ascontiguousarray(levels), low, high)) > 0


class _Unclear(Exception):
    """What is wrong with a mask, to follow its name."""


def _read(pixels: Pixels, reading: MaskReading) -> tuple[np.ndarray, list[str]]:
    if reading.transparent:
        opacity = _opacity(pixels)
        if opacity is None:
            raise _Unclear("has no transparent part; leave --mask_transparent out")
        return opacity <= _HALF, []
    if reading.labels:
        return _read_labels(pixels, reading.labels), []
    if reading.paint is not None:
        return mark_color(pixels.rgb8(), reading.paint), []
    if reading.level is not None:
        return _luma(pixels) >= reading.level, []
    return _read_plain(pixels)


def _read_plain(pixels: Pixels) -> tuple[np.ndarray, list[str]]:
    """By half the range, and by what else cannot be meant otherwise."""
    opacity = _opacity(pixels)
    if opacity is not None and not (opacity > _HALF).all():
        if (by_opacity := _read_layer(pixels, opacity)) is not None:
            return by_opacity, []
    elif (values := _palette_values(pixels)) is not None:
        return _read_palette(pixels, values)
    if pixels.mode not in ("L", "LA"):
        _refuse_photographs(pixels.rgb8(white_paper=False))
    grey = _luma(pixels)
    marked = grey > _HALF
    if marked.any():
        _refuse_second_objects(grey, marked)
        return marked, []
    return _read_dark(pixels.rgb8(white_paper=False), grey)


def _read_layer(pixels: Pixels, opacity: np.ndarray) -> np.ndarray | None:
    """Of one colour on a transparent layer: what was painted. None if the colours have a shape of their own."""
    colors = pixels.rgb8(white_paper=False)[opacity == opacity.max()]
    if int(np.ptp(colors, axis=0).max(initial=0)) > _DARK:
        return None
    share = float((opacity <= _HALF).mean())
    if share < 0.5 or colors.max(initial=0) <= _DARK:
        raise _Unclear(
            f"has one colour everywhere, and only its transparency has a shape ({share:.0%} are transparent): give "
            "--mask_transparent if the transparent part is the hole, and --invert_mask too if the rest is"
        )
    return opacity > _HALF


def _read_palette(pixels: Pixels, values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """A picture with a palette of colours: labels, of which nobody knows which is meant unless there is one only."""
    labels = np.unique(values)
    colors = pixels.rgb8().reshape(-1, 3)[np.unique(values, return_index=True)[1]].astype(int)
    black = colors.max(axis=1) <= _DARK
    if len(labels) == 2 and black.sum() == 1:
        label = int(labels[~black][0])
        return values == label, [f"has a palette; what has its label {label} is taken for the hole"]
    if len(labels) == 1:
        return values != labels[0], []
    raise _Unclear(
        f"has a palette with the labels {_list(labels)}: say which of them are the hole, such as "
        f"--mask_labels={int(labels[-1])}"
    )


def _read_dark(colors: np.ndarray, grey: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Nothing is lighter than half the range: labels of small numbers, or paint that is no light grey."""
    highest = int(grey.max())
    if highest == 0 and not colors.any():
        return np.zeros(grey.shape, bool), []
    values = np.unique(grey)
    painted = colors.max(axis=2)
    if highest > 0 and (len(values) == 2 and values[0] == 0 and highest <= _DARK):
        return grey > 0, [f"holds the values 0 and {highest}; {highest} is taken for the hole"]
    if painted.max() > _HALF and ((painted <= _DARK) | (painted > _HALF)).mean() > 0.98:
        marked = painted > _HALF
        color = "#" + "".join(f"{int(level):02X}" for level in np.median(colors[marked], axis=0))
        return marked, [f"is painted in {color} on black, which is taken for the hole"]
    if len(values) == 2 and values[0] <= _DARK:
        return grey == highest, [f"holds levels {values[0]} and {highest} of 255; {highest} is taken for the hole"]
    found = f"its lightest value is {highest} of 255"
    if len(values) == 1:
        raise _Unclear(f"is empty: it has one level everywhere, {highest} of 255; paint the hole white on black")
    if len(values) <= _FEW_VALUES:
        raise _Unclear(
            f"is darker than half everywhere, {found}; it holds the values {_list(values)}: say which are the hole, "
            f"such as --mask_labels={highest}, or from which on, --mask_level={int(values[1])}"
        )
    raise _Unclear(f"is darker than half everywhere, {found}: say how light the hole is, such as --mask_level=64")


def _refuse_second_objects(grey: np.ndarray, marked: np.ndarray) -> None:
    """Raises: _Unclear if something of one darker level, away from the hole, was marked too."""
    dim = (grey > _DARK) & ~marked
    if not dim.any():
        return
    near = cv2.dilate(marked.astype(np.uint8), np.ones((2 * _NEAR_PX + 1,) * 2, np.uint8)) > 0
    counts = np.bincount(grey[dim & ~near].ravel(), minlength=256)
    if counts.max() >= max(_LEAST_MARKS_PX, counts.sum() / 2):
        level = int(counts.argmax())
        count = int((grey[dim] == level).sum())
        raise _Unclear(
            f"has marks of level {level} of 255 ({count:,} px) beside lighter ones: --mask_level={level} takes "
            f"them too, --mask_level={_HALF + 1} leaves them out"
        )


def _refuse_photographs(colors: np.ndarray) -> None:
    """Raises: _Unclear if the file is a photograph, perhaps one with a hole painted on it."""
    step = max(1, colors.shape[0] // 512), max(1, colors.shape[1] // 512)
    some = colors[:: step[0], :: step[1]].reshape(-1, 3)
    colored = np.ptp(some, axis=1) > _COLORED
    grey = some.mean(axis=1)
    between = (grey > _COLORED) & (grey < 255 - _COLORED)
    if (colored & between).mean() > 0.25 and len(np.unique(some // 16, axis=0)) > _FEW_VALUES:
        raise _Unclear(
            "looks like a photograph: give black and white, or, if the hole is painted on it, its colour, such as "
            "--mask_paint='#FF0000'"
        )


def _read_labels(pixels: Pixels, labels: tuple[int, ...]) -> np.ndarray:
    values = _palette_values(pixels)
    if values is None:
        values = _grey_values(pixels)
    if values is None:
        raise _Unclear("has colours, not labels; give --mask_paint='#RRGGBB' instead of --mask_labels")
    marked = np.isin(values, labels)
    if not marked.any():
        raise _Unclear(f"has no label {_list(np.array(labels))}; it holds {_list(np.unique(values))}")
    return marked


def _palette_values(pixels: Pixels) -> np.ndarray | None:
    """Labels (H, W), upright, of a picture with a palette of colours; None if it has none, or one of greys."""
    source = pixels.source
    if source.mode != "P":
        return None
    palette = np.array(source.getpalette("RGB") or [], int).reshape(-1, 3)
    values = np.asarray(source)
    used = palette[np.unique(values[values < len(palette)])]
    if int(np.ptp(used, axis=1).max(initial=0)) <= _COLORED:
        return None
    return turn_upright(values, pixels.orientation)


def _grey_values(pixels: Pixels) -> np.ndarray | None:
    """The values (H, W), upright, of a file with grey alone; None of others."""
    return pixels.upright[..., 0] if pixels.mode in ("L", "LA") and pixels.source.mode != "P" else None


def _opacity(pixels: Pixels) -> np.ndarray | None:
    """uint8 (H, W), upright; None without an alpha channel."""
    if not pixels.mode.endswith("A"):
        return None
    alpha = pixels.upright[..., -1]
    return alpha if alpha.dtype == np.uint8 else (alpha // 257).astype(np.uint8)


def _luma(pixels: Pixels) -> np.ndarray:
    """uint8 (H, W), upright; what is transparent is black."""
    if pixels.mode == "L":
        grey = pixels.upright[..., 0]
        return grey if pixels.white == 255 and grey.dtype == np.uint8 else rescale(grey, pixels.white, 255)
    return np.asarray(Image.fromarray(pixels.rgb8(white_paper=False)).convert("L"))


def _list(values: np.ndarray) -> str:
    shown = [str(int(value)) for value in values[:12]]
    return ", ".join(shown) + (", ..." if len(values) > len(shown) else "")
