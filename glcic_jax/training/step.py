"""The three stages as pure functions `(state, batch) -> (state, metrics)`, mapped over the mesh axis "data".

Every function here sees one device's share of the batch. A loss is the mean over that share; parameters are marked
as varying over the mesh before differentiation, so that the one `pmean` of the gradients makes them the gradient of
the mean over the global batch. (Without the mark, automatic differentiation sums over the devices by itself, and
the `pmean` would leave a gradient that is too large by their number.)

BatchNorm's statistics are over the global batch where the networks name the mesh axis; where they do not, each
device normalises with its own, and the running ones are averaged. With microbatches, each normalises with its own
statistics, of all devices together or of each alone, and the running ones move once a microbatch.
"""

from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from glcic_jax.data.batch import Batch
from glcic_jax.models.completion import composite
from glcic_jax.training.accumulation import accumulate
from glcic_jax.training.judgement import Contest, contest, judge, judgement
from glcic_jax.training.losses import adversarial_loss, feature_distance
from glcic_jax.training.mesh import AXIS
from glcic_jax.training.passes import (
    Metrics,
    Passed,
    advance,
    complete,
    error_of,
    mean_metrics,
    share_statistics,
    to_float,
    update,
    vary_over_mesh,
)
from glcic_jax.training.specification import TrainingSpecification
from glcic_jax.training.state import NetworkState, TrainState

ERROR_NORM, ADVERSARIAL_NORM = "output_gradient_squared_error", "output_gradient_adversarial"


class Step(Protocol):
    """What all steps are called like."""

    def __call__(self, state: TrainState, batch: Batch, *, spec: TrainingSpecification) -> tuple[TrainState, Metrics]:
        """The state after one more batch, and figures of it."""


def completion_step(state: TrainState, batch: Batch, *, spec: TrainingSpecification) -> tuple[TrainState, Metrics]:
    """Stage 1: C learns by its error inside the hole (paper, section 3.4)."""
    params = vary_over_mesh(state.completion.params)

    def learn(stats: Any, batch: Batch) -> tuple[tuple[Any, Metrics], Any]:
        image, mask = to_float(batch.image), batch.mask

        def loss_of(params: Any) -> tuple[jax.Array, Any]:
            output, moved = complete(spec, params, stats, image, mask)
            return error_of(spec, output, image, mask), moved

        (loss, moved), grads = jax.value_and_grad(loss_of, has_aux=True)(params)
        return (grads, {"completion_loss": loss}), moved

    (grads, metrics), stats = accumulate(learn, state.completion.batch_stats, batch, spec.microbatches)
    completion = update(state.completion, spec.completion_optimizer, grads, share_statistics(stats))
    return advance(state, batch, spec, completion=completion), mean_metrics(metrics)


def discriminator_step(state: TrainState, batch: Batch, *, spec: TrainingSpecification) -> tuple[TrainState, Metrics]:
    """Stage 2: D learns on real against completed; C is frozen, its running statistics too (paper, section 3.4).

    C normalises with the batch's statistics, so that D learns on what it will meet in stage 3.
    """
    params = vary_over_mesh(state.discriminator.params)

    def learn(stats: Any, shown: Contest) -> tuple[tuple[Any, Metrics], Any]:
        image = to_float(shown.image)
        output, _ = complete(spec, state.completion.params, state.completion.batch_stats, image, shown.mask)
        return judgement(spec, params, stats, output, shown, state.step)

    before = state.discriminator.batch_stats
    (grads, metrics), stats = accumulate(learn, before, contest(spec, batch), spec.microbatches)
    discriminator = update(state.discriminator, spec.discriminator_optimizer, grads, share_statistics(stats))
    return advance(state, batch, spec, discriminator=discriminator), mean_metrics(metrics)


