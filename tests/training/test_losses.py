"""Losses against their definitions in NumPy, float64."""

import numpy as np

from glcic_jax.training.losses import adversarial_loss, discriminator_loss, masked_squared_error


def test_masked_squared_error(float64):
    rng = np.random.default_rng(0)
    output, image = rng.random((2, 3, 6, 5, 3))
    mask = rng.integers(0, 2, (3, 6, 5, 1))
    expected = (mask * (output - image)) ** 2
    np.testing.assert_allclose(masked_squared_error(output, image, mask), expected.mean((1, 2, 3)), rtol=1e-14)


def test_adversarial_losses(float64):
    real, fake = np.array([-3.0, 0.0, 2.0]), np.array([-1.0, 0.5, 4.0])

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    expected = -np.log(sigmoid(real)) - np.log(1 - sigmoid(fake))
    np.testing.assert_allclose(discriminator_loss(real, fake), expected, rtol=1e-13)
    np.testing.assert_allclose(adversarial_loss(fake, False), -np.log(sigmoid(fake)), rtol=1e-13)
    np.testing.assert_allclose(adversarial_loss(fake, True), np.log(1 - sigmoid(fake)), rtol=1e-12)


def test_large_logits_stay_finite():
    large = np.array([-1e4, 1e4], np.float32)
    for values in (
        discriminator_loss(large, large),
        adversarial_loss(large, False),
        adversarial_loss(large, True),
    ):
        assert np.isfinite(values).all()
