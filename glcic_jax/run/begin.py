"""Where a run begins: at its newest checkpoint, at somebody's weights, or at random ones."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
from jax.sharding import Mesh

from glcic_jax.run.config import Config
from glcic_jax.run.events import EventLog
from glcic_jax.run.init_from import check_conventions, load_weights_into, read_weights
from glcic_jax.run.origin import Origin
from glcic_jax.run.restore import restore_newest
from glcic_jax.run.resume import check_continues, find_changed_keys
from glcic_jax.run.setup import initial_state
from glcic_jax.training.mesh import put_replicated, replicated
from glcic_jax.training.specification import TrainingSpecification
from glcic_jax.training.state import TrainState


class Beginning(NamedTuple):
    """The state that a run begins with, after `step` steps; `spec` has the mean colour that its C has learned."""

    spec: TrainingSpecification
    state: TrainState
    step: int


def restore_or_begin(
    config: Config,
    spec: TrainingSpecification,
    *,
    shards: tuple[str, ...],
    checkpoints: Path,
    mesh: Mesh,
    say: Callable[[str], None],
    events: EventLog,
    allow_config_change: bool,
    restart: bool,
) -> Beginning:
    """The newest checkpoint, else the weights of config.init_from, else initial values.

    Args:
        config: the recipe.
        spec: built from it, with the mean colour of the data.
        shards: SHA-256 of the training shards.
        checkpoints: their folder.
        mesh: where the state goes.
        say: told where the run begins.
        events: told the same.
        allow_config_change: take a checkpoint of another recipe or other data.
        restart: begin anew if all checkpoints are damaged.

    Raises: UserError.

    """

    def check(step: int, saved: Origin) -> None:
        if not allow_config_change:
            check_continues(config, shards, saved, step)
        elif changed := find_changed_keys(config, saved.config, step):
            say(f"the config has changed: {', '.join(changed)}")

    # Only the shapes: computing the initial values would compile for seconds, to throw them away.
    like = jax.eval_shape(lambda: initial_state(config, spec))
    restored = restore_newest(
        checkpoints, like, replicated(mesh), check=check, say=say, events=events, restart=restart
    )  # fmt: skip
    if restored:
        say(f"continuing from the checkpoint of step {restored.step}")
        events.record("continued", step=restored.step)
        return Beginning(_trained_with(spec, restored.origin.mean_color), restored.state, restored.step)
    if config.weights_path:
        weights = read_weights(config.weights_path)
        check_conventions(weights, config)
        spec = _trained_with(spec, weights.mean_color)
        state, taken_over = load_weights_into(initial_state(config, spec), weights)
        say(taken_over)
    else:
        state = initial_state(config, spec)
    events.record("continued", step=0)
    return Beginning(spec, put_replicated(mesh, state), 0)


def _trained_with(spec: TrainingSpecification, mean_color: tuple[float, float, float]) -> TrainingSpecification:
    """The data's own mean colour would be another input than the weights were trained on."""
    return dataclasses.replace(spec, completion=spec.completion.clone(mean_color=mean_color))
