"""Losses, one value a sample (N,); reduction and weights stand in the step. Images (N, H, W, 3), masks (N, H, W, 1)."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped


def completion_error(
    output: Float[Array, "n h w 3"],
    image: Float[Array, "n h w 3"],
    mask: Shaped[Array, "n h w 1"],
    *,
    kind: str = "squared",
    over: str = "image",
) -> Float[Array, " n"]:
    """What C minimises inside the hole; by default the mean of (mask x (output - image))^2 (paper, equation 2).

    Args:
        output, image, mask: as everywhere.
        kind: "squared" or "absolute".
        over: "image": all pixels are in the denominator, as in the paper, whose alpha belongs to that scale; "hole":
            those of the hole alone, so that samples with small holes count as much as others.

    """
    difference = jnp.where(mask > 0, output - image, 0)
    error = jnp.square(difference) if kind == "squared" else jnp.abs(difference)
    if over == "image":
        return jnp.mean(error, axis=(1, 2, 3))
    pixels = jnp.sum(mask > 0, axis=(1, 2, 3), dtype=error.dtype)
    return jnp.sum(error, axis=(1, 2, 3)) / (image.shape[-1] * jnp.maximum(pixels, 1))


def discriminator_loss(
    real_logit: Float[Array, " n *patches"], fake_logit: Float[Array, " n *patches"]
) -> Float[Array, " n"]:
    """-log D(real) - log(1 - D(completed)) on logits (N,) or (N, patches) (paper, equation 3, negated)."""
    return _per_sample(jax.nn.softplus(-real_logit) + jax.nn.softplus(fake_logit))


def adversarial_loss(fake_logit: Float[Array, " n *patches"], saturating: bool) -> Float[Array, " n"]:
    """What C minimises to fool D, on logits: -log D, or the paper's saturating log(1 - D)."""
    return _per_sample(-jax.nn.softplus(fake_logit) if saturating else jax.nn.softplus(-fake_logit))


def feature_distance(
    found: Mapping[str, Float[Array, "n _ _ _"]], wanted: Mapping[str, Float[Array, "n _ _ _"]]
) -> Float[Array, " n"]:
    """Mean over layers of the mean absolute difference of features (N,h,w,C) (Wang et al. 2018, equation 3)."""
    layers = [jnp.mean(jnp.abs(found[name] - wanted[name]), axis=(1, 2, 3)) for name in wanted]
    return jnp.mean(jnp.stack(layers), axis=0)


def _per_sample(values: Float[Array, " n *patches"]) -> Float[Array, " n"]:
    return values if values.ndim == 1 else jnp.mean(values, axis=tuple(range(1, values.ndim)))
