"""Windows: where the network looks, and how holes are shared out."""

import itertools

import numpy as np
import pytest

from glcic_jax.inference.groups import mark_cells
from glcic_jax.inference.windows import CORES_PX, plan_windows
from glcic_jax.models.completion import MARGIN_PX, dependencies, multiplications
from tests.support.completion_reference import TABLE
from tests.support.pictures import random_mask


def test_the_receptive_field_is_measured_not_typed_in():
    """One pixel of noise moves through the layers' supports: which outputs it reaches, from an independent walk."""
    assert dependencies(0, 4)[0] == (-MARGIN_PX[0], 4 + MARGIN_PX[1])
    size = 400
    reached = {}
    for pixel in (200 - MARGIN_PX[0] - 1, 200 - MARGIN_PX[0], 203 + MARGIN_PX[1], 203 + MARGIN_PX[1] + 1):
        signal = np.zeros(size)
        signal[pixel] = 1
        for _, kernel, stride, dilation in [*TABLE, (3, 3, 1, 1)]:
            if stride == 0.5:
                longer = np.zeros(2 * len(signal) + 2)
                for tap in range(4):
                    longer[tap : tap + 2 * len(signal) : 2] += signal
                signal = longer[1:-1] > 0
            else:
                taps = np.zeros(dilation * (kernel - 1) + 1)
                taps[::dilation] = 1
                signal = np.convolve(signal, taps, "same")[:: int(stride)] > 0
        reached[pixel] = signal[200:204].any()
    assert list(reached.values()) == [False, True, True, False]


def test_multiplications_are_those_of_the_layers():
    """A large core costs what the whole image costs: 0.4953 million a pixel (table 1)."""
    side = 40_000
    assert multiplications(side, side) / side**2 == pytest.approx(495_300, rel=0.02)
    assert multiplications(72, 72) < multiplications(136, 136) < multiplications(136, 464)


def check(hole):
    """Every hole pixel lies in a box, every box in its core and in the photograph."""
    windows = plan_windows(hole)
    left = hole.copy()
    for window in windows:
        (h, w), core = window.box_px, window.core_px
        assert window.y % 4 == window.x % 4 == 0 and core in CORES_PX
        assert 0 < h <= core[0] and 0 < w <= core[1]
        assert window.y + h <= hole.shape[0] and window.x + w <= hole.shape[1]
        left[window.y : window.y + h, window.x : window.x + w] = False
    assert not left.any()
    return windows


def test_random_holes_are_covered():
    rng = np.random.default_rng(1)
    for _ in range(200):
        height, width = rng.integers(16, 1500, 2)
        check(random_mask(rng, height, width)[..., 0] > 0)


def test_near_holes_share_a_window_and_far_ones_do_not():
    hole = np.zeros((2000, 2000), bool)
    hole[100:140, 100:140] = hole[100:140, 170:200] = True
    assert len(check(hole)) == 1
    hole[1500:1540, 1500:1540] = True
    assert [window.core_px for window in check(hole)] == [(136, 136), (72, 72)]


def test_a_wire_is_cut_into_strips():
    hole = np.zeros((1000, 3000), bool)
    hole[500:510] = True
    assert {window.core_px for window in check(hole)} == {(136, 464)}
    assert {window.core_px for window in check(hole.T)} == {(464, 136)}
    diagonal = np.eye(3000, dtype=bool)
    assert sum(multiplications(*w.core_px) for w in check(diagonal)) < multiplications(3000, 3000) / 4


def test_a_wide_hole_is_cut_into_tiles():
    hole = np.zeros((1400, 1400), bool)
    hole[100:1300, 100:1300] = True
    windows = check(hole)
    assert len(windows) == 9
    assert len(check(np.ones((1400, 1400), bool))) == 16


def test_thousands_of_specks():
    hole = np.zeros((4000, 6000), bool)
    rng = np.random.default_rng(2)
    hole[rng.integers(0, 4000, 9000), rng.integers(0, 6000, 9000)] = True
    assert sum(multiplications(*w.core_px) for w in check(hole)) < 2 * multiplications(4000, 6000)


def test_a_box_is_never_dearer_than_two():
    """Merging is greedy, but it does not leave two boxes that would cost less as one."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        windows = check(random_mask(rng, 900, 900)[..., 0] > 0)
        for a, b in itertools.combinations(windows, 2):
            top, left = min(a.y, b.y), min(a.x, b.x)
            h = max(a.y + a.box_px[0], b.y + b.box_px[0]) - top
            w = max(a.x + a.box_px[1], b.x + b.box_px[1]) - left
            joint = [multiplications(*core) for core in CORES_PX if core[0] >= h + 4 and core[1] >= w + 4]
            apart = multiplications(*a.core_px) + multiplications(*b.core_px)
            assert min(joint, default=np.inf) >= apart


def test_cells_against_a_walk():
    rng = np.random.default_rng(4)
    for _ in range(50):
        hole = rng.random(rng.integers(1, 40, 2)) < 0.05
        for side in (1, 4, 16):
            expected = np.zeros([-(-length // side) for length in hole.shape], bool)
            for y, x in zip(*np.nonzero(hole), strict=True):
                expected[y // side, x // side] = True
            np.testing.assert_array_equal(mark_cells(hole, side), expected)
