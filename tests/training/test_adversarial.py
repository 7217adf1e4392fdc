"""D's options and C's other adversarial terms, against the same written plainly for one device."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from glcic_jax.models.discriminator import ContextDiscriminator
from glcic_jax.training.mesh import AXIS
from glcic_jax.training.specification import TrainingSpecification
from tests.support.comparison import norm_relative
from tests.support.small import SmallCompletion, drawn_state
from tests.support.steps import SIZE, STEPS, WINDOW, after, batches

SLOPE = 0.2


def small(spectral: bool = False, **options) -> TrainingSpecification:
    """Both networks in a few layers, D with everything that small budgets ask for, and plain gradient descent."""
    discriminator = ContextDiscriminator(
        width_multiplier=0.03125,
        negative_slope=SLOPE,
        normalization="none",
        spectral_normalization=spectral,
        patch_logits=True,
        mask_channel=True,
        global_depth=2,
        local_depth=1,
        statistics_axis=AXIS,
    )
    descent = optax.sgd(1.0)
    made = {"r1_weight": 0.3, "r1_every_steps": 2, "adversarial_ratio": 0.5, "feature_matching_weight": 2.0} | options
    return TrainingSpecification(
        SmallCompletion(normalized=False), discriminator, descent, descent, window_px=WINDOW, **made
    )


def unit(x):
    return x / jnp.sqrt(jnp.sum(x**2))


def plain_judge(params, stats, image, mask, origins):
    """Logits of all patches and features of all layers; and the vectors of the power iteration after this pass."""
    seen = jnp.concatenate([2 * image - 1, mask], -1)
    windows = jnp.stack([seen[i, y : y + WINDOW, x : x + WINDOW] for i, (y, x) in enumerate(np.asarray(origins))])
    logits, features, moved = [], [], {}

    def convolve(name, x, stride):
        kernel = params[name]["kernel"]
        if stats:
            matrix, u = kernel.reshape(-1, kernel.shape[-1]), stats[name]["u"]
            v = unit(jax.lax.stop_gradient(matrix) @ u)
            u = unit(jax.lax.stop_gradient(matrix).T @ v)
            kernel, moved[name] = kernel / (v @ matrix @ u), {"u": u}
        pad = kernel.shape[0] // 2
        convolved = jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), ((pad, pad), (pad, pad)), dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return convolved + params[name]["bias"].reshape(1, 1, 1, -1)

    for branch, x, depth in (("local", windows, 1), ("global", seen, 2)):
        for number in range(1, depth + 1):
            x = convolve(f"{branch}_conv{number}", x, 2)
            x = jnp.where(x > 0, x, SLOPE * x)
            features.append(x)
        logits.append(convolve(f"{branch}_logits", x, 1).reshape(len(x), -1))
    return jnp.concatenate(logits, -1), features, moved


def plain_discriminator_loss(params, stats, batch, completed, penalised):
    image, mask = batch.image, batch.mask.astype(float)
    others, places = np.roll(mask, 1, axis=0), np.roll(batch.fake_window, 1, axis=0)
    real, _, moved = plain_judge(params, stats, image, others, places)
    fake, _, moved = plain_judge(params, moved, completed, mask, batch.fake_window)
    loss = -(jnp.log(jax.nn.sigmoid(real)).mean() + jnp.log(1 - jax.nn.sigmoid(fake)).mean())
    if penalised:
        slope = jax.grad(lambda x: plain_judge(params, stats, x, others, places)[0].sum())(image)
        loss += 0.3 / 2 * 2 * (slope**2).sum((1, 2, 3)).mean()
    return loss, moved


def floats(batch):
    return batch._replace(image=batch.image.astype(np.float64) / 255)


@pytest.mark.parametrize(
    ("spectral", "step", "penalised"),
    [
        (True, 4, True),
        (False, 5, False),
        pytest.param(True, 5, False, marks=pytest.mark.long),
        pytest.param(False, 4, True, marks=pytest.mark.long),
    ],
)
def test_stage_2(float64, spectral, step, penalised):
    """On four devices: D's loss with R1 in every second step, masks of other samples, patches, spectral norms."""
    setup, made = small(spectral), floats(batches(1)[0])
    state = drawn_state(setup, crop_px=SIZE).replace(step=np.int32(step))
    before = jax.tree.map(np.copy, state)
    new, metrics = after(setup, STEPS["discriminator"], 4, jnp.float64, [made], state)
    output = setup.completion.apply(before.completion.variables, made.image, made.mask)
    completed = jnp.where(made.mask > 0, output, made.image)
    params, stats = before.discriminator.params, before.discriminator.batch_stats

    def loss_of(params):
        return plain_discriminator_loss(params, stats, made, completed, penalised)

    (loss, moved), gradient = jax.jit(jax.value_and_grad(loss_of, has_aux=True))(params)
    expected = jax.tree.map(lambda p, g: p - g, params, gradient)
    assert norm_relative(new.discriminator.params, expected) < 1e-9
    assert float(metrics["discriminator_loss"]) + 0.15 * float(metrics["r1_penalty"]) == pytest.approx(float(loss))
    assert (float(metrics["r1_penalty"]) > 0) == penalised
    if spectral:
        assert norm_relative(new.discriminator.batch_stats, moved) < 1e-12


