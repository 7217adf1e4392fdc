"""Which parts of a photograph the network has to see: windows around groups of holes, in a few fixed sizes.

What the network paints depends only on the surroundings of the hole, so a window with the margin of the receptive
field gives exactly the whole image's result. A window is a core, whose corner lies on the network's stride, and
`MARGIN_PX` around it. Cores come in six shapes, so that the network is compiled at most six times; wider holes are
cut into several cores, which bounds the memory too.
"""

import itertools
from typing import NamedTuple

import cv2
import numpy as np

from glcic_jax.inference.groups import mark_cells
from glcic_jax.models.completion import MARGIN_PX, STRIDE_PX, multiplications

# Over holes of 6 to 400 px of all proportions these six cost 1.8 times what shapes made to measure would. Squares
# hold holes of 64, 128 and 256 px wherever they lie; the strips are for wires and cracks.
CORES_PX = ((72, 72), (136, 136), (264, 264), (136, 464), (464, 136), (464, 464))
_CORES = np.array(CORES_PX) // STRIDE_PX
_COSTS = np.array([multiplications(h, w) for h, w in CORES_PX], float)
_LONGEST, _SHORTEST = int(_CORES.max()), int(_CORES.min())
_FEW = 256


class Window(NamedTuple):
    """A core that the network paints: its corner and shape, and the smaller box in it that holds hole pixels."""

    y: int
    x: int
    core_px: tuple[int, int]
    box_px: tuple[int, int]

    def rows(self, height: int) -> np.ndarray:
        """Which rows of the photograph the window shows."""
        return _source(self.y, self.core_px[0], height)

    def columns(self, width: int) -> np.ndarray:
        """Which columns of the photograph the window shows."""
        return _source(self.x, self.core_px[1], width)

    def photograph(self, height: int, width: int) -> np.ndarray:
        """Where the photograph, padded to multiples of 4, begins and ends, seen from the core's corner: int32 (4,)."""
        bottom, right = height + -height % STRIDE_PX, width + -width % STRIDE_PX
        return np.array([-self.y, -self.x, bottom - self.y, right - self.x], np.int32)


def plan_windows(hole: np.ndarray) -> list[Window]:
    """Windows whose boxes hold every hole pixel, chosen so that together they cost little.

    Args:
        hole: bool (H, W).

    """
    first, cells = _cells(hole)
    boxes = _boxes(cells)
    if len(boxes) > _FEW:
        boxes = _merge_neighbours(boxes)
    count = 0
    while len(boxes) != count:
        count = len(boxes)
        boxes = _merge(boxes)
    tiles = _parts(cells, -(-cells.shape[0] // _LONGEST), -(-cells.shape[1] // _LONGEST))
    if _cost(tiles).sum() < _cost(boxes).sum():  # specks all over the photograph
        boxes = tiles
    windows = []
    for top, left, bottom, right in (boxes + np.tile(first, 2)).tolist():
        h, w = bottom - top, right - left
        core = CORES_PX[int(np.argmin(np.where(((h, w) <= _CORES).all(-1), _COSTS, np.inf)))]
        y, x = top * STRIDE_PX, left * STRIDE_PX
        box = (min(h * STRIDE_PX, hole.shape[0] - y), min(w * STRIDE_PX, hole.shape[1] - x))
        windows.append(Window(y, x, core, box))
    return windows


def _source(start: int, core_px: int, length: int) -> np.ndarray:
    # The photograph padded by reflection to a multiple of the stride; "symmetric" repeats the edge's pixels. Beyond
    # that the network keeps zeros itself, and any pixel will do.
    padded = np.pad(np.arange(length), (0, -length % STRIDE_PX), mode="symmetric")
    places = np.arange(start - MARGIN_PX[0], start + core_px + MARGIN_PX[1])
    return np.asarray(padded[places.clip(0, len(padded) - 1)])


def _cells(hole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squares of the stride's size that hold a hole pixel: the first one's (y, x), and uint8 (h, w) from there."""
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    first = np.array([rows[0], columns[0]]) // STRIDE_PX
    y, x = first * STRIDE_PX
    return first, mark_cells(hole[y : rows[-1] + 1, x : columns[-1] + 1], STRIDE_PX).astype(np.uint8)


def _boxes(cells: np.ndarray) -> np.ndarray:
    """Boxes (top, left, bottom, right) around connected holes, those that are dear or too long cut into parts."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(cells, connectivity=8)
    boxes = []
    for label, (left, top, w, h, _) in enumerate(stats[1:].tolist(), 1):
        if max(h, w) <= _SHORTEST:
            boxes.append(np.array([[top, left, top + h, left + w]]))
            continue
        own = labels[top : top + h, left : left + w] == label
        counts = itertools.product(*({-(-side // length) for length in set(_CORES[1:, 0])} for side in (h, w)))
        cuts = [_parts(own, *count) for count in counts]
        cheapest = min(cuts, key=lambda parts: (_cost(parts).sum(), len(parts)))
        boxes.append(cheapest + np.array([top, left, top, left]))
    return np.concatenate(boxes)


def _parts(own: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Boxes around what a grid of so many rows and columns cuts a hole into."""
    boxes = []
    for part_rows in np.array_split(np.arange(own.shape[0]), rows):
        for part_columns in np.array_split(np.arange(own.shape[1]), columns):
            y, x = part_rows[0], part_columns[0]
            part = own[y : part_rows[-1] + 1, x : part_columns[-1] + 1]
            if part.any():
                ys, xs = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
                boxes.append((y + ys[0], x + xs[0], y + ys[-1] + 1, x + xs[-1] + 1))
    return np.array(boxes)


def _merge_neighbours(boxes: np.ndarray) -> np.ndarray:
    """Joins small boxes that begin in the same square of a grid: for masks with thousands of specks."""
    side = _LONGEST // 4
    small = (boxes[:, 2:] - boxes[:, :2]).max(1) <= side
    _, group = np.unique(boxes[small, :2] // side, axis=0, return_inverse=True)
    count = group.max() + 1 if small.any() else 0
    joined = np.concatenate([np.full((count, 2), np.iinfo(int).max), np.zeros((count, 2), int)], 1)
    np.minimum.at(joined[:, :2], group.reshape(-1), boxes[small, :2])
    np.maximum.at(joined[:, 2:], group.reshape(-1), boxes[small, 2:])
    return np.concatenate([joined, boxes[~small]])


def _merge(boxes: np.ndarray) -> np.ndarray:
    """Joins each box with that earlier one where it saves most, if it saves anything."""
    merged = np.zeros((0, 4), int)
    for box in boxes[np.lexsort((boxes[:, 1], boxes[:, 0]))]:
        union = np.concatenate([np.minimum(merged[:, :2], box[:2]), np.maximum(merged[:, 2:], box[2:])], 1)
        saved = _cost(merged) + _cost(box[None]) - _cost(union)
        if len(merged) and saved.max() > 0:
            merged[saved.argmax()] = union[saved.argmax()]
        else:
            merged = np.concatenate([merged, box[None]])
    return merged


def _cost(boxes: np.ndarray) -> np.ndarray:
    """Multiplications of the cheapest core that holds each box, inf where none does."""
    sizes = boxes[:, 2:] - boxes[:, :2]
    return np.asarray(np.where((sizes[:, None] <= _CORES).all(-1), _COSTS, np.inf).min(-1))
