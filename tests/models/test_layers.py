"""Layers against plain NumPy and against XLA's own dilated form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glcic_jax.models.layers import Conv, TransposedConv


def scattered(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """4x4 transposed convolution with stride 2, by its definition: every input pixel adds a scaled kernel."""
    n, h, w, _ = x.shape
    full = np.zeros((n, 2 * h + 2, 2 * w + 2, kernel.shape[-1]))
    for i in range(h):
        for j in range(w):
            full[:, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += np.einsum("nc,hwco->nhwo", x[:, i, j], kernel)
    return full[:, 1:-1, 1:-1]


@pytest.mark.parametrize("shape", [(2, 5, 7, 3), (1, 1, 1, 2)])
def test_transposed_convolution(float64, shape):
    rng = np.random.default_rng(0)
    x, kernel, bias = rng.normal(size=shape), rng.normal(size=(4, 4, shape[-1], 6)), rng.normal(size=6)
    layer = TransposedConv(6)
    variables = {"params": {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)}}
    y = jax.jit(layer.apply)(variables, x)
    np.testing.assert_allclose(y, scattered(x, kernel) + bias, rtol=1e-12, atol=1e-12)


def test_gradients_of_the_transposed_convolution(float64):
    rng = np.random.default_rng(1)
    x, kernel = rng.normal(size=(2, 4, 3, 3)), rng.normal(size=(4, 4, 3, 5))
    cotangent = rng.normal(size=(2, 8, 6, 5))
    layer = TransposedConv(5, use_bias=False)

    def plain(kernel, x):  # XLA's own form: a convolution over inserted zeros with the flipped kernel
        return jax.lax.conv_general_dilated(
            x, kernel[::-1, ::-1], (1, 1), ((2, 2), (2, 2)), lhs_dilation=(2, 2),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip

    def ours(kernel, x):
        return layer.apply({"params": {"kernel": kernel}}, x)

    for found, expected in zip(
        jax.vjp(ours, kernel, x)[1](jnp.asarray(cotangent)),
        jax.vjp(plain, kernel, x)[1](jnp.asarray(cotangent)),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("kernel_px", "stride", "dilation"), [(5, 1, 1), (5, 2, 1), (3, 2, 1), (3, 1, 8)])
def test_sizes_and_initial_range(kernel_px, stride, dilation):
    x = jnp.ones((1, 12, 20, 7))
    layer = Conv(9, kernel_px, stride, dilation)
    y, variables = layer.init_with_output(jax.random.key(0), x)
    assert y.shape == (1, 12 // stride, 20 // stride, 9)
    bound = (kernel_px**2 * 7) ** -0.5
    for leaf in jax.tree.leaves(variables):
        assert abs(leaf).max() <= bound
    assert abs(variables["params"]["kernel"]).max() > 0.95 * bound
