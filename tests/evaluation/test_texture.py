"""Texture inside holes, on pictures whose texture is known."""

import numpy as np
import pytest

from glcic_jax.evaluation.texture import GRID_PX, detail_energy, grid_share

SIDE = 64
KEPT = 1 - 2 / 16 + (14 / 64) ** 2  # of white noise, once its mean over (1, 2, 2, 2, 1) / 8 in both directions is gone


def holes(count: int) -> np.ndarray:
    mask = np.zeros((count, SIDE, SIDE, 1), np.uint8)
    mask[:, 10:51, 7:48] = 1
    return mask


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_grid_share_finds_how_much_of_the_detail_repeats(share):
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.05, (8, SIDE, SIDE, 1))
    pattern = rng.normal(0, 1, (8, GRID_PX, GRID_PX, 1))
    pattern -= pattern.mean(axis=(1, 2), keepdims=True)
    grid = np.tile(pattern, (1, SIDE // GRID_PX, SIDE // GRID_PX, 1))
    grid *= 0.05 * np.sqrt(KEPT) / grid.std(axis=(1, 2), keepdims=True)
    image = 0.5 + np.sqrt(1 - share) * noise + np.sqrt(share) * grid
    found = grid_share(image.repeat(3, axis=-1), holes(8))
    assert abs(found.mean() - share) < 0.03


def test_smooth_pictures_and_small_holes_have_no_grid():
    ramp = np.broadcast_to(np.linspace(0, 1, SIDE)[None, :, None, None], (1, SIDE, SIDE, 3))
    assert grid_share(ramp, holes(1))[0] < 1e-6
    small = np.zeros((1, SIDE, SIDE, 1), np.uint8)
    small[:, 3:9, 3:9] = 1
    assert grid_share(np.random.default_rng(0).random((1, SIDE, SIDE, 3)), small)[0] == 0


def test_detail_energy_is_that_of_white_noise_less_its_mean():
    noise = np.random.default_rng(1).normal(0, 0.1, (16, SIDE, SIDE, 1))
    luma, chroma = detail_energy(0.5 + noise.repeat(3, axis=-1), holes(16))
    assert luma.mean() == pytest.approx(0.01 * KEPT, rel=0.02)
    assert chroma.max() < 1e-12  # grey
    outside = 0.5 + noise.repeat(3, axis=-1) * (1 - holes(16))
    assert detail_energy(outside, holes(16))[0].max() < 1e-12
