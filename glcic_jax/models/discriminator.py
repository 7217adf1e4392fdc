"""The context discriminator D. Arrays: float (N, H, W, 3) RGB in [0, 1]; windows int32 (N, 2) origins (y, x)."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from glcic_jax.models.layers import Conv, activation, batch_norm, torch7_bias, torch7_uniform

BRANCH_CHANNELS = (64, 128, 256, 512, 512, 512)
"""Strided 5x5 convolutions of a branch (paper, table 2); the paper's local branch has the first five."""
VECTOR_SIZE = 1024


def default_depth(size_px: int) -> int:
    """Number of convolutions that leaves a map of 4 to 7 px: 256 -> 6, 128 -> 5, 64 -> 4."""
    return min(len(BRANCH_CHANNELS), max(1, int(math.log2(size_px / 4))))


class ContextDiscriminator(nn.Module):
    """Judges whole image and local window together (paper, section 3.3, table 2).

    Fields:
        width_multiplier: factor on the numbers of channels and on the 1024-vectors.
        negative_slope: of the leaky ReLU; 0 is the paper's ReLU.
        use_bias: whether convolutions have biases.
        vector_activation: whether the vectors of the branches go through the activation before they are joined.
        global_depth, local_depth: convolutions of each branch; None derives them from the sizes.
        dtype, precision, statistics_axis: as in CompletionNetwork.
    """

    width_multiplier: float = 1.0
    negative_slope: float = 0.0
    use_bias: bool = True
    vector_activation: bool = True
    global_depth: int | None = None
    local_depth: int | None = None
    dtype: Any = None
    precision: Any = None
    statistics_axis: str | None = None

    @nn.compact
    def __call__(self, image: jax.Array, window: jax.Array, train: bool = False) -> jax.Array:
        """Logits (N,), positive for real: image (N, H, W, 3), window (N, h, w, 3) cut from it by `crop_windows`."""
        near = self._branch("local", window, self.local_depth, train)
        whole = self._branch("global", image, self.global_depth, train)
        joined = jnp.concatenate([near, whole], axis=-1)
        logit = self._dense("head", joined, 1)[:, 0]
        return logit.astype(jnp.promote_types(logit.dtype, jnp.float32))

    def _branch(self, name: str, x: jax.Array, depth: int | None, train: bool) -> jax.Array:
        depth = default_depth(min(x.shape[1:3])) if depth is None else depth
        for number, channels in enumerate(BRANCH_CHANNELS[:depth], 1):
            features = max(1, int(channels * self.width_multiplier))
            x = Conv(
                features,
                5,
                stride=2,
                use_bias=self.use_bias,
                dtype=self.dtype,
                precision=self.precision,
                name=f"{name}_conv{number}",
            )(x)
            x = batch_norm(f"{name}_norm{number}", train, self.statistics_axis, self.dtype)(x)
            x = activation(x, self.negative_slope)
        vector = self._dense(
            f"{name}_dense", x.reshape(x.shape[0], -1), max(1, int(VECTOR_SIZE * self.width_multiplier))
        )
        return activation(vector, self.negative_slope) if self.vector_activation else vector

    def _dense(self, name: str, x: jax.Array, features: int) -> jax.Array:
        return nn.Dense(
            features,
            kernel_init=torch7_uniform,
            bias_init=torch7_bias(x.shape[-1]),
            dtype=self.dtype,
            precision=self.precision,
            name=name,
        )(x)


def crop_windows(images: jax.Array, origins: jax.Array, size_px: int) -> jax.Array:
    """Cuts one square window a sample: images (N, H, W, C), origins int32 (N, 2) as (y, x) -> (N, size, size, C)."""

    def one(image: jax.Array, origin: jax.Array) -> jax.Array:
        start = (*origin, jnp.zeros_like(origin[0]))
        return jax.lax.dynamic_slice(image, start, (size_px, size_px, image.shape[-1]))

    return jax.vmap(one)(images, origins)
