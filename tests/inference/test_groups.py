"""Holes that lie apart are found apart."""

import numpy as np

from glcic_jax.inference.groups import expand, group_holes, merge_boxes


def test_every_hole_pixel_lies_in_one_box_with_its_margin():
    rng = np.random.default_rng(0)
    for _ in range(200):
        hole = np.zeros(rng.integers(16, 300, 2), bool)
        for _ in range(rng.integers(1, 12)):
            y, x = (int(rng.integers(0, side)) for side in hole.shape)
            hole[y : y + rng.integers(1, 40), x : x + rng.integers(1, 40)] = True
        covered = np.zeros(hole.shape, int)
        for rows, columns in group_holes(hole, 5):
            covered[rows, columns] += 1
            box = hole[rows, columns]
            for edge, at_border in (
                (box[:5], rows.start == 0), (box[-5:], rows.stop == hole.shape[0]),
                (box[:, :5], columns.start == 0), (box[:, -5:], columns.stop == hole.shape[1]),
            ):  # fmt: skip
                assert at_border or not edge.any()
        assert covered.max() == 1 and (covered[hole] == 1).all()


def test_far_holes_apart_and_near_ones_together():
    hole = np.zeros((4000, 6000), bool)
    hole[10:50, 10:50] = hole[-50:-10, -50:-10] = hole[20:30, 55:60] = True
    assert group_holes(hole, 5) == [np.s_[5:55, 5:65], np.s_[3945:3995, 5945:5995]]


def test_boxes():
    assert expand(np.s_[2:5, 90:95], 10, (40, 100)) == np.s_[0:15, 80:100]
    chain = [np.s_[0:10, 0:10], np.s_[8:20, 0:10], np.s_[15:30, 5:30], np.s_[40:50, 0:5], np.s_[30:40, 0:5]]
    assert merge_boxes(chain) == [np.s_[0:30, 0:30], np.s_[30:40, 0:5], np.s_[40:50, 0:5]]
