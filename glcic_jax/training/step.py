"""The three stages as pure functions `(state, batch) -> (state, metrics)`, mapped over the mesh axis "data".

Every function here sees one device's share of the batch. A loss is the mean over that share; parameters are marked
as varying over the mesh before differentiation, so that the one `pmean` of the gradients makes them the gradient of
the mean over the global batch. (Without the mark, automatic differentiation sums over the devices by itself, and
the `pmean` would leave a gradient that is too large by their number.)

BatchNorm's statistics are over the global batch where the networks name the mesh axis; where they do not, each
device normalises with its own, and the running ones are averaged.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax

from glcic_jax.data.batch import Batch
from glcic_jax.models.completion import CompletionNetwork, composite
from glcic_jax.models.context_encoder import ContextEncoder, PatchDiscriminator
from glcic_jax.models.discriminator import ContextDiscriminator, crop_windows
from glcic_jax.training.losses import adversarial_loss, discriminator_loss, masked_squared_error
from glcic_jax.training.mesh import AXIS
from glcic_jax.training.state import NetworkState, TrainState

Metrics = dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Problem:
    """What the steps need besides arrays.

    alpha: weight of the adversarial loss beside the squared error (paper: 0.0004).
    saturating: C minimises log(1 - D) as the paper writes it, instead of -log D.
    balance_gradients_steps: for so many steps, counted from `joint_start_step`, the adversarial gradient at C's
        output is scaled to the norm of the squared error's, instead of by alpha (paper, section 3.4).
    """

    completion: CompletionNetwork | ContextEncoder
    discriminator: ContextDiscriminator | PatchDiscriminator
    completion_optimizer: optax.GradientTransformation
    discriminator_optimizer: optax.GradientTransformation
    window_px: int
    alpha: float = 4e-4
    saturating: bool = False
    balance_gradients_steps: int = 0
    joint_start_step: int = 0


def completion_step(state: TrainState, batch: Batch, *, problem: Problem) -> tuple[TrainState, Metrics]:
    """Stage 1: C learns by squared error inside the hole (paper, section 3.4)."""
    image, mask = _to_float(batch.image), batch.mask

    def loss_of(params: Any) -> tuple[jax.Array, Any]:
        output, stats = _complete(problem, params, state.completion.batch_stats, image, mask)
        return masked_squared_error(output, image, mask).mean(), stats

    (loss, stats), grads = jax.value_and_grad(loss_of, has_aux=True)(_varying(state.completion.params))
    completion = _updated(state.completion, problem.completion_optimizer, grads, _shared(stats, problem))
    metrics = {"completion_loss": loss}
    return state.replace(step=state.step + 1, completion=completion), _mean(metrics)


def discriminator_step(state: TrainState, batch: Batch, *, problem: Problem) -> tuple[TrainState, Metrics]:
    """Stage 2: D learns on real against completed; C is frozen, its running statistics too (paper, section 3.4).

    C normalises with the batch's statistics, so that D learns on what it will meet in stage 3.
    """
    image = _to_float(batch.image)
    output, _ = _complete(problem, state.completion.params, state.completion.batch_stats, image, batch.mask)
    completed = composite(output, image, batch.mask)
    discriminator, metrics = _updated_discriminator(state.discriminator, image, completed, batch, problem)
    return state.replace(step=state.step + 1, discriminator=discriminator), _mean(metrics)


def joint_step(state: TrainState, batch: Batch, *, problem: Problem) -> tuple[TrainState, Metrics]:
    """Stage 3: D learns, then C learns through the updated D; C runs forward once (paper, algorithm 1)."""
    image, mask = _to_float(batch.image), batch.mask

    def complete(params: Any) -> tuple[jax.Array, Any]:
        return _complete(problem, params, state.completion.batch_stats, image, mask)

    output, pull_back, stats = jax.vjp(complete, _varying(state.completion.params), has_aux=True)
    completed = jax.lax.stop_gradient(composite(output, image, mask))
    discriminator, metrics = _updated_discriminator(state.discriminator, image, completed, batch, problem)

    def squared_error(output: jax.Array) -> jax.Array:
        return masked_squared_error(output, image, mask).mean()

    def adversarial(output: jax.Array) -> jax.Array:
        completed = composite(output, image, mask)
        # This pass leaves D's running statistics as they are.
        logit, _ = _judge(problem, discriminator.params, discriminator.batch_stats, completed, batch.fake_window)
        return adversarial_loss(logit, problem.saturating).mean()

    loss, error_gradient = jax.value_and_grad(squared_error)(output)
    adversarial_value, adversarial_gradient = jax.value_and_grad(adversarial)(output)
    error_norm, adversarial_norm = _global_norm(error_gradient), _global_norm(adversarial_gradient)
    alpha = jnp.asarray(problem.alpha, loss.dtype)
    if problem.balance_gradients_steps:
        balanced = state.step < problem.joint_start_step + problem.balance_gradients_steps
        alpha = jnp.where(balanced, error_norm / jnp.maximum(adversarial_norm, 1e-20), alpha)
    (grads,) = pull_back(error_gradient + alpha * adversarial_gradient)

    completion = _updated(state.completion, problem.completion_optimizer, grads, _shared(stats, problem))
    metrics |= {"completion_loss": loss, "adversarial_loss": adversarial_value}
    norms = {"output_gradient_squared_error": error_norm, "output_gradient_adversarial": alpha * adversarial_norm}
    new = state.replace(step=state.step + 1, completion=completion, discriminator=discriminator)
    return new, _mean(metrics) | norms


def _updated_discriminator(
    state: NetworkState, image: jax.Array, completed: jax.Array, batch: Batch, problem: Problem
) -> tuple[NetworkState, Metrics]:
    """One update of D: a pass over real images, then one over completed ones; both move its running statistics."""

    def loss_of(params: Any) -> tuple[jax.Array, Any]:
        real_logit, stats = _judge(problem, params, state.batch_stats, image, batch.real_window)
        fake_logit, stats = _judge(problem, params, stats, completed, batch.fake_window)
        return discriminator_loss(real_logit, fake_logit).mean(), (stats, real_logit, fake_logit)

    value_and_grad = jax.value_and_grad(loss_of, has_aux=True)
    (loss, (stats, real_logit, fake_logit)), grads = value_and_grad(_varying(state.params))
    new = _updated(state, problem.discriminator_optimizer, grads, _shared(stats, problem))
    metrics = {
        "discriminator_loss": loss,
        "accuracy_real": jnp.mean(real_logit > 0, dtype=loss.dtype),
        "accuracy_completed": jnp.mean(fake_logit < 0, dtype=loss.dtype),
        "logit_real": real_logit.mean(),
        "logit_completed": fake_logit.mean(),
    }
    return new, metrics


def _complete(problem: Problem, params: Any, stats: Any, image: jax.Array, mask: jax.Array) -> tuple[jax.Array, Any]:
    """C's output in [0, 1] with the batch's statistics, and the moved running statistics."""
    variables = {"params": params, "batch_stats": stats}
    output, moved = problem.completion.apply(variables, image, mask, train=True, mutable=["batch_stats"])
    return output, moved["batch_stats"]


def _judge(problem: Problem, params: Any, stats: Any, image: jax.Array, origins: jax.Array) -> tuple[jax.Array, Any]:
    """D's logits (N,) with the batch's statistics, and the moved running statistics."""
    variables = {"params": params, "batch_stats": stats}
    window = crop_windows(image, origins, problem.window_px)
    logit, moved = problem.discriminator.apply(variables, image, window, train=True, mutable=["batch_stats"])
    return logit, moved["batch_stats"]


def _updated(state: NetworkState, optimizer: optax.GradientTransformation, grads: Any, stats: Any) -> NetworkState:
    """Averages the gradients over the mesh, once, and applies them."""
    grads = jax.lax.pmean(grads, AXIS)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    return NetworkState(optax.apply_updates(state.params, updates), stats, opt_state)


def _varying(params: Any) -> Any:
    return jax.lax.pcast(params, AXIS, to="varying")


def _shared(stats: Any, problem: Problem) -> Any:
    """Running statistics, the same on all devices: averaged where each normalised with its own."""
    return stats if problem.completion.statistics_axis else jax.lax.pmean(stats, AXIS)


def _mean(metrics: Metrics) -> Metrics:
    """Means over the mesh, in one message."""
    values = jax.lax.pmean(jnp.stack(list(metrics.values())), AXIS)
    return dict(zip(metrics, values, strict=True))


def _global_norm(x: jax.Array) -> jax.Array:
    """Euclidean norm of an array whose first axis is split over the mesh, each part a gradient of a local mean."""
    devices = jax.lax.axis_size(AXIS)
    return jnp.sqrt(jax.lax.psum(jnp.sum(jnp.square(x)), AXIS)) / devices


def _to_float(image: jax.Array) -> jax.Array:
    """uint8 -> float32 in [0, 1]; images that are float already stay as they are."""
    return image.astype(jnp.float32) / 255 if image.dtype == jnp.uint8 else image
