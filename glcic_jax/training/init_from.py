"""Starting a run from somebody's weights: a model folder or a checkpoint."""

from pathlib import Path
from typing import Any, NamedTuple

from glcic_jax.errors import UserError
from glcic_jax.models import folder as model_folder
from glcic_jax.training.checkpoint import STATE, first_difference, read_checkpoint, shapes, steps_in
from glcic_jax.training.state import TrainState

Variables = dict[str, Any]

# What changes no shape, but what the weights mean.
CONVENTIONS = ("output", "hole_fill", "negative_slope", "mask_channel")


class Weights(NamedTuple):
    """Networks from elsewhere: C's variables and D's, if there, and the conventions that C was trained with."""

    path: Path
    completion: Variables
    discriminator: Variables | None
    conventions: dict[str, Any]
    mean_color: tuple[float, float, float]


def read_weights(path: Path) -> Weights:
    """Weights from a model folder, a run's folder, its folder of checkpoints, or one checkpoint.

    Raises: UserError if nothing is found or it cannot be read.
    """
    return _from_model(path) if (path / model_folder.CARD).is_file() else _from_checkpoint(_newest_checkpoint(path))


def check_conventions(weights: Weights, completion: dict[str, Any]) -> None:
    """Raises UserError if the recipe's `completion` would use the weights in another way than they were trained."""
    for key, there in weights.conventions.items():
        here = completion[key]
        if str(there) != str(here):
            raise UserError(
                f"config.completion.{key} is {here!r}, but the weights in {weights.path} were trained with {there!r}; "
                f"give --config.completion.{key}={there}"
            )


def initialised_from(weights: Weights, state: TrainState) -> tuple[TrainState, str]:
    """`state` with those weights and statistics, the optimisers anew; and words for what came along.

    D stays at its initial values where there is none, or where it was made for other sizes.
    Raises: UserError if C's shapes differ.
    """
    if difference := first_difference(shapes(weights.completion), shapes(state.completion.variables)):
        raise UserError(
            f"the completion network in {weights.path} does not fit this config: {difference}; "
            "use the network options (width_multiplier, ...) that it was made with"
        )
    state = state.replace(completion=state.completion.replace(**weights.completion))
    if weights.discriminator is None:
        return state, f"starting from the completion network in {weights.path}; the discriminator starts anew"
    if difference := first_difference(shapes(weights.discriminator), shapes(state.discriminator.variables)):
        return state, (
            f"starting from the completion network in {weights.path}; its discriminator was made for other sizes "
            f"({difference}) and starts anew"
        )
    state = state.replace(discriminator=state.discriminator.replace(**weights.discriminator))
    return state, f"starting from both networks in {weights.path}"


def _from_model(path: Path) -> Weights:
    network, completion, card = model_folder.load(path)
    discriminator = model_folder.load_discriminator(path, card)
    conventions = {key: getattr(network, key) for key in CONVENTIONS if hasattr(network, key)}
    return Weights(path, completion, discriminator[1] if discriminator else None, conventions, network.mean_color)


def _newest_checkpoint(path: Path) -> Path:
    """The folder of one checkpoint, for whatever was given of a run."""
    if (path / STATE).is_dir():
        return path
    for folder in (path / "checkpoints", path):
        if steps := steps_in(folder):
            return folder / str(steps[-1])
    raise UserError(
        f"config.init_from is {path}, which holds neither a model ({model_folder.CARD}) nor checkpoints; "
        "give RUN/model, RUN, or RUN/checkpoints/STEP"
    )


def _from_checkpoint(path: Path) -> Weights:
    state, about = read_checkpoint(path)
    completion, discriminator = (
        {"params": state[role]["params"], "batch_stats": state[role]["batch_stats"]}
        for role in ("completion", "discriminator")
    )
    of_card = about["config"]["completion"] if about["config"].get("context_encoder") is None else {}
    conventions = {key: of_card[key] for key in CONVENTIONS if key in of_card}
    return Weights(path, completion, discriminator, conventions, tuple(about["mean_color"]))
