"""A small state for tests of checkpoints, of every type that a state may hold."""

import jax
import jax.numpy as jnp
import numpy as np

from glcic_jax.run.origin import Origin
from glcic_jax.run.restore import restore_newest
from glcic_jax.training.mesh import make_mesh, replicated

ORIGIN = Origin(
    config={"seed": 0, "alpha": 0.0004}, data=("ab", "cd"), mean_color=(0.41, 0.42, 0.43), versions={"jax": "0"}
)


def state_of(seed):
    rng = np.random.default_rng(seed)
    return {
        "step": jnp.int32(seed),
        "kernel": jnp.asarray(rng.normal(size=(3, 3, 8, 16)), jnp.float32),
        "half": jnp.asarray(rng.normal(size=(5, 7)), jnp.bfloat16),
        "moments": [jnp.asarray(rng.normal(size=(40,)), jnp.float32), jnp.asarray(rng.integers(0, 9, 4), jnp.uint32)],
    }


def restore(folder, said=None, **options):
    like = jax.eval_shape(lambda: state_of(0))
    one = replicated(make_mesh(jax.devices()[:1]))
    said = said if said is not None else []
    return restore_newest(folder, like, one, check=lambda *_: None, say=said.append, **options)


def is_of(restored, seed):
    """Whether exactly that was restored."""
    state, origin, step = restored
    same = jax.tree.map(lambda a, b: a.dtype == b.dtype and np.array_equal(a, b), state, state_of(seed))
    return step == seed and origin == ORIGIN and all(jax.tree.leaves(same))
