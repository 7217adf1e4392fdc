"""Completing photographs of any size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glcic_jax.errors import UserError
from glcic_jax.inference.completer import complete
from glcic_jax.models.completion import CompletionNetwork
from tests.conftest import photograph

NETWORK = CompletionNetwork(width_multiplier=0.03125)


@pytest.fixture(scope="module")
def variables():
    image = jnp.zeros((1, 16, 16, 3))
    return NETWORK.init(jax.random.key(0), image, image[..., :1])


@pytest.mark.parametrize(("height", "width"), [(16, 24), (17, 22), (2, 1), (5, 3)])
def test_known_pixels_keep_every_bit(variables, height, width):
    image = photograph(0, height, width)
    mask = np.zeros((height, width, 1), np.uint8)
    mask[height // 2 :, width // 2 :] = 1
    found = complete(NETWORK, variables, image, mask)
    assert found.dtype == np.uint8 and found.shape == image.shape
    known = np.broadcast_to(mask == 0, image.shape)
    np.testing.assert_array_equal(found[known], image[known])


def test_multiples_of_four_are_the_network_itself(variables):
    image, mask = photograph(1, 16, 24), np.zeros((16, 24, 1), np.uint8)
    mask[4:9, 3:20] = 1
    output = np.asarray(NETWORK.apply(variables, image / np.float32(255), mask))
    expected = np.where(mask > 0, np.round(output * 255), image)
    np.testing.assert_array_equal(complete(NETWORK, variables, image, mask), expected)


def test_other_sizes_are_the_reflected_whole(variables):
    image, mask = photograph(2, 18, 21), np.zeros((18, 21, 1), np.uint8)
    mask[10:, 15:] = 1
    rows, columns = [*range(18), 17, 16], [*range(21), 20, 19, 18]
    whole = complete(NETWORK, variables, image[rows][:, columns], mask[rows][:, columns])
    np.testing.assert_array_equal(complete(NETWORK, variables, image, mask), whole[:18, :21])


def test_bad_masks(variables):
    image = photograph(3, 16, 24)
    with pytest.raises(UserError, match="image is 24 x 16 px and the mask 16 x 24 px"):
        complete(NETWORK, variables, image, np.ones((24, 16, 1), np.uint8))
    with pytest.raises(UserError, match="covers the whole image"):
        complete(NETWORK, variables, image, np.ones((16, 24, 1), np.uint8))
    with pytest.raises(UserError, match="mask is empty"):
        complete(NETWORK, variables, image, np.zeros((16, 24, 1), np.uint8))
