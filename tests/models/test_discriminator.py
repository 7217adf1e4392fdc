"""The discriminator's depths and windows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glcic_jax.models.discriminator import ContextDiscriminator, crop_windows, default_depth


@pytest.mark.parametrize(("size", "depth"), [(256, 6), (128, 5), (64, 4), (160, 5), (96, 4), (32, 3), (4, 1)])
def test_default_depth(size, depth):
    assert default_depth(size) == depth


def test_depths_and_bias_options():
    network = ContextDiscriminator(width_multiplier=0.03125, global_depth=2, local_depth=1, use_bias=False)
    image, window = jnp.zeros((2, 16, 16, 3)), jnp.zeros((2, 8, 8, 3))
    logit, variables = network.init_with_output(jax.random.key(0), image, window)
    convolutions = {name for name in variables["params"] if "conv" in name}
    assert convolutions == {"global_conv1", "global_conv2", "local_conv1"}
    assert all("bias" not in variables["params"][name] for name in convolutions)
    assert logit.shape == (2,) and logit.dtype == jnp.float32


def test_windows_are_numpy_slices():
    rng = np.random.default_rng(0)
    images = rng.random((5, 20, 24, 3)).astype(np.float32)
    origins = rng.integers(0, 13, (5, 2)).astype(np.int32)
    found = jax.jit(crop_windows, static_argnums=2)(images, origins, 8)
    for image, (y, x), window in zip(images, origins, found, strict=True):
        np.testing.assert_array_equal(window, image[y : y + 8, x : x + 8])
