"""The completion network as a StableHLO program for CPUs, NVIDIA GPUs and TPUs, weights included."""

import jax
import jax.export
import jax.numpy as jnp

from glcic_jax.models.completion import STRIDE_PX, CompletionNetwork
from glcic_jax.models.protocols import Variables

PLATFORMS = ("cpu", "cuda", "tpu")


def serialize_program(network: CompletionNetwork, variables: Variables, half: bool) -> bytes:
    """A program (image, mask) -> output for batches of any number and size, as `jax.export.deserialize` reads it.

    image is float32 (N, H, W, 3) in [0, 1], mask float32 (N, H, W, 1), 1 = hole, sides multiples of 4.

    Args:
        half: store weights as float16; the program computes in float32.

    """
    stored = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float16 if half else jnp.float32), variables)

    @jax.jit
    def complete(image: jax.Array, mask: jax.Array) -> jax.Array:
        weights = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), stored)
        return jnp.asarray(network.apply(weights, image, mask))

    batch, height, width = jax.export.symbolic_shape(f"batch, {STRIDE_PX}*h, {STRIDE_PX}*w")
    image, mask = (jax.ShapeDtypeStruct((batch, height, width, channels), jnp.float32) for channels in (3, 1))
    exported = jax.export.export(complete, platforms=PLATFORMS)(image, mask)
    return bytes(exported.serialize())
