"""A network whose far surroundings matter: with initial weights a signal dies within a few layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glcic_jax.models.completion import CompletionNetwork

NETWORK = CompletionNetwork(width_multiplier=0.125, mean_color=(0.4, 0.5, 0.6), precision=jax.lax.Precision.HIGHEST)


def shaken(network, seed: int = 0, side: int = 16) -> dict:
    """Random variables that keep the signal's variance, with statistics and biases that are not 0 and 1."""
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        kind = path[-1].key
        if kind == "kernel":
            taps = np.prod(leaf.shape[:-1]) / (4 if leaf.shape[0] == 4 else 1)
            values = rng.normal(0, np.sqrt(2 / taps), leaf.shape)
        elif kind in ("scale", "var"):
            values = rng.uniform(0.5, 1.5, leaf.shape)
        else:
            values = rng.normal(0, 0.2, leaf.shape)
        return values.astype(np.float32)

    image = jnp.zeros((1, side, side, 3))
    shapes = jax.eval_shape(network.init, jax.random.key(0), image, image[..., :1])
    return jax.tree_util.tree_map_with_path(draw, shapes)


@pytest.fixture(scope="session")
def network() -> CompletionNetwork:
    return NETWORK


@pytest.fixture(scope="session")
def variables() -> dict:
    return shaken(NETWORK)


def random_mask(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """uint8 (H, W, 1): one to six rectangles, a third of them at a border or in a corner."""
    mask = np.zeros((height, width, 1), np.uint8)
    for _ in range(rng.integers(1, 7)):
        h, w = (np.exp(rng.uniform(0, np.log(min(side, 250)), 2)).astype(int) for side in (height, width))
        h, w = max(1, h[0] // 2), max(1, w[0] // 2)
        y, x = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
        if rng.random() < 1 / 3:
            y = (0, height - h)[rng.integers(2)]
        if rng.random() < 1 / 3:
            x = (0, width - w)[rng.integers(2)]
        mask[y : y + h, x : x + w] = 1
    return mask
