"""Starting a run from weights that are there already: a model folder or a checkpoint."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from glcic_jax.errors import UserError
from glcic_jax.models import folder as model_folder
from glcic_jax.models.completion import CompletionNetwork
from glcic_jax.models.discriminator import ContextDiscriminator
from glcic_jax.run.checkpoint_folder import STATE, list_steps
from glcic_jax.run.checksums import first_difference, shapes
from glcic_jax.run.config import Config
from glcic_jax.run.restore import read_checkpoint
from glcic_jax.training.state import NetworkState, TrainState

Variables: TypeAlias = dict[str, jax.Array]
"""Nested: "params" and "batch_stats"."""

# What changes no shape, but what the weights mean.
COMPLETION_CONVENTIONS = (
    "output", "hole_fill", "negative_slope", "mask_channel", "normalization", "residual", "upsampling",
)  # fmt: skip
DISCRIMINATOR_CONVENTIONS = ("negative_slope", "vector_activation", "normalization", "spectral_normalization")

Conventions: TypeAlias = Mapping[str, str | float | bool]


class Weights(NamedTuple):
    """Networks from elsewhere: C's variables, D's if there are any, and the conventions that each was trained with."""

    path: Path
    completion: Variables
    discriminator: Variables | None
    completion_conventions: Conventions
    discriminator_conventions: Conventions
    mean_color: tuple[float, float, float]


def read_weights(path: Path) -> Weights:
    """Weights from a model folder, a run's folder, its folder of checkpoints, or one checkpoint.

    Raises: UserError if nothing is found or it cannot be read.
    """
    return _from_model(path) if (path / model_folder.CARD).is_file() else _from_checkpoint(_newest_checkpoint(path))


def check_conventions(weights: Weights, config: Config) -> None:
    """Raises UserError if the recipe's networks would use the weights in another way than they were trained."""
    for network, of_network, conventions in (
        ("completion", config.completion, weights.completion_conventions),
        ("discriminator", config.discriminator, weights.discriminator_conventions),
    ):
        for key, there in conventions.items():
            here = getattr(of_network, key)
            if str(there) != str(here):
                raise UserError(
                    f"config.{network}.{key} is {here!r}, but the weights in {weights.path} were trained with "
                    f"{there!r}; give --config.{network}.{key}={there}"
                )


def load_weights_into(state: TrainState, weights: Weights) -> tuple[TrainState, str]:
    """`state` with those weights and statistics, its optimisers untouched; and a sentence on what was taken over.

    Weights take the types of the state, in which the run computes and saves.
    D keeps its initial values if there is none among the weights, or if it was made for other sizes.
    Raises: UserError if C's shapes differ.
    """
    if difference := first_difference(shapes(weights.completion), shapes(state.completion.variables)):
        raise UserError(
            f"the completion network in {weights.path} does not fit this config: {difference}; "
            "use the network options (width_multiplier, ...) that it was made with"
        )
    state = state.replace(completion=_with_variables(state.completion, weights.completion))
    if state.average is not None:
        state = state.replace(average=jax.tree.map(jnp.copy, state.completion.variables))
    if weights.discriminator is None:
        return state, f"starting from the completion network in {weights.path}; the discriminator starts anew"
    if difference := first_difference(shapes(weights.discriminator), shapes(state.discriminator.variables)):
        return state, (
            f"starting from the completion network in {weights.path}; its discriminator was made for other sizes "
            f"({difference}) and starts anew"
        )
    state = state.replace(discriminator=_with_variables(state.discriminator, weights.discriminator))
    return state, f"starting from both networks in {weights.path}"


def _with_variables(state: NetworkState, variables: Variables) -> NetworkState:
    """A network's state with other variables of the same shapes, in the types that it has."""
    given = {"batch_stats": {}, **variables}  # networks without normalisation have none
    cast = jax.tree.map(lambda old, new: jnp.asarray(new, old.dtype), state.variables, given)
    replaced: NetworkState = state.replace(**cast)
    return replaced


def _from_model(path: Path) -> Weights:
    network, completion, card = model_folder.load(path)
    judge = model_folder.load_discriminator(path, card)
    return Weights(
        path,
        completion,
        judge[1] if judge else None,
        _pick(vars(network), COMPLETION_CONVENTIONS),
        _pick(vars(judge[0]), DISCRIMINATOR_CONVENTIONS) if judge else {},
        network.mean_color,
    )


def _newest_checkpoint(path: Path) -> Path:
    """The folder of one checkpoint, for whatever was given of a run."""
    if (path / STATE).is_dir():
        return path
    for folder in (path / "checkpoints", path):
        if steps := list_steps(folder):
            return folder / str(steps[-1])
    raise UserError(
        f"config.init_from is {path}, which holds neither a model ({model_folder.CARD}) nor checkpoints; "
        "give RUN/model, RUN, or RUN/checkpoints/STEP"
    )


def _from_checkpoint(path: Path) -> Weights:
    state, origin = read_checkpoint(path)
    completion, discriminator = (
        {"params": state[role]["params"], "batch_stats": state[role].get("batch_stats", {})}
        for role in ("completion", "discriminator")
    )
    completion = state.get("average") or completion
    config = origin.config
    of_paper = config.get("context_encoder") is None  # else these two describe networks that were not trained
    # What an older version did not ask for is as it was then, which is the default.
    return Weights(
        path,
        completion,
        discriminator,
        _pick(vars(CompletionNetwork) | config["completion"], COMPLETION_CONVENTIONS) if of_paper else {},
        _pick(vars(ContextDiscriminator) | config["discriminator"], DISCRIMINATOR_CONVENTIONS) if of_paper else {},
        origin.mean_color,
    )


def _pick(fields: Mapping[str, str | float | bool], keys: tuple[str, ...]) -> Conventions:
    return {key: fields[key] for key in keys if key in fields}
