"""The convolution's gradients against XLA's own, on one device and on several."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from glcic_jax.models.convolution import Geometry, convolve, differentiate_kernel_by_splitting
from glcic_jax.training.mesh import AXIS, make_mesh

# Input (n, h, w, channels), then features, kernel, stride, dilation and padding of every kind that the networks have;
# fewer and more outputs than inputs, small maps, where other forms are taken, and odd sizes.
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


@pytest.mark.parametrize("features", [4, 24])
def test_gradients_in_bfloat16_are_summed_in_float32(features):
    """Only the result is rounded: half a unit in the last place is 0.002 to 0.004 of a number, 0.0017 of a norm."""
    rng = np.random.default_rng(4)
    geometry = Geometry(padding=((1, 1), (1, 1)))
    x, kernel, cotangent = (
        jnp.asarray(rng.normal(size=shape), jnp.bfloat16)
        for shape in ((8, 32, 32, 8), (3, 3, 8, features), (8, 32, 32, features))
    )
    found = jax.vjp(lambda kernel: convolve(x, kernel, geometry), kernel)[1](cotangent)[0]
    x, kernel, cotangent = (array.astype(jnp.float32) for array in (x, kernel, cotangent))
    expected = jax.vjp(lambda kernel: plainly(x, kernel, geometry), kernel)[1](cotangent)[0]
    assert found.dtype == jnp.bfloat16
    assert np.linalg.norm(found.astype(jnp.float32) - expected) <= 0.0018 * np.linalg.norm(expected)


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
    """The choice is made where the program is lowered: nothing keeps XLA from its own forms but on CPUs."""
    x, kernel = jnp.zeros((2, 8, 8, 4)), jnp.zeros((3, 3, 4, 8))

    def gradients(x, kernel):
        return jax.grad(lambda x, k: convolve(x, k, Geometry(padding=((1, 1), (1, 1)))).sum(), (0, 1))(x, kernel)

    texts = {
        platform: jax.jit(gradients).trace(x, kernel).lower(lowering_platforms=(platform,)).as_text()
        for platform in ("cpu", "cuda")
    }
    assert "optimization_barrier" in texts["cpu"]
    assert "optimization_barrier" not in texts["cuda"]
    assert texts["cuda"].count("stablehlo.convolution") == 2  # both gradients; the forward's result is not needed


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
@pytest.mark.parametrize(("kernel_px", "dilation"), [(3, 2), (5, 2), (3, 4)])
def test_kernel_gradients_of_dilated_convolutions_on_gpus(kernel_px, dilation, dtype, tolerance):
    """The form that GPUs get, on a CPU."""
    rng = np.random.default_rng(5)
    pad = dilation * (kernel_px - 1) // 2
    geometry = Geometry(dilation=dilation, padding=((pad, pad), (pad, pad)))
    with jax.enable_x64(dtype == np.float64):
        x, kernel, dy = (
            jnp.asarray(rng.normal(size=shape), dtype)
            for shape in ((2, 8, 12, 3), (kernel_px, kernel_px, 3, 5), (2, 8, 12, 5))
        )
        expected = jax.vjp(lambda kernel: plainly(x, kernel, geometry), kernel)[1](dy)[0]
        found = differentiate_kernel_by_splitting(x, kernel, dy, geometry)
        assert np.linalg.norm(found - expected) <= tolerance * np.linalg.norm(expected)


@pytest.mark.parametrize(("height", "strides"), [(8, 0), (9, 1)])
def test_gpus_get_no_strided_convolution_for_a_dilated_one_s_gradient(height, strides):
    """Unless the dilation does not divide the map: then it is XLA's own."""
    x, kernel = jnp.zeros((2, height, 8, 4)), jnp.zeros((3, 3, 4, 8))
    geometry = Geometry(dilation=2, padding=((2, 2), (2, 2)))

    def gradient(x, kernel):
        return jax.grad(lambda kernel: convolve(x, kernel, geometry).sum())(kernel)

    text = jax.jit(gradient).trace(x, kernel).lower(lowering_platforms=("cuda",)).as_text()
    assert text.count("stablehlo.convolution") == 1 and text.count("stride = [2, 2]") == strides


@pytest.mark.parametrize(("asked", "precision"), [(None, "DEFAULT"), ("highest", "HIGHEST")])
def test_precision_on_gpus_is_what_jax_is_asked_for(asked, precision):
    """Training leaves it to JAX, which takes TF32 by default; docs/paper.md names the way to all bits."""
    x, kernel = jnp.zeros((2, 8, 8, 4)), jnp.zeros((3, 3, 4, 8))

    def gradients(x, kernel):
        def loss(x, kernel):
            return jnp.square(convolve(x, kernel, Geometry(padding=((1, 1), (1, 1))))).sum()

        return jax.grad(loss, (0, 1))(x, kernel)

    with jax.default_matmul_precision(asked):
        text = jax.jit(gradients).trace(x, kernel).lower(lowering_platforms=("cuda",)).as_text()
    stated = re.findall(r"stablehlo\.convolution.*?precision_config = \[(.*?)\]", text, re.DOTALL)
    assert stated == [f"#stablehlo<precision {precision}>, #stablehlo<precision {precision}>"] * 3
