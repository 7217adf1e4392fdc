"""Gradients of a batch that is worked through in parts, so that a large batch fits a small card."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Part = Callable[[Any, Any], tuple[Any, Any]]


def accumulate(part: Part, carried: Any, batch: Any, microbatches: int) -> tuple[Any, Any]:
    """Goes through a device's share of a batch in equal parts, in order.

    Args:
        part: `(carried, microbatch) -> (values, carried)`, what is to be averaged and what is handed on, such as
            BatchNorm's running statistics.
        carried: what the first part gets.
        batch: this device's share, a tuple of arrays (N, ...); microbatch m is its m-th part on every device.
        microbatches: how many; must divide the share.

    Returns: the means of the values, and what the last part handed on.
    """
    if microbatches == 1:
        return part(carried, batch)
    parts = jax.tree.map(lambda x: x.reshape(microbatches, len(x) // microbatches, *x.shape[1:]), batch)

    def body(held: Any, microbatch: Any) -> tuple[Any, None]:
        total, carried = held
        # One after the other: otherwise the compiler may run all forward passes first and keep all they leave.
        _, microbatch = jax.lax.optimization_barrier((total, microbatch))
        values, carried = part(carried, microbatch)
        return (jax.tree.map(jnp.add, total, values), carried), None

    # The first part stands alone: what it returns shows how the sums vary over the mesh.
    held = part(carried, jax.tree.map(lambda x: x[0], parts))
    # Unrolled on CPUs, whose convolutions are a hundred times slower inside a loop.
    unroll = jax.default_backend() == "cpu"
    (total, carried), _ = jax.lax.scan(body, held, jax.tree.map(lambda x: x[1:], parts), unroll=unroll)
    return jax.tree.map(lambda x: x / microbatches, total), carried
