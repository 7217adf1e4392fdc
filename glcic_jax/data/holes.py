"""Holes, and where the local discriminator looks. Masks uint8 (H, W, 1), 1 = hole; boxes (y, x, h, w) in pixels."""

import bisect
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from glcic_jax.data.strokes import Range, free_form
from glcic_jax.errors import UserError

MOST_DRAWS = 100
"""So often a mask without a known pixel is drawn anew."""


def draw_hole(
    rng: np.random.Generator,
    *,
    size_px: int,
    window_px: int,
    hole_px: Range,
    holes: Mapping[str, Mapping[str, Any]],
    in_window: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """A random mask of a square image and the local window's origin on it.

    The window is centred on a lone rectangle, else on a pixel of the hole, and moved inside the image.

    Args:
        rng: the only source of randomness.
        size_px: side of the image.
        window_px: side of the window.
        hole_px: sides of rectangles.
        holes: the parameters of each kind. `share` is how often a kind is drawn, relative to the others; `rectangles`
            has a `count` besides, and whether they are `central`, all others what `strokes.free_form` takes.
        in_window: whether strokes stay inside the window, which then lies anywhere; rectangles always lie anywhere.

    Returns: uint8 (size, size, 1) with known pixels and a hole, int32 (y, x).

    Raises: UserError if the parameters leave no pixel known.

    """
    kind = _by_share(rng, holes)
    parameters = {key: value for key, value in holes[kind].items() if key != "share"}
    for _ in range(MOST_DRAWS):
        if kind == "rectangles":
            mask, window = _rectangles(rng, size_px, window_px, hole_px, **parameters)
        elif in_window:
            mask, window = _inside_window(rng, size_px, window_px, parameters)
        else:
            mask = free_form(rng, size_px, None, **parameters)[..., None]
            window = _window_on_hole(rng, mask, window_px)
        if mask.min() == 0:
            return mask, window
    raise UserError(
        f"config.holes.{kind} left no pixel of {size_px} x {size_px} px known, {MOST_DRAWS} times in a row; "
        "make its holes smaller or fewer"
    )


def rectangle(
    rng: np.random.Generator, size_px: int, hole_px: Range, central: bool = False
) -> tuple[int, int, int, int]:
    """Box of a rectangular hole anywhere in a square image, or in its centre; both sides uniform in `hole_px`.

    Source: paper, section 3.4 (96 to 128 px in 256 px).
    """
    h, w = (int(v) for v in rng.integers(hole_px[0], hole_px[1] + 1, 2))
    y, x = int(rng.integers(0, size_px - h + 1)), int(rng.integers(0, size_px - w + 1))
    return ((size_px - h) // 2, (size_px - w) // 2, h, w) if central else (y, x, h, w)


def mask_of(box: tuple[int, int, int, int], size_px: int) -> np.ndarray:
    """uint8 (size, size, 1) mask of one box."""
    y, x, h, w = box
    mask = np.zeros((size_px, size_px, 1), np.uint8)
    mask[y : y + h, x : x + w] = 1
    return mask


def centre_window(box: tuple[int, int, int, int], size_px: int, window_px: int) -> np.ndarray:
    """Origin (y, x), int32, of the window centred on a box, moved inside the image where it would leave it."""
    y, x, h, w = box
    centre = np.array([y + h // 2, x + w // 2])
    origin: np.ndarray = np.clip(centre - window_px // 2, 0, size_px - window_px).astype(np.int32)
    return origin


def random_window(rng: np.random.Generator, size_px: int, window_px: int) -> np.ndarray:
    """Origin (y, x), int32, of a window anywhere in the image."""
    return rng.integers(0, size_px - window_px + 1, 2).astype(np.int32)


def _by_share(rng: np.random.Generator, holes: Mapping[str, Mapping[str, Any]]) -> str:
    """One kind; a number is drawn even where there is no choice, so that the draws after it stay the same."""
    kinds = sorted(kind for kind, parameters in holes.items() if parameters["share"] > 0)
    *bounds, total = itertools.accumulate(float(holes[kind]["share"]) for kind in kinds)
    return kinds[bisect.bisect(bounds, rng.random() * total)]


def _rectangles(
    rng: np.random.Generator, size_px: int, window_px: int, hole_px: Range, count: Range, central: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    first, *others = (rectangle(rng, size_px, hole_px, central) for _ in range(rng.integers(count[0], count[1] + 1)))
    mask = mask_of(first, size_px)
    if not others:
        return mask, centre_window(first, size_px, window_px)
    for y, x, h, w in others:
        mask[y : y + h, x : x + w] = 1
    return mask, _window_on_hole(rng, mask, window_px)


def _inside_window(
    rng: np.random.Generator, size_px: int, window_px: int, parameters: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """The window comes first and is the canvas; something is drawn through its centre."""
    window = random_window(rng, size_px, window_px)
    mask = np.zeros((size_px, size_px, 1), np.uint8)
    y, x = window
    canvas = free_form(rng, window_px, (window_px // 2, window_px // 2), **parameters)
    mask[y : y + window_px, x : x + window_px, 0] = canvas
    return mask, window


def _window_on_hole(rng: np.random.Generator, mask: np.ndarray, window_px: int) -> np.ndarray:
    """Origin of the window centred on a random pixel of the hole."""
    size_px = len(mask)
    found = np.flatnonzero(mask.view(bool))
    y, x = divmod(int(found[rng.integers(len(found))]), size_px)
    return centre_window((y, x, 1, 1), size_px, window_px)
