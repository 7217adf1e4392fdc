"""The context discriminator D. Arrays: float (N, H, W, 3) RGB in [0, 1]; windows int32 (N, 2) origins (y, x)."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from glcic_jax.models.layers import Conv, Dense, InitialValues, activation, keep_features
from glcic_jax.models.normalization import BatchNormActivation

BRANCH_CHANNELS = (64, 128, 256, 512, 512, 512)
"""Strided 5x5 convolutions of a branch (paper, table 2); the paper's local branch has the first five."""
VECTOR_SIZE = 1024


def default_depth(size_px: int) -> int:
    """Number of convolutions that leaves a map of 4 to 7 px: 256 -> 6, 128 -> 5, 64 -> 4."""
    return min(len(BRANCH_CHANNELS), max(1, int(math.log2(size_px / 4))))


NORMALIZATIONS = ("batch", "none")


class ContextDiscriminator(nn.Module):
    """Judges whole image and local window together (paper, section 3.3, table 2).

    Fields:
        width_multiplier: factor on the numbers of channels and on the 1024-vectors.
        negative_slope: of the leaky ReLU; 0 is the paper's ReLU.
        normalization: "batch" or "none"; without it the network sees values in [-1, 1], not [0, 1].
        spectral_normalization: of all kernels.
        patch_logits: each branch ends in a map of logits, each for a part of what it sees, and nothing joins them.
        mask_channel: whether the mask is the fourth channel of image and window.
        use_bias: whether convolutions have biases.
        vector_activation: whether the vectors of the branches go through the activation before they are joined.
        global_depth, local_depth: convolutions of each branch; None derives them from the sizes.
        initial_values, dtype, precision, statistics_axis: as in CompletionNetwork.
    """

    width_multiplier: float = 1.0
    negative_slope: float = 0.0
    normalization: str = "batch"
    spectral_normalization: bool = False
    patch_logits: bool = False
    mask_channel: bool = False
    use_bias: bool = True
    vector_activation: bool = True
    global_depth: int | None = None
    local_depth: int | None = None
    initial_values: str = "torch7"
    dtype: Any = None
    precision: Any = None
    statistics_axis: str | None = None

    def __post_init__(self) -> None:
        """Checks the fields that have few values. Raises: ValueError."""
        if self.normalization not in NORMALIZATIONS:
            raise ValueError(f"normalization is {self.normalization!r}; it must be one of {', '.join(NORMALIZATIONS)}")
        super().__post_init__()

    @nn.compact
    def __call__(
        self, image: Float[Array, "n h w c"], window: Float[Array, "n _ _ c"], *, train: bool = False
    ) -> Float[Array, " n *patches"]:
        """Judges photographs, completed or not. Every layer's output goes into the collection "features".

        Args:
            image: (N, H, W, 3), or (N, H, W, 4) with the mask.
            window: (N, h, w, 3 or 4), cut from it by `crop_windows`.
            train: normalise with the batch's statistics, and move the running ones.

        Returns: logits, positive for real: (N,), or with `patch_logits` (N, patches), of the local branch first.

        """
        near = self._branch("local", window, self.local_depth, train)
        whole = self._branch("global", image, self.global_depth, train)
        joined = jnp.concatenate([near, whole], axis=-1)
        logit = joined if self.patch_logits else self._dense("head", joined, 1, train)[:, 0]
        return logit.astype(jnp.promote_types(logit.dtype, jnp.float32))

    def _branch(self, name: str, x: jax.Array, depth: int | None, train: bool) -> jax.Array:
        depth = default_depth(min(x.shape[1:3])) if depth is None else depth
        if self.normalization == "none":
            x = jnp.concatenate([2 * x[..., :3] - 1, x[..., 3:]], axis=-1)
        for number, channels in enumerate(BRANCH_CHANNELS[:depth], 1):
            x = self._convolve(f"{name}_conv{number}", x, max(1, int(channels * self.width_multiplier)), 5, 2, train)
            if self.normalization == "batch":
                norm = f"{name}_norm{number}"
                x = BatchNormActivation(self.negative_slope, self.statistics_axis, self.dtype, name=norm)(x, train)
            else:
                x = activation(x, self.negative_slope)
            keep_features(self, f"{name}{number}", x)
        if self.patch_logits:
            return self._convolve(f"{name}_logits", x, 1, 3, 1, train).reshape(len(x), -1)
        features = max(1, int(VECTOR_SIZE * self.width_multiplier))
        vector = self._dense(f"{name}_dense", x.reshape(len(x), -1), features, train)
        return activation(vector, self.negative_slope) if self.vector_activation else vector

    def _convolve(self, name: str, x: jax.Array, features: int, kernel_px: int, stride: int, train: bool) -> jax.Array:
        return Conv(
            features,
            kernel_px,
            stride=stride,
            use_bias=self.use_bias,
            spectral=self.spectral_normalization,
            initial=self._initial,
            dtype=self.dtype,
            precision=self.precision,
            name=name,
        )(x, train)

    def _dense(self, name: str, x: jax.Array, features: int, train: bool) -> jax.Array:
        return Dense(
            features,
            spectral=self.spectral_normalization,
            initial=self._initial,
            dtype=self.dtype,
            precision=self.precision,
            name=name,
        )(x, train)

    @property
    def _initial(self) -> InitialValues:
        return InitialValues(self.initial_values, self.negative_slope)


def crop_windows(
    images: Shaped[Array, "n h w c"], origins: Int[Array, "n 2"], size_px: int
) -> Shaped[Array, "n {size_px} {size_px} c"]:
    """Cuts one square window a sample: images (N, H, W, C), origins int32 (N, 2) as (y, x) -> (N, size, size, C)."""

    def one(image: jax.Array, origin: jax.Array) -> jax.Array:
        start = (*origin, jnp.zeros_like(origin[0]))
        return jax.lax.dynamic_slice(image, start, (size_px, size_px, image.shape[-1]))

    return jax.vmap(one)(images, origins)
