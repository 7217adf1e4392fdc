"""Free-form holes: random strokes with round joints, and the boxes that LaMa mixes in. Canvases uint8 (size, size).

Only whole numbers are drawn and computed with, without anti-aliasing: a seed gives the same mask on every machine.
"""

import itertools
import math
from typing import Any, TypeAlias

import cv2
import numpy as np

Range: TypeAlias = tuple[int, int]  # (smallest, largest), both included

_ONE = 1 << 16
_COSINE = np.array([round(_ONE * math.cos(math.radians(degrees))) for degrees in range(360)])


def free_form(
    rng: np.random.Generator,
    size_px: int,
    start: tuple[int, int] | None,
    *,
    box_share: float = 0.0,
    box_count: Range = (1, 1),
    box_px: Range = (1, 1),
    **stroke: Any,
) -> np.ndarray:
    """A canvas with `strokes`, or with `boxes` as often as `box_share` says; one covers `start` (y, x) if given.

    Source: LaMa's generator, which draws either the one or the other.
    """
    if rng.random() < box_share:
        return boxes(rng, size_px, start, count=box_count, side_px=box_px)
    return strokes(rng, size_px, start, **stroke)


def strokes(
    rng: np.random.Generator,
    size_px: int,
    start: tuple[int, int] | None,
    *,
    count: Range,
    segments: Range,
    length_px: Range,
    width_px: Range,
    angle_deg: Range,
    zigzag: bool,
) -> np.ndarray:
    """A canvas with `count` strokes; each is a walk of `segments` straight lines along a heading of its own.

    A line leaves the heading by `angle_deg`. With `zigzag` it does so to the left and to the right in turn, and a
    stroke keeps one width (DeepFill v2); without, always to the same side, each line with a width of its own (LaMa).
    Points that would leave the canvas stop at its border. The first stroke begins at `start` (y, x) if given, the
    others anywhere.

    Source: the generators of DeepFill v2 (Yu et al., 2019) and LaMa (Suvorov et al., 2022).
    """
    number = int(rng.integers(*_ends(count)))
    starts = rng.integers(0, size_px, (number, 2))
    if start is not None:
        starts[0] = start
    lines = rng.integers(*_ends(segments), number)
    total = int(lines.sum())
    headings = np.repeat(rng.integers(0, 360, number), lines)
    angles = rng.integers(*_ends(angle_deg), total)
    lengths = rng.integers(*_ends(length_px), total)
    if zigzag:
        place = np.arange(total) - np.repeat(np.cumsum(lines) - lines, lines)  # of a line in its stroke
        angles = np.where(place % 2, -angles, angles)
        widths = np.repeat(rng.integers(*_ends(width_px), number), lines)
    else:
        widths = rng.integers(*_ends(width_px), total)
    directions = headings + angles
    along = (lengths * _COSINE[directions % 360] + _ONE // 2) // _ONE
    down = (lengths * _COSINE[(directions - 90) % 360] + _ONE // 2) // _ONE

    # OpenCV adds a pixel to even thicknesses, two to odd ones: so odd widths come out exact, even ones a pixel wider.
    thicknesses = np.maximum(widths - widths % 2, 1)

    canvas, last = np.zeros((size_px, size_px), np.uint8), size_px - 1
    moves = zip(down.tolist(), along.tolist(), thicknesses.tolist(), strict=True)
    for (y, x), own in zip(starts.tolist(), lines.tolist(), strict=True):
        for dy, dx, thickness in itertools.islice(moves, own):
            end = min(max(x + dx, 0), last), min(max(y + dy, 0), last)
            cv2.line(canvas, (x, y), end, 1, thickness)  # OpenCV's thick lines have round ends
            x, y = end
    return canvas


def boxes(
    rng: np.random.Generator, size_px: int, through: tuple[int, int] | None, *, count: Range, side_px: Range
) -> np.ndarray:
    """A canvas with `count` boxes, sides at most the canvas's; the first covers `through` (y, x) if given."""
    canvas = np.zeros((size_px, size_px), np.uint8)
    for index in range(int(rng.integers(*_ends(count)))):
        sides = np.minimum(rng.integers(*_ends(side_px), 2), size_px)
        low, high = np.zeros(2, np.int64), size_px - sides
        if through is not None and index == 0:
            low, high = np.maximum(low, np.array(through) - sides + 1), np.minimum(high, through)
        (y, x), (h, w) = rng.integers(low, high + 1), sides
        canvas[y : y + h, x : x + w] = 1
    return canvas


def _ends(both_included: Range) -> Range:
    """As NumPy counts, which leaves the upper end out."""
    return both_included[0], both_included[1] + 1
