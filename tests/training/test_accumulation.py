"""Microbatches and recomputation, against several devices, formulas and the plain step."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glcic_jax.data.batch import Batch
from glcic_jax.errors import UserError
from glcic_jax.training.adversarial import cooperative_joint_step, deaf_joint_step
from glcic_jax.training.mesh import check_batch_size, make_mesh
from tests.training.test_devices import BATCH, STEPS, after, batches, differences, problem
from tests.training.test_step_parity import norm_relative, split_dead_biases

ALL_STEPS = STEPS | {"deaf": deaf_joint_step, "cooperative": cooperative_joint_step}


def parameters_differ(one, other) -> float:
    """Norm-relative, the larger of both networks'; biases without gradient left out."""
    pairs = [
        (split_dead_biases(getattr(state, role).params)[1] for state in (other, one))
        for role in ("completion", "discriminator")
    ]
    return max(norm_relative(*pair) for pair in pairs)


@pytest.mark.parametrize("stage", ALL_STEPS)
def test_four_microbatches_equal_four_devices_alone(float64, stage):
    """With statistics of each device alone, devices side by side and parts one after the other are the same sums."""
    alone, made = problem(sync=False), batches(1)
    parts = dataclasses.replace(alone, microbatches=4)
    (devices, metrics), (accumulated, found) = (
        after(setup, ALL_STEPS[stage], count, jnp.float64, made) for setup, count in ((alone, 4), (parts, 1))
    )
    assert parameters_differ(accumulated, devices) < 1e-9
    for name, value in metrics.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-9, err_msg=name)


def test_two_microbatches_on_two_devices(float64):
    """With shared statistics, part m of every device normalises together: the same as its samples on one device."""
    made = batches(1)[0]
    share, part = BATCH // 2, BATCH // 4
    order = [device * share + m * part + i for m in (0, 1) for device in (0, 1) for i in range(part)]
    reordered = Batch(*(field[np.array(order)] for field in made))
    setup = dataclasses.replace(problem(), microbatches=2)
    (two, _), (one, _) = (
        after(setup, STEPS["joint"], devices, jnp.float64, [batch]) for devices, batch in ((2, made), (1, reordered))
    )
    for name, value in differences(one, two).items():
        assert value < 1e-9, name


@pytest.mark.parametrize("stage", ["completion", "joint"])
def test_running_statistics_move_once_a_microbatch(float64, stage):
    """In order, in one sweep: r becomes 0.9 r + 0.1 s for the statistics s of every part."""
    setup, made = problem(), batches(1)[0]
    parts = [Batch(*(field[m * 4 : m * 4 + 4] for field in made)) for m in range(4)]
    start = after(setup, STEPS["completion"], 1, jnp.float64, [])[0]
    expected = start.completion.batch_stats
    for part in parts:  # a step from the start shows 0.9 start + 0.1 s
        moved = after(setup, STEPS["completion"], 1, jnp.float64, [part])[0].completion.batch_stats
        expected = jax.tree.map(lambda r, m, s: 0.9 * r + (m - 0.9 * s), expected, moved, start.completion.batch_stats)
    accumulated, _ = after(dataclasses.replace(setup, microbatches=4), STEPS[stage], 1, jnp.float64, [made])
    assert norm_relative(accumulated.completion.batch_stats, expected) < 1e-12


def test_against_the_whole_batch(float64):
    """Statistics of a part are not those of the batch: close, and equal only where all parts are alike."""
    whole, parts = problem(), dataclasses.replace(problem(), microbatches=4)
    made = batches(1)[0]
    found = [after(setup, STEPS["joint"], 1, jnp.float64, [made])[1]["completion_loss"] for setup in (whole, parts)]
    difference = abs(found[1] / found[0] - 1)
    print(f"4 microbatches of {BATCH // 4} against a batch of {BATCH}: the loss differs by {difference:.1e}")
    assert 1e-6 < difference < 0.1
    alike = Batch(*(np.concatenate([field[:4]] * 4) for field in made))
    (one, _), (four, _) = (after(setup, STEPS["joint"], 1, jnp.float64, [alike]) for setup in (whole, parts))
    assert parameters_differ(four, one) < 1e-9


@pytest.mark.parametrize("stage", ["discriminator", "joint"])
def test_recomputing_changes_nothing(float64, stage):
    setup, made = problem(), batches(1)
    (kept, _), (recomputed, _) = (
        after(dataclasses.replace(setup, remat=remat), STEPS[stage], 2, jnp.float64, made) for remat in (False, True)
    )
    for name, value in differences(kept, recomputed).items():
        assert value < 1e-9, name


def test_batches_that_do_not_split():
    with pytest.raises(UserError, match=r"batch_size is 96, which 8 devices with config.microbatches=5 do not divide"):
        check_batch_size(96, make_mesh(), 5)
    check_batch_size(96, make_mesh(), 4)
