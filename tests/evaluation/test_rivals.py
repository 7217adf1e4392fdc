"""The rivals: known pixels stay, and each continues what it is made for."""

import numpy as np
import pytest

from glcic_jax.errors import UserError
from glcic_jax.evaluation.rivals import RIVALS, biharmonic, mean_color, patchmatch
from tests.support.pictures import photograph

HOLE = np.s_[20:34, 24:44]


@pytest.fixture
def mask():
    mask = np.zeros((60, 70, 1), np.uint8)
    mask[HOLE] = 1
    return mask


@pytest.mark.parametrize("size", [(60, 70), (35, 131)])
@pytest.mark.parametrize("rival", RIVALS)
def test_known_pixels_and_what_the_hole_held_do_not_matter(rival, size):
    image, mask = photograph(0, *size), np.zeros((*size, 1), np.uint8)
    mask[HOLE] = 1
    before, mask_before = image.copy(), mask.copy()
    filled = RIVALS[rival](image, mask)
    assert filled.dtype == np.uint8 and filled.shape == image.shape
    np.testing.assert_array_equal(filled[mask[..., 0] == 0], image[mask[..., 0] == 0])
    np.testing.assert_array_equal(RIVALS[rival](np.where(mask > 0, 77, image).astype(np.uint8), mask), filled)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(mask, mask_before)


@pytest.mark.parametrize("rival", RIVALS)
def test_one_colour_goes_on(rival, mask):
    image = np.full((60, 70, 3), (10, 120, 230), np.uint8)
    filled = RIVALS[rival](np.where(mask > 0, 0, image).astype(np.uint8), mask)
    assert np.abs(filled.astype(int) - image).max() <= 3


def test_each_does_what_it_is_named_after(mask):
    """Mean: by NumPy. Biharmonic: exact on a plane. PatchMatch: goes on with a pattern, as no other does."""
    image = photograph(1, 60, 70)
    expected = image.reshape(-1, 3)[mask.reshape(-1) == 0].mean(axis=0)
    assert np.abs(mean_color(image, mask)[HOLE] - expected).max() <= 0.5
    rows, columns = np.mgrid[:60, :70]
    plane = np.stack([2 * rows + columns, 3 * columns, rows + columns], axis=-1).astype(np.uint8)
    assert np.abs(biharmonic(plane, mask).astype(int) - plane).max() <= 1
    stripes = np.where((columns // 4 % 2)[..., None] > 0, 220, 30).repeat(3, 2).astype(np.uint8)
    errors = {
        name: np.abs(rival(stripes, mask)[HOLE].astype(int) - stripes[HOLE]).mean() for name, rival in RIVALS.items()
    }
    assert 2 * errors.pop("patchmatch") - 10 < min(errors.values())


def test_without_the_library(monkeypatch, mask):
    monkeypatch.setitem(__import__("sys").modules, "patchmatch", None)
    with pytest.raises(UserError, match=r"needs PyPatchMatch; install it: pip install 'glcic-jax\[texture\]'"):
        patchmatch(photograph(0, 60, 70), mask)
