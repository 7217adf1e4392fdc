"""Devices: a one-dimensional mesh that splits the batch, steps mapped over it, arrays placed on it."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Shaped

from glcic_jax.data.batch import Batch
from glcic_jax.errors import UserError

AXIS = "data"


def make_mesh(devices: list[jax.Device] | None = None) -> Mesh:
    """A mesh over all devices of all processes, or over the given ones."""
    devices = jax.devices() if devices is None else devices
    # Auto axes: the default, explicit ones, reject plain NumPy inputs.
    return Mesh(np.array(devices), (AXIS,), axis_types=(AxisType.Auto,))


def check_batch_size(batch_size: int, mesh: Mesh, microbatches: int = 1) -> None:
    """Raises UserError if the devices, and the microbatches on each, do not divide the batch."""
    parts = mesh.size * microbatches
    if batch_size < 1 or batch_size % parts:
        below, above = batch_size // parts * parts, -(-max(1, batch_size) // parts) * parts
        fitting = " or ".join(str(size) for size in (below, above) if size > 0)
        who = f"{mesh.size} devices" + (f" with config.microbatches={microbatches}" if microbatches > 1 else "")
        raise UserError(f"config.batch_size is {batch_size}, which {who} do not divide; use {fitting}")


def map_over_mesh(step: Callable[..., Any], mesh: Mesh) -> Callable[[Any, Batch], Any]:
    """Compiles a step `(state, batch) -> (state, metrics)`: state on every device, the batch split, state donated."""
    mapped = jax.shard_map(
        step,
        mesh=mesh,
        in_specs=(PartitionSpec(), PartitionSpec(AXIS)),
        out_specs=(PartitionSpec(), PartitionSpec()),
    )
    return jax.jit(mapped, donate_argnums=0)


def mean_over_devices(tree: Any) -> Any:
    """Inside a mapped step: the mean of every leaf over the mesh, in one message for all leaves together."""
    if jax.lax.axis_size(AXIS) == 1:  # nothing to send; the call only tells JAX that all devices agree
        return jax.lax.pmean(tree, AXIS)
    vector, leaves = ravel_pytree(tree)
    return leaves(jax.lax.pmean(vector, AXIS))


def from_previous_sample(x: Shaped[Array, " n *rest"]) -> Shaped[Array, " n *rest"]:
    """Inside a mapped step: x (N, ...) with every sample's entry from the one before it in the global batch."""
    devices = jax.lax.axis_size(AXIS)
    ring = [(device, (device + 1) % devices) for device in range(devices)]
    return jnp.concatenate([jax.lax.ppermute(x[-1:], AXIS, ring), x[:-1]])


def replicated(mesh: Mesh) -> NamedSharding:
    """Sharding of what every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def put_batch(mesh: Mesh, batch: Batch) -> Batch:
    """Places this process's share of a batch; the result is the global batch."""
    sharding = NamedSharding(mesh, PartitionSpec(AXIS))
    return Batch(*(jax.make_array_from_process_local_data(sharding, field) for field in batch))


def put_whole_batch(mesh: Mesh, batch: Batch) -> Batch:
    """Places a batch that every process has whole."""
    local = len(batch.image) // jax.process_count()
    first = jax.process_index() * local
    return put_batch(mesh, Batch(*(field[first : first + local] for field in batch)))


def put_replicated(mesh: Mesh, tree: Any) -> Any:
    """Places a copy of every leaf on every device."""
    return jax.tree.map(functools.partial(jax.device_put, device=replicated(mesh)), tree)
