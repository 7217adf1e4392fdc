"""The same steps on 1 and on 8 devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glcic_jax.data.batch import Batch
from glcic_jax.errors import UserError
from glcic_jax.training.mesh import (
    check_batch_size,
    make_mesh,
)
from glcic_jax.training.specification import TrainingSpecification
from glcic_jax.training.step import completion_step, discriminator_step, joint_step
from tests.support.comparison import norm_relative
from tests.support.steps import BATCH, STEPS, WINDOW, after, batches, differences, initial, spec


@pytest.mark.parametrize(
    "stage",
    [
        "joint",  # has both networks' passes
        *(pytest.param(stage, marks=pytest.mark.long) for stage in ("completion", "discriminator")),
    ],
)
def test_one_device_equals_eight(float64, stage):
    made = batches(3)
    (one, metrics_one), (eight, metrics_eight) = (
        after(spec(), STEPS[stage], devices, jnp.float64, made) for devices in (1, 8)
    )
    for name, value in differences(one, eight).items():
        print(f"float64, {stage}: {name}: {value:.1e}")
        assert value < 1e-9, name
    for name, value in metrics_one.items():
        np.testing.assert_allclose(metrics_eight[name], value, rtol=1e-9, err_msg=name)
    assert int(eight.step) == 3


@pytest.mark.long
@pytest.mark.parametrize("stage", STEPS)
def test_float32_figures(stage):
    """Rounding grows in training, so float32 is only shown (pytest -s): what it must be is finite."""
    made = batches(3)
    (one, _), (eight, _) = (after(spec(), STEPS[stage], devices, jnp.float32, made) for devices in (1, 8))
    for name, value in differences(one, eight).items():
        print(f"float32, {stage}: {name}: {value:.1e}")
        assert np.isfinite(value)


def test_statistics_of_each_device_alone(float64):
    """Without synchronisation the running statistics are those of the parts, averaged."""
    setup, made = spec(sync=False), batches(1)
    together, _ = after(setup, completion_step, 4, jnp.float64, made)
    parts = []
    for part in range(4):
        rows = slice(part * BATCH // 4, (part + 1) * BATCH // 4)
        share = Batch(*(field[rows] for field in made[0]))
        parts.append(after(setup, completion_step, 1, jnp.float64, [share])[0].completion.batch_stats)
    expected = jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *parts)
    assert norm_relative(together.completion.batch_stats, expected) < 1e-12


def test_stage_2_leaves_the_completion_network_alone(float64):
    setup, made = spec(), batches(1)
    before = jax.device_get(initial(setup, jnp.float64))
    state, _ = after(setup, discriminator_step, 1, jnp.float64, made)
    for a, b in zip(jax.tree.leaves(before.completion), jax.tree.leaves(state.completion), strict=True):
        np.testing.assert_array_equal(a, b)


def test_balanced_gradients(float64):
    """The adversarial gradient at C takes the norm of the squared error's, for the first steps of stage 3 only."""
    made = batches(2)
    setup = spec(balance_gradients_steps=1, joint_start_step=0)
    for count, devices, equal in ((1, 8, True), (2, 1, False)):
        _, metrics = after(setup, joint_step, devices, jnp.float64, made[:count])
        ratio = metrics["output_gradient_adversarial"] / metrics["output_gradient_squared_error"]
        assert (abs(ratio - 1) < 1e-6) == equal


@pytest.mark.parametrize("stage", ["completion", pytest.param("joint", marks=pytest.mark.long)])
def test_bfloat16_trains(stage):
    bf16 = spec()
    setup = TrainingSpecification(
        bf16.completion.clone(dtype=jnp.bfloat16), bf16.discriminator.clone(dtype=jnp.bfloat16),
        bf16.completion_optimizer, bf16.discriminator_optimizer, window_px=WINDOW,
    )  # fmt: skip
    made = batches(1)
    state, metrics = after(setup, STEPS[stage], 2, jnp.float32, made)
    _, exact = after(spec(), STEPS[stage], 2, jnp.float32, made)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(state.completion.params))
    assert abs(metrics["completion_loss"] - exact["completion_loss"]) < 0.05 * exact["completion_loss"]


def test_a_batch_that_the_devices_do_not_divide():
    with pytest.raises(UserError, match="batch_size is 10, which 8 devices do not divide; use 8 or 16"):
        check_batch_size(10, make_mesh())
    check_batch_size(16, make_mesh())
