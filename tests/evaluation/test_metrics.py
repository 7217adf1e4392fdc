"""Metrics against a brute-force version that walks over the hole's pixels."""

import math

import numpy as np
import pytest

from glcic_jax.evaluation.metrics import hole_l1, hole_psnr


def test_against_a_walk_over_the_hole():
    rng = np.random.default_rng(0)
    output, image = rng.random((2, 3, 5, 7, 3))
    mask = rng.integers(0, 2, (3, 5, 7, 1)).astype(np.uint8)
    l1, psnr = hole_l1(output, image, mask), hole_psnr(output, image, mask)
    for n in range(3):
        errors = [
            float(output[n, y, x, c] - image[n, y, x, c])
            for y in range(5) for x in range(7) for c in range(3) if mask[n, y, x, 0]
        ]  # fmt: skip
        assert l1[n] == pytest.approx(sum(map(abs, errors)) / len(errors), rel=1e-12)
        mse = sum(e * e for e in errors) / len(errors)
        assert psnr[n] == pytest.approx(10 * math.log10(1 / mse), rel=1e-12)


def test_a_perfect_completion():
    image = np.random.default_rng(0).random((1, 4, 4, 3))
    mask = np.ones((1, 4, 4, 1))
    assert hole_l1(image, image, mask) == 0 and hole_psnr(image, image, mask) == np.inf
