"""No step turns one type into another by the way: traced, not run, with JAX's own promotion forbidden."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glcic_jax.training.mesh import make_mesh, map_over_mesh
from glcic_jax.training.rival_steps import cooperative_joint_step, deaf_joint_step
from tests.support.steps import STEPS, batches, initial, spec

ALL_STEPS = STEPS | {"deaf": deaf_joint_step, "cooperative": cooperative_joint_step}
OPTIONS = {
    "paper": {},
    "others": {"balance_gradients_steps": 3, "saturating": True, "completion_loss": "absolute"},
    "small": {
        "r1_weight": 1.0,
        "adversarial_ratio": 0.5,
        "feature_matching_weight": 1.0,
        "average_half_life_samples": 100.0,
        "completion_loss_over": "hole",
        "microbatches": 2,
        "remat": True,
    },
}


@pytest.mark.parametrize(
    ("stage", "options"), [*((stage, "small") for stage in ALL_STEPS), ("joint", "paper"), ("joint", "others")]
)
def test_steps(strict_types, stage, options):
    setup = spec(**OPTIONS[options])
    state, batch = initial(setup, np.float32), batches(1)[0]
    step = map_over_mesh(functools.partial(ALL_STEPS[stage], spec=setup), make_mesh(jax.devices()[:2]))
    new, metrics = jax.eval_shape(step, state, batch)
    assert jax.tree.map(lambda leaf: leaf.dtype, new) == jax.tree.map(lambda leaf: leaf.dtype, state)
    assert {value.dtype for value in metrics.values()} == {jnp.float32.dtype}


def test_a_mixture_is_noticed(strict_types):
    with pytest.raises(jax.dtypes.TypePromotionError, match="no available implicit dtype promotion"):
        jnp.arange(3, dtype=jnp.int32) + jnp.ones(3, jnp.float32)