def joint_step(state: TrainState, batch: Batch, *, spec: TrainingSpecification) -> tuple[TrainState, Metrics]:
    """Stage 3: D learns, then C learns through the updated D (paper, algorithm 1).

    C runs forward once; with microbatches it does so again in a second sweep, after D's update, whose running
    statistics are thrown away.
    """

    def paint(stats: Any, shown: Contest) -> tuple[jax.Array, Any, Any]:
        image = to_float(shown.image)
        return jax.vjp(
            lambda params: complete(spec, params, stats, image, shown.mask),
            vary_over_mesh(state.completion.params),
            has_aux=True,
        )

    shown = contest(spec, batch)
    painted = paint(state.completion.batch_stats, shown) if spec.microbatches == 1 else None
    judging = vary_over_mesh(state.discriminator.params)

    def learn_to_judge(stats: Any, shown: Contest) -> tuple[tuple[Any, Metrics], Any]:
        output, _, completion_stats = painted or paint(stats[0], shown)
        constant = jax.lax.stop_gradient(output)
        learned, discriminator_stats = judgement(spec, judging, stats[1], constant, shown, state.step)
        return learned, (completion_stats, discriminator_stats)

    before = state.completion.batch_stats, state.discriminator.batch_stats
    (grads, metrics), (stats, discriminator_stats) = accumulate(learn_to_judge, before, shown, spec.microbatches)
    discriminator = update(
        state.discriminator, spec.discriminator_optimizer, grads, share_statistics(discriminator_stats)
    )
    if spec.microbatches > 1:  # the second sweep begins after the first, which leaves it nothing to keep
        _, shown = jax.lax.optimization_barrier((discriminator.params, shown))

    def learn_to_complete(_: None, shown: Contest) -> tuple[tuple[Any, Metrics], None]:
        output, pull_back, _ = painted or paint(state.completion.batch_stats, shown)
        gradient, metrics = _output_gradient(state, shown, output, discriminator, spec)
        return (pull_back(gradient)[0], metrics), None

    (grads, learned), _ = accumulate(learn_to_complete, None, shown, spec.microbatches)
    completion = update(state.completion, spec.joint_optimizer, grads, share_statistics(stats))
    metrics = mean_metrics(metrics | learned)
    for name in (ERROR_NORM, ADVERSARIAL_NORM):  # of the mean over all parts on all devices
        metrics[name] = jnp.sqrt(metrics[name] / (spec.microbatches * jax.lax.axis_size(AXIS)))
    return advance(state, batch, spec, completion=completion, discriminator=discriminator), metrics


def _output_gradient(
    state: TrainState,
    shown: Contest,
    output: Float[Array, "n h w 3"],
    discriminator: NetworkState,
    spec: TrainingSpecification,
) -> tuple[Float[Array, "n h w 3"], Metrics]:
    """Gradient of C's loss at its output, through the updated D; the losses, and both gradients' squared norms."""
    image, mask = to_float(shown.image), shown.mask

    def judge_shown(image: jax.Array) -> Passed:
        # These passes leave D's running statistics as they are.
        params, stats = discriminator.params, discriminator.batch_stats
        return judge(spec, params, stats, image, mask, shown.fake_window)

    wanted = judge_shown(image).features if spec.feature_matching_weight else {}

    def adversarial(output: jax.Array) -> tuple[jax.Array, Metrics]:
        passed = judge_shown(composite(output, image, mask))
        loss = adversarial_loss(passed.output, spec.saturating).mean()
        if not spec.feature_matching_weight:
            return loss, {"adversarial_loss": loss}
        distance = feature_distance(passed.features, wanted).mean()
        metrics = {"adversarial_loss": loss, "feature_matching_loss": distance}
        return loss + spec.feature_matching_weight * distance, metrics

    loss, error_gradient = jax.value_and_grad(lambda output: error_of(spec, output, image, mask))(output)
    adversarial_gradient, metrics = jax.grad(adversarial, has_aux=True)(output)
    squares = jnp.sum(jnp.square(error_gradient)), jnp.sum(jnp.square(adversarial_gradient))
    weight = _adversarial_weight(state, spec, *squares)
    metrics |= {
        "completion_loss": loss,
        ERROR_NORM: squares[0],
        ADVERSARIAL_NORM: weight**2 * squares[1],
    }
    return error_gradient + weight * adversarial_gradient, metrics


def _adversarial_weight(
    state: TrainState,
    spec: TrainingSpecification,
    error_square: Float[Array, ""],
    adversarial_square: Float[Array, ""],
) -> Float[Array, ""]:
    """Alpha, or what gives the adversarial gradient the norm that the recipe asks for beside the error's."""
    alpha = jnp.asarray(spec.alpha, error_square.dtype)
    if not spec.adversarial_ratio and not spec.balance_gradients_steps:
        return alpha
    error_sum, adversarial_sum = jax.lax.psum((error_square, adversarial_square), AXIS)
    balance = jnp.sqrt(error_sum / jnp.maximum(adversarial_sum, 1e-37))
    if spec.adversarial_ratio:
        alpha = spec.adversarial_ratio * balance
    balanced = state.step < spec.joint_start_step + spec.balance_gradients_steps
    return jnp.where(balanced, balance, alpha)
