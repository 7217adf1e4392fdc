"""Starting a run from somebody's weights: a model folder or a checkpoint."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from glcic_jax.errors import UserError
from glcic_jax.models import folder as model_folder
from glcic_jax.training.checkpoint import STATE, first_difference, saved_shapes, shapes
from glcic_jax.training.state import NetworkState, TrainState

Variables = dict[str, Any]


def initialised_from(path: Path, state: TrainState) -> TrainState:
    """`state` with the weights and BatchNorm statistics of C, and of D where it is there; the optimisers start anew.

    Args:
        path: a model folder, a run's folder, its folder of checkpoints, or one checkpoint.
        state: the initial state, which says the shapes.

    Raises: UserError if nothing is found or the shapes differ.

    """
    if (path / model_folder.CARD).is_file():
        completion, discriminator = _from_model(path)
    else:
        completion, discriminator = _from_checkpoint(_newest_checkpoint(path))
    c = _replaced(state.completion, completion, f"{path}: completion network")
    if discriminator is None:
        return state.replace(completion=c)
    d = _replaced(state.discriminator, discriminator, f"{path}: discriminator")
    return state.replace(completion=c, discriminator=d)


def _from_model(path: Path) -> tuple[Variables, Variables | None]:
    _, completion, card = model_folder.load(path)
    discriminator = model_folder.load_discriminator(path, card)
    return completion, discriminator[1] if discriminator else None


def _newest_checkpoint(path: Path) -> Path:
    """The folder of one checkpoint's state, for whatever was given of a run."""
    if (path / STATE).is_dir():
        return path / STATE
    for folder in (path / "checkpoints", path):
        if folder.is_dir():
            steps = [int(child.name) for child in folder.iterdir() if child.name.isdigit()]
            if steps:
                return folder / str(max(steps)) / STATE
    raise UserError(
        f"config.init_from is {path}, which holds neither a model ({model_folder.CARD}) nor checkpoints; "
        "give RUN/model, RUN, or RUN/checkpoints/STEP"
    )


def _from_checkpoint(path: Path) -> tuple[Variables, Variables]:
    saved_shapes(path)  # raises in words if it cannot be read
    with ocp.StandardCheckpointer() as checkpointer:
        # As NumPy arrays, on no device: where this checkpoint was made does not matter.
        metadata = checkpointer.metadata(path.absolute()).item_metadata.tree
        target = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), metadata)
        state = checkpointer.restore(path.absolute(), target)
    completion, discriminator = (
        {"params": state[role]["params"], "batch_stats": state[role]["batch_stats"]}
        for role in ("completion", "discriminator")
    )
    return completion, discriminator


def _replaced(state: NetworkState, variables: Variables, what: str) -> NetworkState:
    if difference := first_difference(shapes(variables), shapes(state.variables)):
        raise UserError(
            f"{what} does not fit this config: {difference}; "
            "use the network options (width_multiplier, ...) that it was made with"
        )
    return state.replace(params=variables["params"], batch_stats=variables["batch_stats"])
