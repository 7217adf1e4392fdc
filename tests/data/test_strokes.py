"""Strokes and boxes: what is drawn, pixel by pixel and line by line."""

import itertools

import cv2
import numpy as np
import pytest

from glcic_jax.data.strokes import boxes, free_form, strokes

STROKE = {
    "count": (1, 1), "segments": (1, 1), "length_px": (20, 40), "width_px": (7, 15), "angle_deg": (48, 96),
    "zigzag": True,
}  # fmt: skip


@pytest.fixture
def lines(monkeypatch):
    """All lines that OpenCV is asked to draw: ((x, y), (x, y), thickness)."""
    asked, draw = [], cv2.line

    def line(canvas, begin, end, value, thickness):
        asked.append((begin, end, thickness))
        return draw(canvas, begin, end, value, thickness)

    monkeypatch.setattr(cv2, "line", line)
    return asked


def width_of(line: np.ndarray) -> float:
    """The shorter side of the tightest turned box around the pixels of a straight line, whose centres it joins."""
    return min(cv2.minAreaRect(cv2.findNonZero(line))[1]) + 1


@pytest.mark.parametrize("zigzag", [True, False])
@pytest.mark.parametrize("width_px", [(1, 1), (5, 5), (8, 8), (7, 15), (40, 60)])
def test_the_width_is_that_asked_for(width_px, zigzag):
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        canvas = strokes(rng, 200, (100, 100), **STROKE | {"width_px": width_px, "zigzag": zigzag})
        assert canvas.dtype == np.uint8 and canvas.shape == (200, 200) and canvas[100, 100] == 1
        found.append(width_of(canvas))
    # Edges of slanted lines are rounded to pixels, and even widths come out a pixel wider.
    assert width_px[0] - 1.5 <= min(found) and max(found) <= width_px[1] + 2.5
    assert max(found) - min(found) >= (width_px[1] - width_px[0]) * 0.8


def test_walks(lines):
    """Lines follow one another inside the canvas, with lengths, numbers, widths and angles in their ranges."""
    rng = np.random.default_rng(1)
    numbers = []
    for _ in range(200):
        lines.clear()
        canvas = strokes(rng, 400, (200, 200), **STROKE | {"segments": (2, 6)})
        assert lines[0][0] == (200, 200)
        for begin, end, thickness in lines:
            assert canvas[begin[::-1]] == canvas[end[::-1]] == 1
            assert 6 <= thickness <= 15
            assert 19 <= np.hypot(end[0] - begin[0], end[1] - begin[1]) <= 41
        assert all(a[1] == b[0] for a, b in itertools.pairwise(lines))
        assert len({thickness for *_, thickness in lines}) == 1, "a zigzag keeps one width"
        assert cv2.connectedComponents(canvas)[0] == 2  # the ground and one stroke
        numbers.append(len(lines))
        ways = [np.degrees(np.arctan2(e[1] - b[1], e[0] - b[0])) for b, e, _ in lines]
        turns = [(b - a + 180) % 360 - 180 for a, b in itertools.pairwise(ways)]
        for turn in turns:  # from one side of the heading to the other: 2 x 48 to 2 x 96 degrees, within a pixel
            assert min(abs(turn), 360 - abs(turn)) >= 90
    assert set(numbers) == {2, 3, 4, 5, 6}


def test_without_zigzag_lines_differ_in_width_and_stay_on_one_side(lines):
    rng = np.random.default_rng(2)
    parameters = STROKE | {"segments": (5, 5), "zigzag": False, "angle_deg": (1, 172), "length_px": (10, 20)}
    several = 0
    for _ in range(100):
        lines.clear()
        strokes(rng, 400, (200, 200), **parameters)
        several += len({thickness for *_, thickness in lines}) > 1
        ways = np.sort(np.degrees([np.arctan2(e[1] - b[1], e[0] - b[0]) for b, e, _ in lines]) % 360)
        gaps = np.diff(np.append(ways, ways[0] + 360))
        assert gaps.max() >= 180  # all directions lie within one half of the circle
    assert several > 90


def test_points_stay_on_the_canvas_and_strokes_begin_anywhere(lines):
    rng = np.random.default_rng(3)
    parameters = STROKE | {"count": (2, 5), "segments": (1, 8), "length_px": (1, 200)}
    begins, numbers = [], []
    for _ in range(300):
        lines.clear()
        strokes(rng, 64, None, **parameters)
        points = np.array([line[:2] for line in lines])
        assert points.min() >= 0 and points.max() <= 63
        begins.append(lines[0][0])
        numbers.append(1 + sum(a[1] != b[0] for a, b in itertools.pairwise(lines)))
    assert np.min(begins) == 0 and np.max(begins) == 63
    assert set(numbers) <= {1, 2, 3, 4, 5} and {2, 5} <= set(numbers)  # two may meet by chance


def test_boxes():
    rng = np.random.default_rng(4)
    sides, origins = [], []
    for _ in range(500):
        canvas = boxes(rng, 60, (30, 30), count=(1, 1), side_px=(5, 20))
        assert canvas.dtype == np.uint8 and canvas[30, 30] == 1
        rows, columns = (np.flatnonzero(canvas.any(axis=axis)) for axis in (1, 0))
        assert canvas.sum() == len(rows) * len(columns)
        sides += [len(rows), len(columns)]
        anywhere = boxes(rng, 60, None, count=(1, 1), side_px=(5, 20))
        origins.append(np.argwhere(anywhere)[0])
    assert {min(sides), max(sides)} == {5, 20}
    assert np.min(origins) == 0 and np.max(origins) >= 50
    assert boxes(rng, 60, (30, 30), count=(2, 2), side_px=(99, 99)).all()  # cut to the canvas


def test_how_often_boxes_are_drawn(lines):
    rng = np.random.default_rng(5)
    drawn = 0
    for _ in range(1_000):
        lines.clear()
        canvas = free_form(rng, 100, None, **STROKE, box_share=0.3, box_count=(1, 2), box_px=(5, 20))
        assert canvas.any()
        drawn += not lines
    assert 250 < drawn < 350
