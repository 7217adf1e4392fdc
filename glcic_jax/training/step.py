"""The three stages as pure functions `(state, batch) -> (state, metrics)`, mapped over the mesh axis "data".

Every function here sees one device's share of the batch. A loss is the mean over that share; parameters are marked
as varying over the mesh before differentiation, so that the one `pmean` of the gradients makes them the gradient of
the mean over the global batch. (Without the mark, automatic differentiation sums over the devices by itself, and
the `pmean` would leave a gradient that is too large by their number.)

BatchNorm's statistics are over the global batch where the networks name the mesh axis; where they do not, each
device normalises with its own, and the running ones are averaged. With microbatches, each normalises with its own
statistics, of all devices together or of each alone, and the running ones move once a microbatch.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from glcic_jax.data.batch import Batch
from glcic_jax.models.completion import CompletionNetwork, composite
from glcic_jax.models.context_encoder import ContextEncoder, PatchDiscriminator
from glcic_jax.models.discriminator import ContextDiscriminator, crop_windows
from glcic_jax.models.layers import CONVOLVED
from glcic_jax.training.accumulation import accumulate
from glcic_jax.training.losses import adversarial_loss, discriminator_loss, masked_squared_error
from glcic_jax.training.mesh import AXIS, mean_over_devices
from glcic_jax.training.state import NetworkState, TrainState

Metrics = dict[str, jax.Array]
ERROR_NORM, ADVERSARIAL_NORM = "output_gradient_squared_error", "output_gradient_adversarial"


@dataclasses.dataclass(frozen=True)
class Problem:
    """What the steps need besides arrays.

    alpha: weight of the adversarial loss beside the squared error (paper: 0.0004).
    saturating: C minimises log(1 - D) as the paper writes it, instead of -log D.
    balance_gradients_steps: for so many steps, counted from `joint_start_step`, the adversarial gradient at C's
        output is scaled to the norm of the squared error's, instead of by alpha (paper, section 3.4); of each
        microbatch by itself.
    microbatches: parts that a device works through one after the other, for one update (`accumulation.py`).
    remat: compute normalisations and activations again for the gradient, instead of keeping them.
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
    microbatches: int = 1
    remat: bool = False


def completion_step(state: TrainState, batch: Batch, *, problem: Problem) -> tuple[TrainState, Metrics]:
    """Stage 1: C learns by squared error inside the hole (paper, section 3.4)."""
    params = _varying(state.completion.params)

    def learn(stats: Any, batch: Batch) -> tuple[tuple[Any, Metrics], Any]:
        image, mask = _to_float(batch.image), batch.mask

        def loss_of(params: Any) -> tuple[jax.Array, Any]:
            output, moved = _complete(problem, params, stats, image, mask)
            return masked_squared_error(output, image, mask).mean(), moved

        (loss, moved), grads = jax.value_and_grad(loss_of, has_aux=True)(params)
        return (grads, {"completion_loss": loss}), moved

    (grads, metrics), stats = accumulate(learn, state.completion.batch_stats, batch, problem.microbatches)
    completion = _updated(state.completion, problem.completion_optimizer, grads, _shared(stats, problem))
    return state.replace(step=state.step + 1, completion=completion), _mean(metrics)


def discriminator_step(state: TrainState, batch: Batch, *, problem: Problem) -> tuple[TrainState, Metrics]:
    """Stage 2: D learns on real against completed; C is frozen, its running statistics too (paper, section 3.4).

    C normalises with the batch's statistics, so that D learns on what it will meet in stage 3.
    """
    params = _varying(state.discriminator.params)

    def judge(stats: Any, batch: Batch) -> tuple[tuple[Any, Metrics], Any]:
        image = _to_float(batch.image)
        output, _ = _complete(problem, state.completion.params, state.completion.batch_stats, image, batch.mask)
        return _judgement(problem, params, stats, output, batch)

    (grads, metrics), stats = accumulate(judge, state.discriminator.batch_stats, batch, problem.microbatches)
    discriminator = _updated(state.discriminator, problem.discriminator_optimizer, grads, _shared(stats, problem))
    return state.replace(step=state.step + 1, discriminator=discriminator), _mean(metrics)


