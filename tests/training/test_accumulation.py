"""Microbatches and recomputation, against several devices, formulas and the plain step."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glcic_jax.data.batch import Batch
from glcic_jax.errors import UserError
from glcic_jax.training.mesh import check_batch_size, make_mesh
from glcic_jax.training.passes import complete
from glcic_jax.training.rival_steps import cooperative_joint_step, deaf_joint_step
from tests.support.comparison import norm_relative, split_dead_biases
from tests.support.steps import BATCH, SIZE, STEPS, after, batches, differences, initial, spec

RIVALS = {"deaf": deaf_joint_step, "cooperative": cooperative_joint_step}


def parameters_differ(one, other) -> float:
    """Norm-relative, the larger of both networks'; biases without gradient left out."""

    def difference(role: str) -> float:
        return norm_relative(*(split_dead_biases(getattr(state, role).params)[1] for state in (one, other)))

    return max(difference("completion"), difference("discriminator"))


@pytest.mark.parametrize(
    ("stage", "count"),
    [
        ("joint", 2),  # has both networks' passes
        *(pytest.param(stage, 2, marks=pytest.mark.long) for stage in ("completion", "discriminator")),
        *(pytest.param(stage, 4, marks=pytest.mark.long) for stage in STEPS | RIVALS),
    ],
)
def test_microbatches_equal_devices_alone(float64, stage, count):
    """With statistics of each device alone, devices side by side and parts one after the other are the same sums."""
    alone, made = spec(sync=False), batches(1)
    parts = dataclasses.replace(alone, microbatches=count)
    (devices, metrics), (accumulated, found) = (
        after(setup, (STEPS | RIVALS)[stage], size, jnp.float64, made) for setup, size in ((alone, count), (parts, 1))
    )
    assert parameters_differ(accumulated, devices) < 1e-9
    for name, value in metrics.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-9, err_msg=name)


@pytest.mark.long
@pytest.mark.parametrize("stage", ["completion", "joint"])
def test_two_microbatches_on_two_devices(float64, stage):
    """With shared statistics, part m of every device normalises together: the same as its samples on one device."""
    made = batches(1)[0]
    share, part = BATCH // 2, BATCH // 4
    order = [device * share + m * part + i for m in (0, 1) for device in (0, 1) for i in range(part)]
    reordered = Batch(*(field[np.array(order)] for field in made))
    setup = dataclasses.replace(spec(), microbatches=2)
    (two, _), (one, _) = (
        after(setup, STEPS[stage], devices, jnp.float64, [batch]) for devices, batch in ((2, made), (1, reordered))
    )
    for name, value in differences(one, two).items():
        assert value < 1e-9, name


@pytest.mark.parametrize("stage", ["completion", pytest.param("joint", marks=pytest.mark.long)])
def test_running_statistics_move_once_a_microbatch(float64, stage):
    """In order, in one sweep: r becomes 0.9 r + 0.1 s for the statistics s of every part."""
    setup, made = spec(), batches(1)[0]
    parts = [Batch(*(field[m * 8 : m * 8 + 8] for field in made)) for m in range(2)]
    start = initial(setup, jnp.float64).completion.batch_stats
    expected = start
    for part in parts:  # a step from the start shows 0.9 start + 0.1 s
        moved = after(setup, STEPS["completion"], 1, jnp.float64, [part])[0].completion.batch_stats
        expected = jax.tree.map(lambda r, m, s: 0.9 * r + (m - 0.9 * s), expected, moved, start)
    accumulated, _ = after(dataclasses.replace(setup, microbatches=2), STEPS[stage], 1, jnp.float64, [made])
    assert norm_relative(accumulated.completion.batch_stats, expected) < 1e-12


@pytest.mark.long
@pytest.mark.parametrize("stage", ["completion", "joint"])
def test_four_microbatches_of_24_against_a_batch_of_96(float64, stage):
    """Statistics of a part are not those of the batch: close, and equal only where all parts are alike."""
    whole, parts = spec(), dataclasses.replace(spec(), microbatches=4)
    drawn = batches(6)
    made = Batch(*(np.concatenate(fields) for fields in zip(*drawn, strict=True)))
    (one, loss), (four, found) = (after(setup, STEPS[stage], 1, jnp.float64, [made]) for setup in (whole, parts))
    print(
        f"{stage}: the loss differs by {abs(found['completion_loss'] / loss['completion_loss'] - 1):.1e}, "
        f"the parameters after a step by {parameters_differ(four, one):.1e}"
    )
    assert 1e-6 < abs(found["completion_loss"] / loss["completion_loss"] - 1) < 0.1
    alike = Batch(*(np.concatenate([field[:24]] * 4) for field in made))
    (one, _), (four, _) = (after(setup, STEPS[stage], 1, jnp.float64, [alike]) for setup in (whole, parts))
    assert parameters_differ(four, one) < 1e-9


@pytest.mark.long
@pytest.mark.parametrize("stage", ["completion", "joint"])
def test_recomputing_changes_nothing(float64, stage):
    setup, made = spec(), batches(1)
    (kept, _), (recomputed, _) = (
        after(dataclasses.replace(setup, remat=remat), STEPS[stage], 2, jnp.float64, made) for remat in (False, True)
    )
    for name, value in differences(kept, recomputed).items():
        assert value < 1e-9, name


def test_recomputing_keeps_less():
    """In bytes that JAX keeps for C's gradient; compilers for CPUs merge again what is to be computed twice."""
    setup, made = spec(sync=False), batches(1)[0]
    state = initial(setup, jnp.float32).completion

    def kept(remat: bool) -> int:
        def pull_back(params, image, mask):
            def paint(params):
                return complete(dataclasses.replace(setup, remat=remat), params, state.batch_stats, image, mask)[0]

            return jax.vjp(paint, params)[1]

        image = jnp.asarray(made.image, jnp.float32)
        return sum(leaf.nbytes for leaf in jax.tree.leaves(jax.jit(pull_back)(state.params, image, made.mask)))

    outputs = 4 * BATCH * SIZE**2 * (4 + 2 * 8 / 4 + 9 * 16 / 16 + 2 * 8 / 4 + 4 + 2 + 3)  # channels
    assert outputs < kept(True) < outputs * 1.4 < kept(False) / 2


def test_batches_that_do_not_split():
    with pytest.raises(UserError, match=r"batch_size is 96, which 8 devices with config.microbatches=5 do not divide"):
        check_batch_size(96, make_mesh(), 5)
    check_batch_size(96, make_mesh(), 4)
