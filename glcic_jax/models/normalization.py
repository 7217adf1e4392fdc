"""BatchNorm and the activation behind it as one layer, whose gradient takes fewer passes over memory on GPUs.

Arrays are (N, H, W, C). A gradient that is masked by the activation is needed twice: for the sums over the batch, and
for the gradient of the input, which needs the sums. Left to itself, XLA writes it to memory in between, one pass of
fifteen over every map; here both sides mask for themselves.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from glcic_jax.models.layers import BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM, activation
from glcic_jax.models.varying import vary_over, varying_axes

_AXES = (0, 1, 2)


class BatchNormActivation(nn.Module):
    """BatchNorm with the paper's time constants, then a (leaky) ReLU; parameters and statistics as `nn.BatchNorm`'s.

    The new value weighs 0.1 in the running statistics, whose variance is the biased one, too. All statistics are in
    float32 or finer, over the global batch if a mesh axis is named.
    """

    negative_slope: float
    axis_name: str | None = None
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], train: bool) -> Float[Array, "n h w c"]:
        """Normalises x by its own statistics in training, else by the running ones."""
        features = x.shape[-1]
        wide = jnp.promote_types(self.dtype or x.dtype, jnp.float32)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (features,), jnp.float32)
        running_variance = self.variable("batch_stats", "var", jnp.ones, (features,), jnp.float32)
        mean, variance = running_mean.value, running_variance.value
        if train:
            mean, variance = self._statistics(x.astype(wide))
            if not self.is_initializing():
                running_mean.value = BATCH_NORM_MOMENTUM * running_mean.value + (1 - BATCH_NORM_MOMENTUM) * mean
                running_variance.value = (
                    BATCH_NORM_MOMENTUM * running_variance.value + (1 - BATCH_NORM_MOMENTUM) * variance
                )
        scale = self.param("scale", nn.initializers.ones, (features,), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (features,), jnp.float32)
        mean, variance = jnp.expand_dims(mean, _AXES), jnp.expand_dims(variance, _AXES)
        factor = jax.lax.rsqrt(variance + BATCH_NORM_EPSILON) * scale.reshape(1, 1, 1, -1)
        dtype = nn.dtypes.canonicalize_dtype(x, scale, bias, dtype=self.dtype)
        return normalize(x, mean, factor, bias.reshape(1, 1, 1, -1), self.negative_slope, dtype)

    def _statistics(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Mean and variance of each channel."""
        square = jax.lax.square(x)  # before the means, as Flax has it: the gradient is summed in that order
        means = x.mean(_AXES), square.mean(_AXES)
        if self.axis_name is not None and not self.is_initializing():
            together = jax.lax.pmean(jnp.stack(means), self.axis_name)  # one message
            means = together[0], together[1]
        mean, square_mean = means
        return mean, jnp.maximum(0.0, square_mean - jax.lax.square(mean))  # rounding could make it negative


def normalize(
    x: jax.Array, mean: jax.Array, factor: jax.Array, bias: jax.Array, negative_slope: float, dtype: Any
) -> jax.Array:
    """The activation of (x - mean) * factor + bias, all (1,1,1,C) but x, in the compute dtype."""
    arrays = x, mean, factor, bias
    axes = frozenset[str]().union(*(varying_axes(array) for array in arrays))  # why: convolution.convolve
    return _normalize(*(vary_over(array, axes) for array in arrays), negative_slope, dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _normalize(
    x: jax.Array, mean: jax.Array, factor: jax.Array, bias: jax.Array, negative_slope: float, dtype: Any
) -> jax.Array:
    return activation(_scale(x, mean, factor, bias, dtype), negative_slope)


def _scale(x: jax.Array, mean: jax.Array, factor: jax.Array, bias: jax.Array, dtype: Any) -> jax.Array:
    y = x - mean
    y *= factor
    y += bias
    return y.astype(dtype)


_Arrays = tuple[jax.Array, jax.Array, jax.Array, jax.Array]
_PullBack = Callable[[jax.Array], _Arrays]


def _forward(
    x: jax.Array, mean: jax.Array, factor: jax.Array, bias: jax.Array, negative_slope: float, dtype: Any
) -> tuple[jax.Array, tuple[_Arrays, _PullBack]]:
    def apply(x: jax.Array, mean: jax.Array, factor: jax.Array, bias: jax.Array) -> jax.Array:
        return activation(_scale(x, mean, factor, bias, dtype), negative_slope)

    # JAX's own derivative from here, not taken anew in the backward pass, where CPUs would round differently.
    y, pull_back = jax.vjp(apply, x, mean, factor, bias)
    return y, ((x, mean, factor, bias), pull_back)


def _backward(negative_slope: float, dtype: Any, residuals: tuple[_Arrays, _PullBack], dy: jax.Array) -> _Arrays:
    arrays, pull_back = residuals
    differentiate = functools.partial(differentiate_in_two_passes, negative_slope=negative_slope, dtype=dtype)
    gradients: _Arrays = jax.lax.platform_dependent(
        *arrays, dy, cpu=lambda *arrays: pull_back(arrays[-1]), default=differentiate
    )
    return gradients


_normalize.defvjp(_forward, _backward)


def differentiate_in_two_passes(
    x: jax.Array,
    mean: jax.Array,
    factor: jax.Array,
    bias: jax.Array,
    dy: jax.Array,
    *,
    negative_slope: float,
    dtype: Any,
) -> _Arrays:
    """Gradients of x, mean, factor and bias from that of the activation; x's lacks its part in the statistics."""
    y = _scale(x, mean, factor, bias, dtype)
    positive = y >= 0 if negative_slope else y > 0  # as the derivatives of JAX's functions have it

    def mask(dy: jax.Array) -> jax.Array:
        return jnp.where(positive, dy, negative_slope * dy).astype(factor.dtype)

    masked = mask(dy)
    dbias = masked.sum(_AXES, keepdims=True)
    dfactor = (masked * (x - mean)).sum(_AXES, keepdims=True)
    # Behind the barrier the compiler does not see that it has masked the same before.
    dx = (mask(jax.lax.optimization_barrier(dy)) * factor).astype(x.dtype)
    # Each in its array's type: parameters may be finer than the statistics.
    return dx, (-factor * dbias).astype(mean.dtype), dfactor.astype(factor.dtype), dbias.astype(bias.dtype)
