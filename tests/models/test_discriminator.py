"""The discriminator's depths and windows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glcic_jax.models.discriminator import ContextDiscriminator, crop_windows, default_depth
from glcic_jax.models.layers import Conv


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


def test_patches_of_both_branches():
    network = ContextDiscriminator(width_multiplier=0.03125, patch_logits=True, mask_channel=True, normalization="none")
    image, window = jnp.zeros((2, 64, 64, 4)), jnp.zeros((2, 32, 32, 4))
    logits, variables = jax.eval_shape(network.init_with_output, jax.random.key(0), image, window)
    assert logits.shape == (2, 4 * 4 + 4 * 4)  # depths 4 and 3 leave maps of 4 px
    assert variables.keys() == {"params"} and not any("norm" in name for name in variables["params"])
    assert "head" not in variables["params"] and "global_dense" not in variables["params"]


def test_spectral_normalisation_finds_the_largest_singular_value(float64):
    """Beside NumPy's decomposition, once the power iteration has run for a while; at rest nothing moves."""
    layer = Conv(6, 3, spectral=True, use_bias=False)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 5, 5, 4)))
    variables = layer.init(jax.random.key(1), x)
    move = jax.jit(lambda v: layer.apply(v, x, True, mutable=["batch_stats"])[1])
    for _ in range(200):
        variables = {**variables, **move(variables)}
    largest = np.linalg.svd(np.asarray(variables["params"]["kernel"]).reshape(-1, 6), compute_uv=False)[0]
    plain = Conv(6, 3, use_bias=False).apply({"params": variables["params"]}, x)
    y, moved = layer.apply(variables, x, mutable=["batch_stats"])
    np.testing.assert_allclose(y, plain / largest, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(moved["batch_stats"]["u"], variables["batch_stats"]["u"])


def test_bad_fields():
    with pytest.raises(ValueError, match="normalization is 'batch_after_activation'; it must be one of batch, none"):
        ContextDiscriminator(normalization="batch_after_activation")
