"""Layers against plain NumPy and against XLA's own dilated form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glcic_jax.models.layers import Conv, InitialValues, TransposedConv, UpsampledConv
from glcic_jax.models.transposed import convolve_transposed, differentiate_plainly


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


def test_gradients_of_the_transposed_convolution_on_gpus(float64):
    """The form that GPUs get, on a CPU: gradients against the plain form's."""
    rng = np.random.default_rng(6)
    x, kernel = rng.normal(size=(2, 4, 3, 3)), rng.normal(size=(4, 4, 3, 5))
    cotangent = jnp.asarray(rng.normal(size=(2, 8, 6, 5)))
    plain, pull_back = jax.vjp(scattered_in_jax, jnp.asarray(x), jnp.asarray(kernel))
    np.testing.assert_allclose(plain, scattered(x, kernel), rtol=1e-12, atol=1e-12)
    found = differentiate_plainly(jnp.asarray(x), jnp.asarray(kernel), cotangent)
    for a, b in zip(found, pull_back(cotangent), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def scattered_in_jax(x, kernel):
    n, h, w, _ = x.shape
    full = jnp.zeros((n, 2 * h + 2, 2 * w + 2, kernel.shape[-1]))
    for i in range(h):
        for j in range(w):
            added = jnp.einsum("nc,hwco->nhwo", x[:, i, j], kernel)
            full = full.at[:, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4].add(added)
    return full[:, 1:-1, 1:-1]


def test_gpus_get_the_transposed_convolution_whole():
    """One convolution over a dilated input, and gradients that XLA recognises as a strided one's; no phases."""
    x, kernel = jnp.zeros((2, 8, 8, 4)), jnp.zeros((4, 4, 4, 8))

    def gradients(x, kernel):
        return jax.grad(lambda x, k: jnp.square(convolve_transposed(x, k)).sum(), (0, 1))(x, kernel)

    texts = {
        platform: jax.jit(gradients).trace(x, kernel).lower(lowering_platforms=(platform,)).as_text()
        for platform in ("cpu", "cuda")
    }
    assert texts["cuda"].count("stablehlo.convolution") == 3 and "optimization_barrier" not in texts["cuda"]
    assert texts["cuda"].count("lhs_dilate = [2, 2]") == 1 and "lhs_dilate = [2, 2]" not in texts["cpu"]


def test_upsampled_convolution(float64):
    """Every pixel doubled, then a plain convolution; gradients too."""
    rng = np.random.default_rng(4)
    x, kernel, bias = rng.normal(size=(2, 5, 7, 3)), rng.normal(size=(3, 3, 3, 6)), rng.normal(size=6)
    layer = UpsampledConv(6)

    def ours(x, kernel, bias):
        return layer.apply({"params": {"kernel": kernel, "bias": bias}}, x)

    def plain(x, kernel, bias):
        doubled = jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
        shape = ("NHWC", "HWIO", "NHWC")
        convolved = jax.lax.conv_general_dilated(doubled, kernel, (1, 1), "SAME", dimension_numbers=shape)
        return convolved + bias.reshape(1, 1, 1, 6)

    found, pull_back = jax.vjp(ours, x, kernel, bias)
    expected, plain_pull_back = jax.vjp(plain, x, kernel, bias)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    cotangent = jnp.asarray(rng.normal(size=found.shape))
    for a, b in zip(pull_back(cotangent), plain_pull_back(cotangent), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("torch7", jax.nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")),
        ("he_uniform", jax.nn.initializers.he_uniform()),
    ],
)
def test_uniform_initial_values_are_jax_s_own(name, plain):
    key, shape = jax.random.key(5), (3, 3, 8, 16)
    np.testing.assert_array_equal(InitialValues(name).kernel(72)(key, shape), plain(key, shape))


def test_he_keeps_the_variance_of_leaky_activations():
    """Over 30 layers of 256 values; without biases."""
    initial = InitialValues("he", negative_slope=0.2)
    x = np.random.default_rng(6).normal(size=(256, 256))
    for layer in range(30):
        x = x @ np.asarray(initial.kernel(256)(jax.random.key(layer), (256, 256)))
        x = np.where(x > 0, x, 0.2 * x)
    assert 0.5 < np.mean(x**2) < 2
    assert not np.any(initial.bias(256)(jax.random.key(0), (9,)))


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
