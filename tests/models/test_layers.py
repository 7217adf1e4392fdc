"""Layers against plain NumPy and against XLA's own dilated form."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from glcic_jax.models.layers import Conv, Geometry, TransposedConv, convolve
from glcic_jax.training.mesh import AXIS, make_mesh


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


# Input (n, h, w, channels), then features, kernel, stride, dilation and padding of every kind that the networks have;
# thin ones and small maps, where other forms are taken, odd sizes, and a batch in several chunks.
GEOMETRIES = [
    ((4, 13, 9, 3), 5, 3, 1, 1, 1),
    ((3, 8, 8, 5), 7, 5, 2, 1, 2),
    ((2, 16, 12, 70), 40, 3, 2, 1, 1),
    ((2, 9, 11, 4), 33, 5, 2, 1, 2),
    ((2, 16, 16, 6), 6, 3, 1, 8, 8),
    ((2, 9, 9, 5), 8, 3, 1, 2, 0),
    ((4, 7, 7, 4), 8, 4, 2, 1, 1),
    ((2, 5, 6, 4), 40, 4, 2, 1, 1),
    ((2, 4, 4, 8), 8, 1, 1, 1, 0),
    ((3, 72, 60, 2), 3, 3, 1, 1, 1),
]


def plainly(x, kernel, geometry):
    return jax.lax.conv_general_dilated(
        x, kernel, (geometry.stride,) * 2, geometry.padding, rhs_dilation=(geometry.dilation,) * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )  # fmt: skip


@pytest.mark.parametrize("case", GEOMETRIES, ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_gradients_against_xla(case, dtype, tolerance):
    """Norm-relative, of the input and of the kernel."""
    shape, features, kernel_px, stride, dilation, pad = case
    rng = np.random.default_rng(2)
    with jax.enable_x64(dtype == np.float64):
        geometry = Geometry(stride, dilation, ((pad, pad), (pad, pad)))
        x = jnp.asarray(rng.normal(size=shape), dtype)
        kernel = jnp.asarray(rng.normal(size=(kernel_px, kernel_px, shape[-1], features)), dtype)
        plain, plain_gradients = jax.vjp(lambda x, kernel: plainly(x, kernel, geometry), x, kernel)
        ours, gradients = jax.vjp(lambda x, kernel: convolve(x, kernel, geometry), x, kernel)
        np.testing.assert_array_equal(ours, plain)
        cotangent = jnp.asarray(rng.normal(size=plain.shape), dtype)
        for found, expected in zip(gradients(cotangent), plain_gradients(cotangent), strict=True):
            assert found.dtype == dtype
            assert np.linalg.norm(found - expected) <= tolerance * np.linalg.norm(expected)


@pytest.mark.parametrize("features", [3, 40])
def test_gradients_of_shared_parameters_are_summed_over_devices(features):
    """Inside shard_map a kernel that is the same everywhere gets the sum of all devices' gradients, as JAX has it."""
    mesh = make_mesh(jax.devices()[:4])
    rng = np.random.default_rng(3)
    x = rng.normal(size=(8, 6, 6, 2)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 2, features)).astype(np.float32)
    geometry = Geometry(padding=((1, 1), (1, 1)))

    def gradient(convolution, x, kernel):
        return jax.grad(lambda kernel: jnp.sum(convolution(x, kernel, geometry) ** 2))(kernel)

    share = PartitionSpec(AXIS)
    found = jax.jit(
        jax.shard_map(
            functools.partial(gradient, convolve),
            mesh=mesh,
            in_specs=(share, PartitionSpec()),
            out_specs=PartitionSpec(),
        )
    )(x, kernel)
    np.testing.assert_allclose(found, gradient(plainly, x, kernel), rtol=1e-4)


def test_gpus_get_plain_convolutions():
    """The choice is made where the program is lowered to: no loop over taps but on CPUs."""
    x, kernel = jnp.zeros((2, 8, 8, 4)), jnp.zeros((3, 3, 4, 8))

    def gradients(x, kernel):
        return jax.grad(lambda x, k: convolve(x, k, Geometry(padding=((1, 1), (1, 1)))).sum(), (0, 1))(x, kernel)

    texts = {
        platform: jax.jit(gradients).trace(x, kernel).lower(lowering_platforms=(platform,)).as_text()
        for platform in ("cpu", "cuda")
    }
    assert "stablehlo.while" in texts["cpu"]
    assert "stablehlo.while" not in texts["cuda"]
    assert texts["cuda"].count("stablehlo.convolution") == 2  # both gradients; the forward's result is not needed


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
