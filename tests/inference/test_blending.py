"""Poisson blending against a dense solution, on every awkward mask."""

import cv2
import numpy as np
import pytest

from glcic_jax.inference import blending
from glcic_jax.inference.blending import blend_hole, poisson

H, W = 11, 13
RNG = np.random.default_rng(0)


def masks() -> dict[str, np.ndarray]:
    found = {}
    for name, boxes in {
        "middle": [(3, 3, 5, 6)],
        "one pixel": [(5, 5, 1, 1)],
        "corner": [(0, 0, 4, 5)],
        "border": [(0, 4, 11, 3)],
        "two": [(1, 1, 4, 4), (6, 7, 4, 5)],
        "touching by a corner": [(1, 1, 4, 4), (5, 5, 4, 4)],
        "frame": [(0, 0, 2, 13), (9, 0, 2, 13), (0, 0, 11, 2), (0, 11, 11, 2)],
        "all but one pixel": [(0, 0, 11, 6), (0, 7, 11, 6), (0, 6, 5, 1), (6, 6, 5, 1)],
    }.items():
        mask = np.zeros((H, W), bool)
        for y, x, h, w in boxes:
            mask[y : y + h, x : x + w] = True
        found[name] = mask
    found["specks"] = RNG.random((H, W)) < 0.5
    return found


MASKS = masks()


def dense(guide, boundary, unknown):
    """Least squares over all pairs of neighbours with an unknown one: their difference is to be the guide's."""
    number = {place: index for index, place in enumerate(zip(*np.nonzero(unknown), strict=True))}
    rows, values = [], []
    for y, x in np.ndindex(H, W):
        for a, b in (((y, x), (y, x + 1)), ((y, x), (y + 1, x))):
            if b[0] >= H or b[1] >= W or not (unknown[a] or unknown[b]):
                continue
            row, value = np.zeros(len(number)), guide[a] - guide[b]
            for place, sign in ((a, 1), (b, -1)):
                if unknown[place]:
                    row[number[place]] = sign
                else:
                    value = value - sign * boundary[place]
            rows.append(row)
            values.append(value)
    solved = boundary.copy()
    solved[unknown] = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0]
    return solved


@pytest.mark.parametrize("name", MASKS)
def test_poisson_is_the_least_squares_solution(name):
    guide, boundary = RNG.random((2, H, W, 3))
    found = poisson(guide, boundary, MASKS[name])
    np.testing.assert_allclose(found, dense(guide, boundary, MASKS[name]), atol=1e-6)


@pytest.mark.parametrize("name", MASKS)
def test_blending_touches_only_the_hole_and_meets_its_surroundings(name):
    hole = MASKS[name]
    image = np.full((H, W, 3), 0.3, np.float32)
    painted = np.where(hole[..., None], np.float32(0.8), image)
    found = blend_hole(image, painted, hole)
    np.testing.assert_array_equal(found[~hole], image[~hole])
    # What was painted is flat, only too bright: blended, it has the surroundings' colour (Telea's rounds down).
    np.testing.assert_allclose(found, 0.3, atol=2.5 / 255)


def test_a_whole_image_stays_as_painted():
    image, painted = RNG.random((2, H, W, 3)).astype(np.float32)
    np.testing.assert_array_equal(blend_hole(image, painted, np.ones((H, W), bool)), painted)


def test_detail_stays():
    """The differences between pixels of the hole are those that were painted."""
    image = np.full((40, 40, 3), 0.3, np.float32)
    hole = np.zeros((40, 40), bool)
    hole[10:30, 10:30] = True
    pattern = (np.indices((40, 40)).sum(0) % 2)[..., None] * np.float32(0.2)
    found = blend_hole(image, np.where(hole[..., None], 0.5 + pattern, image).astype(np.float32), hole)
    inner = np.diff(found[15:25, 15:25], axis=0)
    np.testing.assert_allclose(np.abs(inner), 0.2, atol=0.02)


def test_large_holes_from_half_the_scale(monkeypatch):
    """Iterated from a coarse start, as holes too large to factorise are: within a quarter of a level."""
    rng = np.random.default_rng(1)
    guide, boundary = (cv2.GaussianBlur(rng.random((131, 140, 3)), (0, 0), 6) for _ in range(2))
    unknown = np.zeros((131, 140), bool)
    unknown[10:121, 8:128] = unknown[100:, 60:90] = True
    exact = poisson(guide, boundary, unknown)
    monkeypatch.setattr(blending, "_DIRECT", 2000)
    assert np.abs(poisson(guide, boundary, unknown) - exact).max() < 0.25 / 255


@pytest.mark.parametrize("name", MASKS)
def test_what_the_hole_hid_does_not_matter(name):
    """Not by a rounding error, near the image's border neither."""
    hole = MASKS[name]
    image, painted = RNG.random((2, H, W, 3)).astype(np.float32)
    painted = np.where(hole[..., None], painted, image)
    other = np.where(hole[..., None], RNG.random((H, W, 3), np.float32), image)
    np.testing.assert_array_equal(blend_hole(image, painted, hole), blend_hole(other, painted, hole))


def test_the_rim_has_more_than_8_bits():
    """A slope of a hundredth of a level a pixel goes on as one, where 8 bits would make steps of it."""
    x = np.arange(60) / 60
    image = np.broadcast_to((0.5 + x * 0.6 / 255)[None, :, None], (60, 60, 3)).astype(np.float32)
    hole = np.zeros((60, 60), bool)
    hole[20:40, 20:40] = True
    found = blend_hole(image, np.where(hole[..., None], np.float32(0.2), image), hole)
    assert np.abs(found - image)[hole].max() < 0.2 / 255
