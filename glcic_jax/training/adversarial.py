"""Stage 3 as others train it: C deaf to D, or C helping D. The paper's own, C fooling D, is `step.joint_step`."""

from typing import Any

import jax
import jax.numpy as jnp

from glcic_jax.data.batch import Batch
from glcic_jax.models.completion import composite
from glcic_jax.training.accumulation import accumulate
from glcic_jax.training.losses import discriminator_loss, masked_squared_error
from glcic_jax.training.state import TrainState
from glcic_jax.training.step import (
    Metrics,
    Problem,
    _complete,
    _judge,
    _mean,
    _shared,
    _to_float,
    _updated,
    _varying,
    completion_step,
    discriminator_step,
)


def deaf_joint_step(state: TrainState, batch: Batch, *, problem: Problem) -> tuple[TrainState, Metrics]:
    """D learns on C's completions and C by squared error alone: it never hears from D (adversarial="none").

    D sees what C paints before its update, as in `joint_step`.
    """
    judged, discriminator_metrics = discriminator_step(state, batch, problem=problem)
    new, completion_metrics = completion_step(state, batch, problem=problem)
    return new.replace(discriminator=judged.discriminator), discriminator_metrics | completion_metrics


def cooperative_joint_step(state: TrainState, batch: Batch, *, problem: Problem) -> tuple[TrainState, Metrics]:
    """One loss for both networks: squared error + alpha x D's loss, nothing stopped (adversarial="cooperative").

    So C learns to paint what D tells apart most easily. With Adam, which works number by number, an optimiser each
    does what one over both would do. D's own gradient is not scaled by alpha, as in the other joint steps: Adam does
    not mind, and Adadelta would stand still. D's running statistics move as always.
    """
    params = _varying(state.completion.params), _varying(state.discriminator.params)

    def learn(stats: Any, batch: Batch) -> tuple[Any, Any]:
        image, mask = _to_float(batch.image), batch.mask

        def losses_of(completion: Any, discriminator: Any) -> tuple[tuple[jax.Array, jax.Array], Any]:
            output, moved = _complete(problem, completion, stats[0], image, mask)
            completed = composite(output, image, mask)
            real_logit, judged = _judge(problem, discriminator, stats[1], image, batch.real_window)
            fake_logit, judged = _judge(problem, discriminator, judged, completed, batch.fake_window)
            error = masked_squared_error(output, image, mask).mean()
            judgement = discriminator_loss(real_logit, fake_logit).mean()
            metrics = {
                "completion_loss": error,
                "discriminator_loss": judgement,
                "accuracy_real": jnp.mean(real_logit > 0, dtype=error.dtype),
                "accuracy_completed": jnp.mean(fake_logit < 0, dtype=error.dtype),
                "logit_real": real_logit.mean(),
                "logit_completed": fake_logit.mean(),
            }
            return (error, judgement), ((moved, judged), metrics)

        (error, _), pull_back, (moved, metrics) = jax.vjp(losses_of, *params, has_aux=True)
        one = jnp.ones_like(error)
        of_completion, _ = pull_back((one, problem.alpha * one))
        _, of_discriminator = pull_back((jnp.zeros_like(one), one))
        return (of_completion, of_discriminator, metrics), moved

    before = state.completion.batch_stats, state.discriminator.batch_stats
    (of_completion, of_discriminator, metrics), (stats, judged) = accumulate(learn, before, batch, problem.microbatches)
    completion = _updated(state.completion, problem.completion_optimizer, of_completion, _shared(stats, problem))
    discriminator = _updated(
        state.discriminator, problem.discriminator_optimizer, of_discriminator, _shared(judged, problem)
    )
    return state.replace(step=state.step + 1, completion=completion, discriminator=discriminator), _mean(metrics)
