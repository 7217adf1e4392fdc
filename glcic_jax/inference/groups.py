"""Holes that lie far apart, each by itself: so the cost follows the holes, not the box around all of them."""

import cv2
import numpy as np

Box = tuple[slice, slice]
"""Rows and columns, with start and stop."""
_CELL_PX = 16


def group_holes(hole: np.ndarray, margin_px: int) -> list[Box]:
    """Boxes around groups of holes with a margin of known pixels, where there is room; no box overlaps another.

    Args:
        hole: bool (H, W), with at least one pixel.
        margin_px: how much around the holes each box holds.

    """
    rows, columns = bounding_slices(hole)
    cells = mark_cells(hole[rows, columns], _CELL_PX)
    _, _, stats, _ = cv2.connectedComponentsWithStats(cells.astype(np.uint8), connectivity=8)
    boxes = []
    for left, top, width, height, _ in stats[1:].tolist():
        y, x = rows.start + top * _CELL_PX, columns.start + left * _CELL_PX
        inner = bounding_slices(hole[y : y + height * _CELL_PX, x : x + width * _CELL_PX])
        box = np.s_[y + inner[0].start : y + inner[0].stop, x + inner[1].start : x + inner[1].stop]
        boxes.append(expand(box, margin_px, hole.shape))
    return merge_boxes(boxes)


def expand(box: Box, margin_px: int, shape: tuple[int, ...]) -> Box:
    """The box with a margin, as far as an image of this shape has room for it."""
    rows, columns = (
        slice(max(side.start - margin_px, 0), min(side.stop + margin_px, length))
        for side, length in zip(box, shape, strict=True)
    )
    return rows, columns


def merge_boxes(boxes: list[Box]) -> list[Box]:
    """Boxes that hold these, joined until none overlaps another."""
    done = np.zeros((0, 4), int)
    to_do = [np.array([rows.start, columns.start, rows.stop, columns.stop]) for rows, columns in boxes]
    while to_do:
        box = to_do.pop()
        overlapping = (np.maximum(done[:, :2], box[:2]) < np.minimum(done[:, 2:], box[2:])).all(-1)
        if overlapping.any():
            joined = np.concatenate([done[overlapping], box[None]])
            box = np.concatenate([joined[:, :2].min(0), joined[:, 2:].max(0)])
            to_do.append(box)
            done = done[~overlapping]
        else:
            done = np.concatenate([done, box[None]])
    done = done[np.lexsort((done[:, 1], done[:, 0]))]
    return [np.s_[top:bottom, left:right] for top, left, bottom, right in done.tolist()]


def bounding_slices(hole: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns from the first that hold a hole pixel to the last; hole: bool (H, W), not empty."""
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    return np.s_[int(rows[0]) : int(rows[-1]) + 1, int(columns[0]) : int(columns[-1]) + 1]


def mark_cells(hole: np.ndarray, side_px: int) -> np.ndarray:
    """Which squares of a grid hold a hole pixel: bool (H, W) -> bool (rows, columns), those at the end cut off too."""
    for _ in range(2):  # rows joined as wholes, twice: many times faster than reductions within rows
        joined = hole[::side_px].copy()
        for offset in range(1, min(side_px, len(hole))):
            rows = hole[offset::side_px]
            joined[: len(rows)] |= rows
        hole = np.ascontiguousarray(joined.T)
    return hole