def joint_step(state: TrainState, batch: Batch, *, problem: Problem) -> tuple[TrainState, Metrics]:
    """Stage 3: D learns, then C learns through the updated D (paper, algorithm 1).

    C runs forward once; with microbatches it does so again in a second sweep, after D's update, whose running
    statistics are thrown away.
    """

    def paint(stats: Any, batch: Batch) -> tuple[jax.Array, Any, Any]:
        image = _to_float(batch.image)
        return jax.vjp(
            lambda params: _complete(problem, params, stats, image, batch.mask),
            _varying(state.completion.params),
            has_aux=True,
        )

    painted = paint(state.completion.batch_stats, batch) if problem.microbatches == 1 else None
    judging = _varying(state.discriminator.params)

    def judge(stats: Any, batch: Batch) -> tuple[tuple[Any, Metrics], Any]:
        output, _, completion_stats = painted or paint(stats[0], batch)
        found, discriminator_stats = _judgement(problem, judging, stats[1], jax.lax.stop_gradient(output), batch)
        return found, (completion_stats, discriminator_stats)

    before = state.completion.batch_stats, state.discriminator.batch_stats
    (grads, metrics), (stats, judged) = accumulate(judge, before, batch, problem.microbatches)
    discriminator = _updated(state.discriminator, problem.discriminator_optimizer, grads, _shared(judged, problem))
    if problem.microbatches > 1:  # the second sweep begins after the first, which leaves it nothing to keep
        _, batch = jax.lax.optimization_barrier((discriminator.params, batch))

    def learn(_: None, batch: Batch) -> tuple[tuple[Any, Metrics], None]:
        output, pull_back, _ = painted or paint(state.completion.batch_stats, batch)
        gradient, metrics = _output_gradient(state, batch, output, discriminator, problem)
        return (pull_back(gradient)[0], metrics), None

    (grads, learned), _ = accumulate(learn, None, batch, problem.microbatches)
    completion = _updated(state.completion, problem.completion_optimizer, grads, _shared(stats, problem))
    metrics = _mean(metrics | learned)
    for name in (ERROR_NORM, ADVERSARIAL_NORM):  # of the mean over all parts on all devices
        metrics[name] = jnp.sqrt(metrics[name] / (problem.microbatches * jax.lax.axis_size(AXIS)))
    return state.replace(step=state.step + 1, completion=completion, discriminator=discriminator), metrics


def _output_gradient(
    state: TrainState, batch: Batch, output: jax.Array, discriminator: NetworkState, problem: Problem
) -> tuple[jax.Array, Metrics]:
    """Gradient of C's loss at its output, through the updated D; both losses, and both gradients' squared norms."""
    image, mask = _to_float(batch.image), batch.mask

    def squared_error(output: jax.Array) -> jax.Array:
        return masked_squared_error(output, image, mask).mean()

    def adversarial(output: jax.Array) -> jax.Array:
        completed = composite(output, image, mask)
        # This pass leaves D's running statistics as they are.
        logit, _ = _judge(problem, discriminator.params, discriminator.batch_stats, completed, batch.fake_window)
        return adversarial_loss(logit, problem.saturating).mean()

    loss, error_gradient = jax.value_and_grad(squared_error)(output)
    adversarial_value, adversarial_gradient = jax.value_and_grad(adversarial)(output)
    error_square, adversarial_square = (jnp.sum(jnp.square(g)) for g in (error_gradient, adversarial_gradient))
    alpha = jnp.asarray(problem.alpha, loss.dtype)
    if problem.balance_gradients_steps:
        balanced = state.step < problem.joint_start_step + problem.balance_gradients_steps
        error_sum, adversarial_sum = jax.lax.psum((error_square, adversarial_square), AXIS)
        alpha = jnp.where(balanced, jnp.sqrt(error_sum / jnp.maximum(adversarial_sum, 1e-37)), alpha)
    metrics = {
        "completion_loss": loss,
        "adversarial_loss": adversarial_value,
        ERROR_NORM: error_square,
        ADVERSARIAL_NORM: alpha**2 * adversarial_square,
    }
    return error_gradient + alpha * adversarial_gradient, metrics


