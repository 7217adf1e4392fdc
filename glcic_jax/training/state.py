"""The state of a run: arrays only."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from glcic_jax.models.completion import CompletionNetwork
from glcic_jax.models.context_encoder import ContextEncoder, PatchDiscriminator
from glcic_jax.models.discriminator import ContextDiscriminator


class NetworkState(flax.struct.PyTreeNode):
    """One network: parameters, BatchNorm's running statistics, the optimiser's state."""

    params: Any
    batch_stats: Any
    opt_state: Any

    @property
    def variables(self) -> dict[str, Any]:
        """What `network.apply` takes."""
        return {"params": self.params, "batch_stats": self.batch_stats}


class TrainState(flax.struct.PyTreeNode):
    """Both networks from step 0 on; the stage follows from the step, so the structure never changes.

    step: int32 (), number of steps done, over all stages.
    """

    step: jax.Array
    completion: NetworkState
    discriminator: NetworkState


def create_state(
    key: jax.Array,
    completion: CompletionNetwork | ContextEncoder,
    discriminator: ContextDiscriminator | PatchDiscriminator,
    completion_optimizer: optax.GradientTransformation,
    discriminator_optimizer: optax.GradientTransformation,
    *,
    crop_px: int,
    window_px: int,
) -> TrainState:
    """Initial values, U(-1/sqrt(fan_in), 1/sqrt(fan_in)) everywhere (Torch7's habit; the paper is silent)."""
    completion_key, discriminator_key = jax.random.split(key)
    image, window = jnp.zeros((1, crop_px, crop_px, 3)), jnp.zeros((1, window_px, window_px, 3))
    c = completion.init(completion_key, image, image[..., :1])
    d = discriminator.init(discriminator_key, image, window)
    return TrainState(
        jnp.zeros((), jnp.int32),
        NetworkState(c["params"], c["batch_stats"], completion_optimizer.init(c["params"])),
        NetworkState(d["params"], d["batch_stats"], discriminator_optimizer.init(d["params"])),
    )


def he_uniform(state: TrainState) -> TrainState:
    """Initial values anew as Keras's he_uniform has them: kernels U(-sqrt(6/fan_in), sqrt(6/fan_in)), biases zero.

    Those of `create_state` lie in the same shape of distribution, so they only need to be scaled.
    """

    def scaled(path: tuple[Any, ...], leaf: jax.Array) -> jax.Array:
        return {"kernel": leaf * 6**0.5, "bias": jnp.zeros_like(leaf)}.get(path[-1].key, leaf)

    def one(network: NetworkState) -> NetworkState:
        return network.replace(params=jax.tree_util.tree_map_with_path(scaled, network.params))

    return state.replace(completion=one(state.completion), discriminator=one(state.discriminator))
