"""KID over EfficientNet-Lite0: its formula against torchmetrics' and a sum by hand, its crops, its sense of blur."""

from typing import cast

import cv2
import numpy as np
import pytest

from glcic_jax.evaluation.benchmark import Benchmark, BenchmarkManifest, Case
from glcic_jax.evaluation.perceptual import Perceptual
from glcic_jax.evaluation.realism import EfficientNetFeatures, crop_around_hole, kernel_distance, kid
from glcic_jax.evaluation.scoring import Results
from tests.support.pictures import photograph


def test_kernel_distance_is_the_sum_over_pairs():
    rng = np.random.default_rng(0)
    one, other = rng.normal(0, 1, (7, 5)), rng.normal(0.5, 1, (6, 5))

    def mean_kernel(a, b, skip: bool) -> float:
        values = [
            (x @ y / 5 + 1) ** 3 for i, x in enumerate(a) for j, y in enumerate(b) if not (skip and i == j)
        ]  # fmt: skip
        return float(np.mean(values))

    expected = mean_kernel(one, one, True) + mean_kernel(other, other, True) - 2 * mean_kernel(one, other, False)
    assert kernel_distance(one, other) == pytest.approx(expected, rel=1e-12)


def test_the_same_distribution_is_near_zero_and_another_is_not():
    rng = np.random.default_rng(1)
    one, same, other = rng.normal(0, 1, (200, 16)), rng.normal(0, 1, (200, 16)), rng.normal(0.7, 1, (200, 16))
    near, far = kid(one, same), kid(one, other)
    assert abs(near["mean"]) < 3 * near["spread"] + 1e-9
    assert far["mean"] > 10 * abs(near["mean"])


@pytest.mark.parametrize(("top", "left", "height", "width"), [(0, 0, 20, 30), (70, 60, 10, 36), (30, 40, 5, 5)])
def test_the_crop_holds_the_hole(top, left, height, width):
    mask = np.zeros((80, 96, 1), np.uint8)
    mask[top : top + height, left : left + width] = 1
    crop = crop_around_hole(mask, mask)
    assert crop.shape[0] == crop.shape[1] == max(height, width, 16)
    assert crop.sum() == mask.sum()


@pytest.mark.slow
def test_blurred_photographs_are_further_away_than_noise_of_one_level():
    pytest.importorskip("efficientnet_lite_pytorch", reason="the extra `eval` is not installed")
    features = EfficientNetFeatures()
    images = [photograph(seed, 128, 128) for seed in range(24)]
    rng = np.random.default_rng(0)
    texture = [np.clip(i + rng.normal(0, 25, i.shape), 0, 255).astype(np.uint8) for i in images]
    real = features(texture[:12])
    assert real.shape == (12, 1280)
    near = kernel_distance(real, features(texture[12:]))
    far = kernel_distance(real, features([cv2.GaussianBlur(i, (0, 0), 4) for i in texture[12:]]))
    assert far > 2 * abs(near)


@pytest.mark.slow
def test_evaluate_tells_that_flat_holes_do_not_look_real(tmp_path):
    pytest.importorskip("efficientnet_lite_pytorch", reason="the extra `eval` is not installed")
    rng = np.random.default_rng(0)
    cases = []
    for seed in range(8):
        image = np.clip(photograph(seed, 64, 64) + rng.normal(0, 25, (64, 64, 3)), 0, 255).astype(np.uint8)
        mask = np.zeros((64, 64, 1), np.uint8)
        mask[20:44, 20:44] = 1
        cases.append(Case(f"{seed}", "rect", float(mask.mean()), image, mask))
    benchmark = Benchmark(tmp_path, cast(BenchmarkManifest, None), cases)  # which no metric reads
    perceptual = Perceptual(["efficientnet_kid_crops", "efficientnet_kid"])
    truth = perceptual(benchmark, Results("truth", [case.image for case in cases], []))
    flat = perceptual(
        benchmark, Results("flat", [np.where(case.mask > 0, 128, case.image).astype(np.uint8) for case in cases], [])
    )
    assert list(flat) == list(perceptual.describe_basis(8)) == ["efficientnet_kid_crops", "efficientnet_kid"]
    assert all(flat[name]["mean"] > truth[name]["mean"] + 10 for name in flat)
    assert flat["efficientnet_kid_crops"]["mean"] > flat["efficientnet_kid"]["mean"]
