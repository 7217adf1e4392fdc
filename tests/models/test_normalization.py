"""BatchNorm with its activation against Flax's and JAX's own, and the gradient's form for GPUs on a CPU."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glcic_jax.models.layers import activation, batch_norm
from glcic_jax.models.normalization import BatchNormActivation, differentiate_in_two_passes, normalize


class Separate(nn.Module):
    """Flax's layer, then the activation."""

    slope: float

    @nn.compact
    def __call__(self, x, train):
        return activation(batch_norm("norm", train, None, None)(x), self.slope)


class Together(nn.Module):
    slope: float

    @nn.compact
    def __call__(self, x, train):
        return BatchNormActivation(self.slope, name="norm")(x, train)


@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_against_flax(float64, slope):
    """Values, running statistics and all gradients; then by the running statistics."""
    rng = np.random.default_rng(0)
    x, cotangent = (jnp.asarray(rng.normal(1, 2, (3, 5, 4, 6))) for _ in range(2))
    params = {"norm": {"scale": jnp.asarray(rng.normal(1, 1, 6)), "bias": jnp.asarray(rng.normal(size=6))}}
    stats = {"norm": {"mean": jnp.zeros(6), "var": jnp.ones(6)}}
    results = []
    for network in (Separate(slope), Together(slope)):

        def train(params, x, network=network):
            return network.apply({"params": params, "batch_stats": stats}, x, True, mutable=["batch_stats"])

        y, pull_back, moved = jax.vjp(train, params, x, has_aux=True)
        gradients = pull_back(cotangent)
        results.append((y, gradients, moved, network.apply({"params": params, **moved}, x, False)))
    assert jax.tree.structure(results[0]) == jax.tree.structure(results[1])
    for expected, found in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def arrays(dtype):
    rng = np.random.default_rng(1)
    x, dy = (jnp.asarray(rng.normal(size=(4, 6, 5, 3)), dtype) for _ in range(2))
    vectors = [jnp.asarray(rng.normal(size=(1, 1, 1, 3)), jnp.promote_types(dtype, jnp.float32)) for _ in range(3)]
    return x, *vectors, dy


@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_gradients_in_two_passes(float64, slope):
    *inputs, dy = arrays(np.float64)
    inputs[0] = inputs[0].at[0, 0].set(inputs[1][0, 0])  # where the activation has its corner, with a bias of zero
    inputs[3] = inputs[3].at[..., 0].set(0)

    def plain(x, mean, factor, bias):
        return activation((x - mean) * factor + bias, slope)

    found = differentiate_in_two_passes(*inputs, dy, negative_slope=slope, dtype=np.float64)
    for a, b in zip(found, jax.vjp(plain, *inputs)[1](dy), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("factor", [np.float32, np.float64])
def test_gradients_have_their_arrays_types(float64, factor):
    *inputs, dy = arrays(jnp.bfloat16)
    inputs[2] = inputs[2].astype(factor)  # of parameters that are finer than what is computed
    found = differentiate_in_two_passes(*inputs, dy, negative_slope=0.0, dtype=jnp.bfloat16)
    assert [array.dtype for array in found] == [array.dtype for array in inputs]


def test_only_gpus_mask_twice():
    *inputs, _ = arrays(np.float32)

    def gradients(*inputs):
        return jax.grad(lambda *inputs: normalize(*inputs, 0.0, jnp.float32).sum(), (0, 1, 2, 3))(*inputs)

    texts = {
        platform: jax.jit(gradients).trace(*inputs).lower(lowering_platforms=(platform,)).as_text()
        for platform in ("cpu", "cuda")
    }
    assert "optimization_barrier" in texts["cuda"] and "optimization_barrier" not in texts["cpu"]
