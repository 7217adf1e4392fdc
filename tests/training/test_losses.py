"""Losses against their definitions in NumPy, float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glcic_jax.training.losses import (
    adversarial_loss,
    completion_error,
    discriminator_loss,
    feature_distance,
)


def test_completion_error_of_the_paper(float64):
    rng = np.random.default_rng(0)
    output, image = rng.random((2, 3, 6, 5, 3))
    mask = rng.integers(0, 2, (3, 6, 5, 1))
    expected = (mask * (output - image)) ** 2
    np.testing.assert_allclose(
        completion_error(*map(jnp.asarray, (output, image, mask))), expected.mean((1, 2, 3)), rtol=1e-14
    )


@pytest.mark.parametrize("kind", ["squared", "absolute"])
@pytest.mark.parametrize("over", ["image", "hole"])
def test_completion_error(float64, kind, over):
    rng = np.random.default_rng(0)
    output, image = rng.random((2, 3, 6, 5, 3))
    mask = rng.integers(0, 2, (3, 6, 5, 1))
    mask[2] = 0
    found = completion_error(*map(jnp.asarray, (output, image, mask)), kind=kind, over=over)
    for sample in range(3):
        hole = mask[sample, ..., 0] == 1
        values = np.abs((output - image)[sample][hole]) ** (2 if kind == "squared" else 1)
        count = image[sample].size if over == "image" else max(1, values.size)
        np.testing.assert_allclose(found[sample], values.sum() / count, rtol=1e-13)


def test_adversarial_losses(float64):
    real, fake = jnp.array([-3.0, 0.0, 2.0]), jnp.array([-1.0, 0.5, 4.0])

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    expected = -np.log(sigmoid(real)) - np.log(1 - sigmoid(fake))
    np.testing.assert_allclose(discriminator_loss(real, fake), expected, rtol=1e-13)
    np.testing.assert_allclose(adversarial_loss(fake, False), -np.log(sigmoid(fake)), rtol=1e-13)
    np.testing.assert_allclose(adversarial_loss(fake, True), np.log(1 - sigmoid(fake)), rtol=1e-12)


def test_large_logits_stay_finite():
    large = jnp.array([-1e4, 1e4], jnp.float32)
    for values in (
        discriminator_loss(large, large),
        adversarial_loss(large, False),
        adversarial_loss(large, True),
    ):
        assert np.isfinite(values).all()


def test_patches_count_alike(float64):
    rng = np.random.default_rng(1)
    real, fake = rng.normal(size=(2, 3, 5))
    each = [np.log1p(np.exp(-r)) + np.log1p(np.exp(f)) for r, f in zip(real, fake, strict=True)]
    np.testing.assert_allclose(
        discriminator_loss(jnp.asarray(real), jnp.asarray(fake)), [e.mean() for e in each], rtol=1e-13
    )


def test_feature_distance(float64):
    rng = np.random.default_rng(2)
    found, wanted = ({"a": rng.random((2, 4, 4, 3)), "b": rng.random((2, 2, 2, 5))} for _ in range(2))
    for sample in range(2):
        expected = np.mean([np.abs(found[name][sample] - wanted[name][sample]).mean() for name in "ab"])
        np.testing.assert_allclose(
            feature_distance(*jax.tree.map(jnp.asarray, (found, wanted)))[sample], expected, rtol=1e-13
        )
