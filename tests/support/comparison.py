"""How far two trees of arrays are apart."""

import jax
import numpy as np


def norm_relative(found, expected) -> float:
    """Norm of the difference over the norm of what is expected, over all leaves together."""
    pairs = list(zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True))
    assert pairs
    difference = sum(float(np.square(np.asarray(a, np.float64) - b).sum()) for a, b in pairs)
    return (difference / sum(float(np.square(np.asarray(b, np.float64)).sum()) for _, b in pairs)) ** 0.5


def split_dead_biases(params: dict) -> tuple[dict, dict]:
    """Biases in front of BatchNorm, which have no gradient but rounding noise; and everything else."""
    flat = {"/".join(path): leaf for path, leaf in _flatten(params)}
    norms = {name.split("/")[0] for name in flat if "norm" in name}
    dead = {
        k for k in flat if k.endswith("bias") and "norm" not in k and k.split("/")[0].replace("conv", "norm") in norms
    }
    return {k: flat[k] for k in dead}, {k: v for k, v in flat.items() if k not in dead}


def _flatten(tree, path=()):
    for key, value in tree.items():
        yield from _flatten(value, (*path, key)) if isinstance(value, dict) else [((*path, key), value)]
