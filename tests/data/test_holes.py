"""Holes and windows: properties over many draws."""

import numpy as np
import pytest

from glcic_jax.data.holes import centred_window, mask_of, random_window, rectangle


@pytest.mark.parametrize(("size", "hole", "window"), [(256, (96, 128), 128), (64, (24, 32), 32), (32, (32, 32), 32)])
def test_properties(size, hole, window):
    rng = np.random.default_rng(0)
    sides, tops = [], []
    for _ in range(2_000):
        y, x, h, w = rectangle(rng, size, hole)
        assert hole[0] <= h <= hole[1] and hole[0] <= w <= hole[1]
        assert 0 <= y <= size - h and 0 <= x <= size - w
        mask = mask_of((y, x, h, w), size)
        assert mask.dtype == np.uint8 and mask.shape == (size, size, 1) and mask.sum() == h * w
        top, left = centred_window((y, x, h, w), size, window)
        assert 0 <= top <= size - window and 0 <= left <= size - window
        assert top <= y and y + h <= top + window  # the hole fits, so the window holds all of it
        assert left <= x and x + w <= left + window
        if 0 < top < size - window:
            assert abs((top + window / 2) - (y + h / 2)) <= 1
        real = random_window(rng, size, window)
        assert real.dtype == np.int32 and (real >= 0).all() and (real <= size - window).all()
        sides += [h, w]
        tops.append(y)
    assert {min(sides), max(sides)} == set(hole)  # both ends are drawn
    assert min(tops) == 0 and max(tops) >= size - hole[1]
