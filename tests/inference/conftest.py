"""A network whose far surroundings matter: with initial weights a signal dies within a few layers."""

import jax
import pytest

from glcic_jax.models.completion import CompletionNetwork
from tests.support.networks import shaken

NETWORK = CompletionNetwork(width_multiplier=0.125, mean_color=(0.4, 0.5, 0.6), precision=jax.lax.Precision.HIGHEST)


@pytest.fixture(scope="session")
def network() -> CompletionNetwork:
    return NETWORK


@pytest.fixture(scope="session")
def variables() -> dict:
    return shaken(NETWORK)
