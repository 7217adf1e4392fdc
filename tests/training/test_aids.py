"""Training aids against NumPy: schedules, clipping, the other losses, the average of C's weights."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from glcic_jax.training.optimizers import learning_rates, make_optimizer
from glcic_jax.training.specification import TrainingSpecification
from tests.support.comparison import norm_relative
from tests.support.small import SmallCompletion, SmallDiscriminator
from tests.support.steps import BATCH, STEPS, WINDOW, after, batches, initial, spec


def small(**options):
    """A specification with all aids on, and networks that compile in a moment."""
    optimizer = make_optimizer(
        "adam", {"learning_rate": 1e-3}, schedule="cosine", warmup_steps=1, spans=(4, 4), clip_norm=0.01
    )
    return TrainingSpecification(
        completion=SmallCompletion(normalized=False),
        discriminator=SmallDiscriminator(),
        completion_optimizer=optimizer,
        discriminator_optimizer=optimizer,
        window_px=WINDOW,
        completion_loss="absolute",
        completion_loss_over="hole",
        average_half_life_samples=24.0,
        **options,
    )


def test_cosine_with_warmup_over_two_spans():
    rates = learning_rates("cosine", 0.5, warmup_steps=2, spans=(6, 4))
    found = [float(rates(step)) for step in range(12)]
    rise = [0.5 / 3, 0.5 * 2 / 3]
    first = [0.25 * (1 + np.cos(np.pi * step / 4)) for step in range(4)]
    second = [0.25 * (1 + np.cos(np.pi * step / 2)) for step in range(2)]
    np.testing.assert_allclose(found, [*rise, *first, *rise, *second, 0, 0], atol=1e-7)


def test_constant_with_warmup():
    rates = learning_rates("constant", 0.5, warmup_steps=1, spans=(3, 0))
    np.testing.assert_allclose([float(rates(step)) for step in range(5)], [0.25, 0.5, 0.5, 0.5, 0.5])


@pytest.mark.parametrize("clip_norm", [0.0, 1.0, 10.0])
def test_clipping_by_the_global_norm(float64, clip_norm):
    gradients = {"a": jnp.array([3.0, 0.0]), "b": jnp.array(-4.0)}  # of norm 5
    optimizer = make_optimizer("sgd", {"learning_rate": 0.1}, clip_norm=clip_norm)
    updates, _ = optimizer.update(gradients, optimizer.init(gradients))
    factor = min(1, clip_norm / 5) if clip_norm else 1
    np.testing.assert_allclose(updates["a"], [-0.3 * factor, 0], rtol=1e-12)
    np.testing.assert_allclose(updates["b"], 0.4 * factor, rtol=1e-12)


def test_a_plain_optimiser_is_optax_s_own():
    """So that runs of older versions go on."""
    parameters = {"a": jnp.zeros(3)}
    ours = make_optimizer("adadelta", {"learning_rate": 1.0, "rho": 0.9, "eps": 1e-6}, spans=(5, 5))
    theirs = optax.adadelta(1.0, rho=0.9, eps=1e-6)
    assert jax.tree.structure(ours.init(parameters)) == jax.tree.structure(theirs.init(parameters))


@pytest.mark.parametrize("name", ["adamm", "clip_by_global_norm"])
def test_names_that_are_no_optimisers(name):
    with pytest.raises(ValueError, match=f"Optax has no optimiser '{name}'"):
        make_optimizer(name, {"learning_rate": 1.0})


def test_the_average_follows_c_s_updates(float64):
    """With half-life 24 samples and 16 a step a step weighs 1 - 0.5^(16/24), in the first steps 9/(10 + step)."""
    setup, made = small(), batches(3)
    average = initial(setup, jnp.float64).completion.params
    for step in range(3):
        state, _ = after(setup, STEPS["completion"], 2, jnp.float64, made[: step + 1])
        share = max(1 - 0.5 ** (BATCH / 24), 9 / (10 + step))
        average = jax.tree.map(lambda a, p, s=share: a + s * (p - a), average, state.completion.params)
        assert norm_relative(state.average["params"], average) < 1e-7
        assert norm_relative(state.average["params"], state.completion.params) > 1e-5
        assert state.best_completion is state.average


def test_no_average_unless_it_is_asked_for():
    state = jax.eval_shape(lambda: initial(spec(), jnp.float32))
    assert state.average is None and state.best_completion == state.completion.variables


def test_stage_2_leaves_the_average_alone(float64):
    setup = small()
    state, _ = after(setup, STEPS["discriminator"], 1, jnp.float64, batches(1))
    before = initial(setup, jnp.float64)
    jax.tree.map(np.testing.assert_array_equal, state.average, jax.device_get(before.average))


@pytest.mark.parametrize("stage", ["completion", "joint"])
def test_one_device_equals_eight_and_microbatches(float64, stage):
    """Without normalisation a batch in parts gives the same too, in stage 1."""
    setup, made = small(), batches(2)
    one, metrics = after(setup, STEPS[stage], 1, jnp.float64, made)
    others = [(setup, 8)]
    if stage == "completion":
        others.append((dataclasses.replace(setup, microbatches=2), 2))
    for other, devices in others:
        found, found_metrics = after(other, STEPS[stage], devices, jnp.float64, made)
        assert norm_relative(found.completion.params, one.completion.params) < 1e-9
        assert norm_relative(found.average, one.average) < 1e-9
        for name, value in metrics.items():
            np.testing.assert_allclose(found_metrics[name], value, rtol=1e-8, err_msg=name)


def test_stage_3_may_have_an_optimiser_of_its_own(float64):
    """With the rate 0 C stays where it is; D learns."""
    still = make_optimizer("adam", {"learning_rate": 0.0}, warmup_steps=1, spans=(1,), clip_norm=1)
    setup = small(joint_completion_optimizer=still)
    before = jax.device_get(initial(setup, jnp.float64))
    state, _ = after(setup, STEPS["joint"], 1, jnp.float64, batches(1))
    jax.tree.map(np.testing.assert_array_equal, state.completion.params, before.completion.params)
    assert norm_relative(state.discriminator.params, before.discriminator.params) > 1e-6
