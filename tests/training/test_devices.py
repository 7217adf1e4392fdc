"""The same steps on 1 and on 8 devices."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from glcic_jax.data.batch import Batch
from glcic_jax.errors import UserError
from glcic_jax.models.completion import CompletionNetwork
from glcic_jax.models.discriminator import ContextDiscriminator
from glcic_jax.training.mesh import (
    AXIS,
    check_batch_size,
    make_mesh,
    map_over_mesh,
    put_batch,
    put_replicated,
)
from glcic_jax.training.state import create_state
from glcic_jax.training.step import Problem, completion_step, discriminator_step, joint_step
from tests.training.test_step_parity import norm_relative, split_dead_biases

STEPS = {"completion": completion_step, "discriminator": discriminator_step, "joint": joint_step}
SIZE, WINDOW, BATCH = 32, 16, 16


def problem(sync: bool = True, **options) -> Problem:
    common = {"width_multiplier": 0.0625, "statistics_axis": AXIS if sync else None}
    adadelta = optax.adadelta(learning_rate=1.0, rho=0.9, eps=1e-6)
    return Problem(
        CompletionNetwork(**common),
        ContextDiscriminator(**common),
        adadelta,
        adadelta,
        window_px=WINDOW,
        **options,
    )


def batches(count: int) -> list[Batch]:
    rng = np.random.default_rng(0)
    made = []
    for _ in range(count):
        mask = np.zeros((BATCH, SIZE, SIZE, 1), np.uint8)
        for sample in mask:
            y, x = rng.integers(0, SIZE - 12, 2)
            sample[y : y + 12, x : x + 10] = 1
        image = rng.integers(0, 256, (BATCH, SIZE, SIZE, 3), dtype=np.uint8)
        windows = rng.integers(0, SIZE - WINDOW + 1, (2, BATCH, 2)).astype(np.int32)
        made.append(Batch(image, mask, *windows))
    return made


def initial(setup: Problem, dtype):
    state = create_state(
        jax.random.key(0),
        setup.completion,
        setup.discriminator,
        setup.completion_optimizer,
        setup.discriminator_optimizer,
        crop_px=SIZE,
        window_px=WINDOW,
    )
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, state)


def after(setup: Problem, step, devices: int, dtype, made: list[Batch]):
    mesh = make_mesh(jax.devices()[:devices])
    state = put_replicated(mesh, initial(setup, dtype))
    compiled = map_over_mesh(functools.partial(step, problem=setup), mesh)
    for batch in made:
        if dtype == jnp.float64:  # float from the start: the step turns 8-bit values into float32
            batch = batch._replace(image=batch.image.astype(np.float64) / 255)
        state, metrics = compiled(state, put_batch(mesh, batch))
    return jax.device_get((state, metrics))


def differences(one, eight) -> dict[str, float]:
    found = {}
    for role in ("completion", "discriminator"):
        a, b = getattr(one, role), getattr(eight, role)
        (dead_a, live_a), (dead_b, live_b) = split_dead_biases(a.params), split_dead_biases(b.params)
        found[f"{role} parameters"] = norm_relative(live_b, live_a)
        found[f"{role} dead biases (absolute)"] = max(float(np.abs(dead_a[k] - dead_b[k]).max()) for k in dead_a)
        found[f"{role} statistics"] = norm_relative(b.batch_stats, a.batch_stats)
    return found


@pytest.mark.parametrize("stage", STEPS)
def test_one_device_equals_eight(float64, stage):
    made = batches(3)
    (one, metrics_one), (eight, metrics_eight) = (
        after(problem(), STEPS[stage], devices, jnp.float64, made) for devices in (1, 8)
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
    (one, _), (eight, _) = (after(problem(), STEPS[stage], devices, jnp.float32, made) for devices in (1, 8))
    for name, value in differences(one, eight).items():
        print(f"float32, {stage}: {name}: {value:.1e}")
        assert np.isfinite(value)


def test_statistics_of_each_device_alone(float64):
    """Without synchronisation the running statistics are those of the parts, averaged."""
    setup, made = problem(sync=False), batches(1)
    together, _ = after(setup, completion_step, 4, jnp.float64, made)
    parts = []
    for part in range(4):
        rows = slice(part * BATCH // 4, (part + 1) * BATCH // 4)
        share = Batch(*(field[rows] for field in made[0]))
        parts.append(after(setup, completion_step, 1, jnp.float64, [share])[0].completion.batch_stats)
    expected = jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *parts)
    assert norm_relative(together.completion.batch_stats, expected) < 1e-12


def test_stage_2_leaves_the_completion_network_alone(float64):
    setup, made = problem(), batches(1)
    before = jax.device_get(initial(setup, jnp.float64))
    state, _ = after(setup, discriminator_step, 1, jnp.float64, made)
    for a, b in zip(jax.tree.leaves(before.completion), jax.tree.leaves(state.completion), strict=True):
        np.testing.assert_array_equal(a, b)


def test_balanced_gradients(float64):
    """The adversarial gradient at C takes the norm of the squared error's, for the first steps of stage 3 only."""
    made = batches(2)
    setup = problem(balance_gradients_steps=1, joint_start_step=0)
    for count, devices, equal in ((1, 8, True), (2, 1, False)):
        _, metrics = after(setup, joint_step, devices, jnp.float64, made[:count])
        ratio = metrics["output_gradient_adversarial"] / metrics["output_gradient_squared_error"]
        assert (abs(ratio - 1) < 1e-6) == equal


def test_bfloat16_trains():
    bf16 = problem()
    setup = Problem(
        bf16.completion.clone(dtype=jnp.bfloat16), bf16.discriminator.clone(dtype=jnp.bfloat16),
        bf16.completion_optimizer, bf16.discriminator_optimizer, window_px=WINDOW,
    )  # fmt: skip
    made = batches(1)
    state, metrics = after(setup, joint_step, 2, jnp.float32, made)
    _, exact = after(problem(), joint_step, 2, jnp.float32, made)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(state.completion.params))
    assert abs(metrics["completion_loss"] - exact["completion_loss"]) < 0.05 * exact["completion_loss"]


def test_a_batch_that_the_devices_do_not_divide():
    with pytest.raises(UserError, match="batch_size is 10, which 8 devices do not divide; use 8 or 16"):
        check_batch_size(10, make_mesh())
    check_batch_size(16, make_mesh())
