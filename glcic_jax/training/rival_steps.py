"""Stage 3 as others train it: C ignores D, or C helps D. The paper's own, in which C fools D, is `step.joint_step`."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from glcic_jax.data.batch import Batch
from glcic_jax.models.completion import composite
from glcic_jax.training.accumulation import accumulate
from glcic_jax.training.judgement import Contest, contest, judge, judgement_metrics
from glcic_jax.training.losses import discriminator_loss
from glcic_jax.training.passes import (
    Metrics,
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
from glcic_jax.training.state import TrainState
from glcic_jax.training.step import completion_step, discriminator_step


def deaf_joint_step(state: TrainState, batch: Batch, *, spec: TrainingSpecification) -> tuple[TrainState, Metrics]:
    """D learns on C's completions, and C by squared error alone, without a gradient from D (adversarial="none").

    D sees what C paints before its update, as in `joint_step`.
    """
    learned, discriminator_metrics = discriminator_step(state, batch, spec=spec)
    alone = dataclasses.replace(spec, completion_optimizer=spec.joint_optimizer)
    new, completion_metrics = completion_step(state, batch, spec=alone)
    return new.replace(discriminator=learned.discriminator), discriminator_metrics | completion_metrics


def cooperative_joint_step(
    state: TrainState, batch: Batch, *, spec: TrainingSpecification
) -> tuple[TrainState, Metrics]:
    """One loss for both networks: squared error + alpha x D's loss, nothing stopped (adversarial="cooperative").

    So C learns to paint what D tells apart most easily. With Adam, which works number by number, an optimiser each
    does what one over both would do. D's own gradient is not scaled by alpha, as in the other joint steps: Adam does
    not mind, and Adadelta, which acts like plain gradient descent on gradients this small, would stand still. D's
    running statistics move as always.
    """
    params = vary_over_mesh(state.completion.params), vary_over_mesh(state.discriminator.params)

    def learn(stats: Any, shown: Contest) -> tuple[Any, Any]:
        image, mask = to_float(shown.image), shown.mask

        def losses_of(completion: Any, discriminator: Any) -> tuple[tuple[jax.Array, jax.Array], Any]:
            output, moved = complete(spec, completion, stats[0], image, mask)
            completed = composite(output, image, mask)
            real_logit, discriminator_stats, _ = judge(
                spec, discriminator, stats[1], image, shown.real_mask, shown.real_window
            )
            fake_logit, discriminator_stats, _ = judge(
                spec, discriminator, discriminator_stats, completed, mask, shown.fake_window
            )
            error = error_of(spec, output, image, mask)
            judgement = discriminator_loss(real_logit, fake_logit).mean()
            metrics = {"completion_loss": error} | judgement_metrics(judgement, real_logit, fake_logit)
            return (error, judgement), ((moved, discriminator_stats), metrics)

        (error, _), pull_back, (moved, metrics) = jax.vjp(losses_of, *params, has_aux=True)
        one = jnp.ones_like(error)
        of_completion, _ = pull_back((one, spec.alpha * one))
        _, of_discriminator = pull_back((jnp.zeros_like(one), spec.discriminator_loss_weight * one))
        return (of_completion, of_discriminator, metrics), moved

    before = state.completion.batch_stats, state.discriminator.batch_stats
    learned, (stats, discriminator_stats) = accumulate(learn, before, contest(spec, batch), spec.microbatches)
    of_completion, of_discriminator, metrics = learned
    stats, discriminator_stats = share_statistics(stats), share_statistics(discriminator_stats)
    completion = update(state.completion, spec.joint_optimizer, of_completion, stats)
    discriminator = update(state.discriminator, spec.discriminator_optimizer, of_discriminator, discriminator_stats)
    state = advance(state, batch, spec, completion=completion, discriminator=discriminator)
    return state, mean_metrics(metrics)
