"""Losses, one value a sample (N,); reduction and weights stand in the step. Images (N, H, W, 3), masks (N, H, W, 1)."""

import jax
import jax.numpy as jnp


def masked_squared_error(output: jax.Array, image: jax.Array, mask: jax.Array) -> jax.Array:
    """Mean over all pixels and channels of (mask x (output - image))^2 (paper, equation 2).

    The known pixels count in the denominator: the paper's alpha belongs to this scale.
    """
    return jnp.mean(jnp.square(jnp.where(mask > 0, output - image, 0)), axis=(1, 2, 3))


def discriminator_loss(real_logit: jax.Array, fake_logit: jax.Array) -> jax.Array:
    """-log D(real) - log(1 - D(completed)) on logits (paper, equation 3, negated)."""
    return jax.nn.softplus(-real_logit) + jax.nn.softplus(fake_logit)


def adversarial_loss(fake_logit: jax.Array, saturating: bool) -> jax.Array:
    """What C minimises to fool D, on logits: -log D, or the paper's saturating log(1 - D)."""
    return -jax.nn.softplus(fake_logit) if saturating else jax.nn.softplus(-fake_logit)
