"""Numbers that are not finite end a run, before they reach a checkpoint."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp

from glcic_jax.run.checkpoint_folder import list_steps
from glcic_jax.run.schedule import Stage
from glcic_jax.training.state import TrainState


class NotFinite(FloatingPointError):
    """A figure or a parameter is not finite after a step."""

    def __init__(self, name: str, step: int):
        super().__init__(f"{name} is not finite at step {step}")


@contextlib.contextmanager
def explained_by_stage(stage: Stage, checkpoints: Path) -> Iterator[None]:
    """Adds to NotFinite the stage, the last good checkpoint, and what may help."""
    try:
        yield
    except NotFinite as error:
        steps = list_steps(checkpoints)
        last = f"the last good checkpoint is of step {steps[-1]}" if steps else "there is no checkpoint yet"
        raise FloatingPointError(
            f"{error} (stage {stage.number}, {stage.name}); {last}; try a smaller learning rate, or "
            "float32 if this was bfloat16"
        ) from error


def require_finite(state: TrainState, step: int) -> None:
    """Raises NotFinite naming the network that has a parameter or a statistic that is not finite."""
    for network, finite in _finite(state).items():
        if not finite:
            raise NotFinite(f"a parameter of the {network} network", step)


@jax.jit
def _finite(state: TrainState) -> dict[str, jax.Array]:
    return {
        name: jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(network.variables)]))
        for name, network in (("completion", state.completion), ("discriminator", state.discriminator))
    }
