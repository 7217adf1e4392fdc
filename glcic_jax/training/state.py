"""The state of a run: arrays only."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from glcic_jax.models.protocols import Network, Variables
from glcic_jax.training.specification import TrainingSpecification


class NetworkState(flax.struct.PyTreeNode):
    """One network: parameters, BatchNorm's running statistics, the optimiser's state."""

    params: Any
    batch_stats: Any
    opt_state: Any

    @property
    def variables(self) -> Variables:
        """What `network.apply` takes."""
        return {"params": self.params, "batch_stats": self.batch_stats}


class TrainState(flax.struct.PyTreeNode):
    """Both networks from step 0 on; the stage follows from the step, so the structure never changes.

    step: int32 (), number of steps done, over all stages.
    average: C's variables, averaged over its updates; None where the recipe does not ask for it.
    """

    step: jax.Array
    completion: NetworkState
    discriminator: NetworkState
    average: Variables | None = None

    @property
    def best_completion(self) -> Variables:
        """C's variables to complete with: the average where there is one."""
        return self.completion.variables if self.average is None else self.average


def create_state(key: jax.Array, spec: TrainingSpecification, *, crop_px: int) -> TrainState:
    """Initial values of both networks, as the networks' `initial_values` says."""
    completion_key, discriminator_key = jax.random.split(key)
    image = jnp.zeros((1, crop_px, crop_px, 3 + spec.discriminator.mask_channel))
    window = image[:, : spec.window_px, : spec.window_px]
    c = _variables(spec.completion, completion_key, image[..., :3], image[..., :1])
    d = _variables(spec.discriminator, discriminator_key, image, window)
    return TrainState(
        jnp.zeros((), jnp.int32),
        NetworkState(**c, opt_state=spec.completion_optimizer.init(c["params"])),
        NetworkState(**d, opt_state=spec.discriminator_optimizer.init(d["params"])),
        jax.tree.map(jnp.copy, c) if spec.average_half_life_samples else None,
    )


def _variables(network: Network, key: jax.Array, *arrays: jax.Array) -> Variables:
    variables = network.init(key, *arrays)
    return {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}
