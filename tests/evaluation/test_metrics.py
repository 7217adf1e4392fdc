"""Metrics against brute force, NumPy and scikit-image; intervals against simulated data whose truth is known."""

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio

from glcic_jax.evaluation.intervals import bootstrap_mean
from glcic_jax.evaluation.metrics import hole_l1, hole_l2, hole_psnr, hole_ssim, rim_l1


def test_against_a_walk_over_the_hole():
    rng = np.random.default_rng(0)
    output, image = rng.random((2, 3, 5, 7, 3))
    mask = rng.integers(0, 2, (3, 5, 7, 1)).astype(np.uint8)
    l1, l2, psnr = (metric(output, image, mask) for metric in (hole_l1, hole_l2, hole_psnr))
    for n in range(3):
        errors = [
            float(output[n, y, x, c] - image[n, y, x, c])
            for y in range(5) for x in range(7) for c in range(3) if mask[n, y, x, 0]
        ]  # fmt: skip
        assert l1[n] == pytest.approx(sum(map(abs, errors)) / len(errors), rel=1e-12)
        mse = sum(e * e for e in errors) / len(errors)
        assert l2[n] == pytest.approx(mse, rel=1e-12)
        assert psnr[n] == pytest.approx(10 * math.log10(1 / mse), rel=1e-12)


def test_against_scikit_image():
    """A hole cut out as an image of its own has scikit-image's MSE and PSNR."""
    rng = np.random.default_rng(1)
    image, output = rng.random((2, 20, 30, 3))
    mask = np.zeros((20, 30, 1))
    mask[4:15, 6:28] = 1
    cut = np.s_[4:15, 6:28]
    batch = output[None], image[None], mask[None]
    assert hole_l2(*batch)[0] == pytest.approx(mean_squared_error(image[cut], output[cut]), abs=1e-6)
    psnr = peak_signal_noise_ratio(image[cut], output[cut], data_range=1)
    assert hole_psnr(*batch)[0] == pytest.approx(psnr, abs=1e-6)


def test_ssim_against_its_formula():
    """Wang et al.'s equation 13 with a Gaussian window cut at 11 px, by SciPy, averaged over the hole."""
    rng = np.random.default_rng(2)
    image = gaussian_filter(rng.random((24, 28, 3)), (2, 2, 0))
    mask = np.zeros((24, 28, 1))
    mask[5:17, 8:21] = 1
    output = np.where(mask > 0, image + 0.1 * rng.normal(size=image.shape), image)
    expected = []
    for c in range(3):
        x, y = image[..., c], output[..., c]

        def blur(values):
            return gaussian_filter(values, 1.5, truncate=3.5)

        mx, my = blur(x), blur(y)
        vx, vy, vxy = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
        c1, c2 = 0.01**2, 0.03**2
        expected.append((2 * mx * my + c1) * (2 * vxy + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2)))
    expected = np.stack(expected, axis=-1)[mask[..., 0] > 0].mean()
    assert hole_ssim(output[None], image[None], mask[None])[0] == pytest.approx(expected, abs=1e-6)


def test_the_rim_against_a_walk_over_neighbours():
    """Holes that touch the border, hold islands and lie beside each other; no image sees another's hole."""
    rng = np.random.default_rng(5)
    output, image = rng.random((2, 4, 7, 9, 3))
    mask = (rng.random((4, 7, 9, 1)) < 0.7).astype(np.uint8)
    mask[3] = 0
    mask[3, :4, 2:8] = 1
    found = rim_l1(output, image, mask)
    for n in range(4):
        errors = []
        for y in range(7):
            for x in range(9):
                beside = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
                known = [0 <= v < 7 and 0 <= u < 9 and not mask[n, v, u, 0] for v, u in beside]
                if mask[n, y, x, 0] and any(known):
                    errors += np.abs(output[n, y, x] - image[n, y, x]).tolist()
        assert found[n] == pytest.approx(sum(errors) / len(errors), rel=1e-12)


def test_a_perfect_completion():
    image = np.random.default_rng(0).random((1, 12, 12, 3))
    mask = np.ones((1, 12, 12, 1))
    assert hole_l1(image, image, mask) == 0 and hole_psnr(image, image, mask) == np.inf
    assert hole_ssim(image, image, mask)[0] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("draw", ["normal", "skewed"])
def test_intervals_hold_on_simulated_data(draw):
    """Of 400 simulated benchmarks of 60 cases about 95 % have the true mean inside their interval."""
    rng = np.random.default_rng(3)
    held = 0
    for number in range(400):
        values = rng.normal(2, 3, 60) if draw == "normal" else rng.gamma(2, 1, 60)
        found = bootstrap_mean(values, seed=number)
        assert found.low < found.mean < found.high and found.mean == pytest.approx(values.mean())
        held += found.low <= 2 <= found.high
    assert 0.91 <= held / 400 <= 0.98


def test_intervals_are_as_wide_as_theory_says():
    values = np.random.default_rng(4).normal(0, 1, 1000)
    found = bootstrap_mean(values)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * values.std() / 1000**0.5, rel=0.1)
    assert found == bootstrap_mean(values)
    assert bootstrap_mean(np.array([3.0])) == (3, 3, 3)
