"""Networks with weights that a test can see through."""

import jax
import jax.numpy as jnp
import numpy as np


def shaken(network, seed: int = 0, side: int = 16) -> dict:
    """Random variables that keep the signal's variance, with statistics and biases that are not 0 and 1."""
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        kind = path[-1].key
        if kind == "kernel":
            taps = np.prod(leaf.shape[:-1]) / (4 if leaf.shape[0] == 4 else 1)
            values = rng.normal(0, np.sqrt(2 / taps), leaf.shape)
        elif path[-2].key.startswith("residual"):
            values = np.array(0.4)
        elif kind in ("scale", "var"):
            values = rng.uniform(0.5, 1.5, leaf.shape)
        else:
            values = rng.normal(0, 0.2, leaf.shape)
        return values.astype(np.float32)

    image = jnp.zeros((1, side, side, 3))
    shapes = jax.eval_shape(network.init, jax.random.key(0), image, image[..., :1])
    return jax.tree_util.tree_map_with_path(draw, shapes)


OPTIONS = [
    {},
    {"normalization": "none", "residual": True, "negative_slope": 0.2, "output": "linear", "hole_fill": "mean"},
    {"normalization": "batch_after_activation", "output": "tanh", "hole_fill": 0.25, "mask_channel": False},
    {"upsampling": "nearest", "output": "linear", "residual": True, "use_bias": False},
    {"normalization": "none", "upsampling": "nearest", "output": "tanh", "negative_slope": 0.1},
    {"normalization": "batch_after_activation", "residual": True, "hole_fill": "mean", "use_bias": False},
]
"""Completion networks in which every value of every option stands at least once."""


def calm(network, seed: int = 0) -> dict:
    """Random variables whose outputs vary by an eighth around their middle, from pixel to pixel, as trained ones do.

    What float32's rounding does to an output is in proportion to what the last layer sums.
    """
    variables = shaken(network, seed)
    rng = np.random.default_rng(seed)
    image = rng.random((1, 12, 12, 3), np.float32).repeat(4, axis=1).repeat(4, axis=2)

    @jax.jit
    def sums(variables):
        hole = jnp.zeros_like(image[..., :1]).at[:, 16:36, 12:32].set(1)
        _, made = network.apply(variables, image, hole, capture_intermediates=_is_last)
        return made["intermediates"]["conv17"]["__call__"][0]

    found = np.asarray(sums(variables))
    spread = found.std((0, 1, 2)).max()
    assert spread > 1e-3, "every channel of a layer is dead: take another seed or a wider network"
    slope = {"sigmoid": 1 / 4, "tanh": 1 / 2, "linear": 1}[network.output]
    factor = np.float32(1 / 8 / slope / spread)
    last = variables["params"]["conv17"]
    last["kernel"] *= factor
    if "bias" in last:
        last["bias"] = (last["bias"] - found.mean((0, 1, 2))) * factor
    return variables


def _is_last(layer, method) -> bool:
    return layer.name == "conv17" and method == "__call__"