def _judgement(
    problem: Problem, params: Any, stats: Any, output: jax.Array, batch: Batch
) -> tuple[tuple[Any, Metrics], Any]:
    """D's gradient and metrics: a pass over real images, then one over completed ones; both move its statistics."""
    image = _to_float(batch.image)
    completed = composite(output, image, batch.mask)

    def loss_of(params: Any) -> tuple[jax.Array, Any]:
        real_logit, moved = _judge(problem, params, stats, image, batch.real_window)
        fake_logit, moved = _judge(problem, params, moved, completed, batch.fake_window)
        return discriminator_loss(real_logit, fake_logit).mean(), (moved, real_logit, fake_logit)

    (loss, (moved, real_logit, fake_logit)), grads = jax.value_and_grad(loss_of, has_aux=True)(params)
    metrics = {
        "discriminator_loss": loss,
        "accuracy_real": jnp.mean(real_logit > 0, dtype=loss.dtype),
        "accuracy_completed": jnp.mean(fake_logit < 0, dtype=loss.dtype),
        "logit_real": real_logit.mean(),
        "logit_completed": fake_logit.mean(),
    }
    return (grads, metrics), moved


def _complete(problem: Problem, params: Any, stats: Any, image: jax.Array, mask: jax.Array) -> tuple[jax.Array, Any]:
    """C's output in [0, 1] with the batch's statistics, and the moved running statistics."""
    return _run(problem, problem.completion, params, stats, image, mask)


def _judge(problem: Problem, params: Any, stats: Any, image: jax.Array, origins: jax.Array) -> tuple[jax.Array, Any]:
    """D's logits (N,) with the batch's statistics, and the moved running statistics."""
    return _run(problem, problem.discriminator, params, stats, image, crop_windows(image, origins, problem.window_px))


def _run(problem: Problem, network: nn.Module, params: Any, stats: Any, *arrays: jax.Array) -> tuple[jax.Array, Any]:
    """A network in training, which keeps for its gradient everything, or with `remat` the convolutions' outputs."""

    def run(params: Any, stats: Any, *arrays: jax.Array) -> tuple[jax.Array, Any]:
        variables = {"params": params, "batch_stats": stats}
        output, moved = network.apply(variables, *arrays, train=True, mutable=["batch_stats"])
        return output, moved["batch_stats"]

    if problem.remat:
        run = jax.checkpoint(run, policy=jax.checkpoint_policies.save_only_these_names(CONVOLVED))
    return run(params, stats, *arrays)


def _updated(state: NetworkState, optimizer: optax.GradientTransformation, grads: Any, stats: Any) -> NetworkState:
    """Averages the gradients over the mesh, once, and applies them."""
    grads = mean_over_devices(grads)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    return NetworkState(optax.apply_updates(state.params, updates), stats, opt_state)


def _varying(params: Any) -> Any:
    return jax.lax.pcast(params, AXIS, to="varying")


def _shared(stats: Any, problem: Problem) -> Any:
    """Running statistics, the same on all devices: averaged where each normalised with its own."""
    return stats if problem.completion.statistics_axis else mean_over_devices(stats)


def _mean(metrics: Metrics) -> Metrics:
    """Means over the mesh, in one message."""
    values = jax.lax.pmean(jnp.stack(list(metrics.values())), AXIS)
    return dict(zip(metrics, values, strict=True))


def _to_float(image: jax.Array) -> jax.Array:
    """uint8 -> float32 in [0, 1]; images that are float already stay as they are."""
    return image.astype(jnp.float32) / 255 if image.dtype == jnp.uint8 else image
