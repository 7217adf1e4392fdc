"""What all training steps are made of: forward passes, updates, means over the mesh.

Every function sees one device's share of a batch, inside `shard_map`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Shaped

from glcic_jax.data.batch import Batch
from glcic_jax.models.layers import CONVOLVED
from glcic_jax.models.protocols import Network
from glcic_jax.models.varying import varying_axes
from glcic_jax.training.losses import completion_error
from glcic_jax.training.mesh import AXIS, mean_over_devices
from glcic_jax.training.specification import TrainingSpecification
from glcic_jax.training.state import NetworkState, TrainState

Metrics = dict[str, Float[Array, ""]]


class Passed(NamedTuple):
    """What a pass through a network leaves: output, moved running statistics, features of layers by name."""

    output: Float[Array, "n ..."]
    batch_stats: Any
    features: dict[str, Float[Array, "n _ _ _"]]


def complete(
    spec: TrainingSpecification, params: Any, stats: Any, image: Float[Array, "n h w 3"], mask: Shaped[Array, "n h w 1"]
) -> tuple[Float[Array, "n h w 3"], Any]:
    """C's output (N, H, W, 3) in [0, 1] with the batch's statistics, and the moved running statistics."""
    passed = run_network(spec, spec.completion, params, stats, image, mask)
    return passed.output, passed.batch_stats


def error_of(
    spec: TrainingSpecification,
    output: Float[Array, "n h w 3"],
    image: Float[Array, "n h w 3"],
    mask: Shaped[Array, "n h w 1"],
) -> Float[Array, ""]:
    """C's error inside the holes, mean over the samples."""
    kind, over = spec.completion_loss, spec.completion_loss_over
    return completion_error(output, image, mask, kind=kind, over=over).mean()


def run_network(
    spec: TrainingSpecification, network: Network, params: Any, stats: Any, *arrays: Shaped[Array, "n ..."]
) -> Passed:
    """A network in training, which keeps for its gradient everything, or with `remat` the convolutions' outputs."""

    def run(params: Any, stats: Any, *arrays: jax.Array) -> Passed:
        variables = {"params": params, "batch_stats": stats}
        output, moved = network.apply(variables, *arrays, train=True, mutable=["batch_stats", "features"])
        return Passed(output, moved.get("batch_stats", stats), moved.get("features", {}))

    if spec.remat:
        run = jax.checkpoint(run, policy=jax.checkpoint_policies.save_only_these_names(CONVOLVED))
    return run(params, stats, *arrays)


def update(state: NetworkState, optimizer: optax.GradientTransformation, grads: Any, stats: Any) -> NetworkState:
    """Averages the gradients over the mesh, once, and applies them."""
    grads = mean_over_devices(grads)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    return NetworkState(optax.apply_updates(state.params, updates), stats, opt_state)


def advance(
    state: TrainState,
    batch: Batch,
    spec: TrainingSpecification,
    *,
    completion: NetworkState | None = None,
    discriminator: NetworkState | None = None,
) -> TrainState:
    """The state after a step, with the networks that have learnt in it; C's average follows C."""
    new = state.replace(
        step=state.step + 1,
        completion=completion or state.completion,
        discriminator=discriminator or state.discriminator,
    )
    if state.average is None or completion is None:
        return new
    samples = len(batch.image) * jax.lax.axis_size(AXIS)
    # In the first steps the average is over those behind alone: initial values are soon forgotten.
    share = jnp.maximum(1 - 0.5 ** (samples / spec.average_half_life_samples), 9 / (10 + state.step))

    def follow(average: jax.Array, value: jax.Array) -> jax.Array:
        return average + share.astype(average.dtype) * (value - average)

    return new.replace(average=jax.tree.map(follow, state.average, completion.variables))


def vary_over_mesh(params: Any) -> Any:
    """Marks parameters as varying, so that their gradient is that of this device's share alone."""
    return jax.lax.pcast(params, AXIS, to="varying")


def share_statistics(stats: Any) -> Any:
    """Running statistics, the same on all devices: averaged where each device has its own."""
    return mean_over_devices(stats) if any(varying_axes(leaf) for leaf in jax.tree.leaves(stats)) else stats


def mean_metrics(metrics: Metrics) -> Metrics:
    """Means over the mesh, in one message."""
    values = jax.lax.pmean(jnp.stack(list(metrics.values())), AXIS)
    return dict(zip(metrics, values, strict=True))


def to_float(image: Shaped[Array, "n h w 3"]) -> Float[Array, "n h w 3"]:
    """uint8 -> float32 in [0, 1]; images that are float already stay as they are."""
    return image.astype(jnp.float32) / 255 if image.dtype == jnp.uint8 else image