def test_stage_3(float64):
    """C's gradient at its output: the error's, and the adversarial one with feature matching at half its norm."""
    setup, made = small(r1_weight=0.0), floats(batches(1)[0])
    state = drawn_state(setup, crop_px=SIZE)
    before = jax.tree.map(np.copy, state)
    new, metrics = after(setup, STEPS["joint"], 2, jnp.float64, [made], state)
    mask = made.mask.astype(float)

    def paint(params):
        return setup.completion.apply({"params": params}, made.image, made.mask)

    output, pull_back = jax.vjp(paint, before.completion.params)

    def completed(output):
        return mask * output + (1 - mask) * made.image

    judging = new.discriminator.params

    def adversarial(output):
        logit, found, _ = plain_judge(judging, {}, completed(output), mask, made.fake_window)
        wanted = plain_judge(judging, {}, made.image, mask, made.fake_window)[1]
        distance = sum(abs(a - b).mean() for a, b in zip(found, wanted, strict=True)) / len(wanted)
        return -jnp.log(jax.nn.sigmoid(logit)).mean() + 2.0 * distance, distance

    error = jax.grad(lambda output: ((completed(output) - made.image) ** 2).mean())(output)
    fooling, distance = jax.grad(adversarial, has_aux=True)(output)
    fooling *= 0.5 * jnp.linalg.norm(error.ravel()) / jnp.linalg.norm(fooling.ravel())
    (gradient,) = pull_back(error + fooling)
    expected = jax.tree.map(lambda p, g: p - g, before.completion.params, gradient)
    moved = jax.tree.map(lambda a, b: a - b, new.completion.params, before.completion.params)
    assert norm_relative(moved, jax.tree.map(lambda g: -g, gradient)) < 1e-9
    assert norm_relative(new.completion.params, expected) < 1e-12
    assert float(metrics["feature_matching_loss"]) == pytest.approx(float(distance))
    ratio = metrics["output_gradient_adversarial"] / metrics["output_gradient_squared_error"]
    assert float(ratio) == pytest.approx(0.5)


@pytest.mark.parametrize("stage", ["discriminator", "joint"])
def test_one_device_equals_eight(float64, stage):
    setup, made = small(spectral=True), batches(2)
    (one, metrics), (eight, eight_metrics) = (after(setup, STEPS[stage], n, jnp.float64, made) for n in (1, 8))
    for role in ("completion", "discriminator"):
        a, b = getattr(one, role), getattr(eight, role)
        assert norm_relative(b.params, a.params) < 1e-9
    assert norm_relative(eight.discriminator.batch_stats, one.discriminator.batch_stats) < 1e-9
    for name, value in metrics.items():
        np.testing.assert_allclose(eight_metrics[name], value, rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("stage", [pytest.param("discriminator", marks=pytest.mark.long), "joint"])
def test_microbatches(float64, stage):
    """Without normalisation, with the weight alpha, a batch in parts gives the same."""
    setup, made = small(adversarial_ratio=0.0, alpha=0.01), batches(1)
    (whole, metrics), (parts, found) = (
        after(dataclasses.replace(setup, microbatches=count), STEPS[stage], 2, jnp.float64, made) for count in (1, 4)
    )
    assert norm_relative(parts.discriminator.params, whole.discriminator.params) < 1e-9
    assert norm_relative(parts.completion.params, whole.completion.params) < 1e-9
    for name, value in metrics.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-9, err_msg=name)
