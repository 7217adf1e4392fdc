"""From a recipe to the objects of a run. The only place, with the loop, that knows the config's keys."""

import contextlib
import functools
import math
from typing import Any, NamedTuple, TypeAlias

import grain.python as grain
import jax
import jax.numpy as jnp
import ml_collections
import optax

from glcic_jax.data.holes import draw_hole
from glcic_jax.data.loader import DrawHole, training_samples
from glcic_jax.data.reading import Reader
from glcic_jax.errors import UserError
from glcic_jax.models.completion import STRIDE_PX, CompletionNetwork
from glcic_jax.models.context_encoder import REDUCTION, ContextEncoder, PatchDiscriminator
from glcic_jax.models.discriminator import BRANCH_CHANNELS, ContextDiscriminator, default_depth
from glcic_jax.training.adversarial import cooperative_joint_step, deaf_joint_step
from glcic_jax.training.mesh import AXIS
from glcic_jax.training.state import TrainState, create_state, he_uniform
from glcic_jax.training.step import Problem, completion_step, discriminator_step, joint_step

Config: TypeAlias = ml_collections.ConfigDict

_DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16, "float64": jnp.float64}
_JOINT_STEPS = {"fooling": joint_step, "none": deaf_joint_step, "cooperative": cooperative_joint_step}
_INITIAL_VALUES = ("torch7", "he_uniform")


class Stage(NamedTuple):
    """One of the three stages: steps `start` ... `stop` - 1 of the run."""

    number: int
    name: str
    step: Any
    start: int
    stop: int


def stages(config: Config) -> list[Stage]:
    """The three stages in order; any may have 0 steps."""
    found, start = [], 0
    for number, name, step, steps in (
        (1, "completion", completion_step, config.completion_steps),
        (2, "discriminator", discriminator_step, config.discriminator_steps),
        (3, "joint", _JOINT_STEPS[config.adversarial], config.joint_steps),
    ):
        found.append(Stage(number, name, step, start, start + steps))
        start += steps
    return found


def check(config: Config) -> None:
    """Raises UserError naming the first key whose value cannot work."""

    def require(fits: bool, key: str, why: str) -> None:
        if not fits:
            raise UserError(f"config.{key} is {config[key]!r}; {why}")

    for key in ("short_side_px", "hole_px"):
        require(
            _is_range(config[key]),
            key,
            "it must be a range of whole pixels, (smallest, largest)",
        )
    for key in ("completion_steps", "discriminator_steps", "joint_steps", "balance_gradients_steps"):
        require(config[key] >= 0, key, "it cannot be negative")
    for key in ("log_every_steps", "validate_every_steps", "checkpoint_every_steps", "keep_checkpoints",
                "validation_samples", "grid_samples", "watchdog_secs", "microbatches"):  # fmt: skip
        require(config[key] >= 1, key, "it must be at least 1")
    first, stop = config.profile_steps if _are_whole(config.profile_steps) else (-1, -1)
    require(0 <= first <= stop, "profile_steps", "it must be (first, stop), such as (20, 25); (0, 0) for none")
    require(0 <= config.seed < 2**32, "seed", "it must lie in 0 to 2**32 - 1")
    require(0 <= config.max_damaged_share <= 1, "max_damaged_share", "it must lie in 0 to 1")
    require(math.isfinite(config.alpha) and config.alpha >= 0, "alpha", "it cannot be negative")
    require(
        config.completion_steps + config.discriminator_steps + config.joint_steps > 0,
        "completion_steps",
        "and the other stages have no steps either; give at least one stage some",
    )
    require(
        config.crop_px > 0 and config.crop_px % STRIDE_PX == 0,
        "crop_px",
        f"it must be a multiple of {STRIDE_PX}",
    )
    require(
        config.short_side_px[0] >= config.crop_px,
        "short_side_px",
        f"it must not go below config.crop_px, which is {config.crop_px}",
    )
    require(
        0 < config.window_px <= config.crop_px,
        "window_px",
        f"it must lie in 1 to config.crop_px, which is {config.crop_px}",
    )
    require(
        config.hole_px[1] <= config.window_px,
        "hole_px",
        f"holes must fit into config.window_px, which is {config.window_px}",
    )
    require(
        config.hole_px[0] < config.crop_px,
        "hole_px",
        f"a hole must leave something of config.crop_px, which is {config.crop_px}",
    )
    _check_holes(config)
    require(config.adversarial in _JOINT_STEPS, "adversarial", f"it must be one of {', '.join(_JOINT_STEPS)}")
    require(
        config.initial_values in _INITIAL_VALUES, "initial_values", f"it must be one of {', '.join(_INITIAL_VALUES)}"
    )
    if config.context_encoder is not None:
        _check_context_encoder(config)
    require(config.compute_dtype in _DTYPES, "compute_dtype", f"it must be one of {', '.join(_DTYPES)}")
    require(
        config.compute_dtype != "float64" or jnp.result_type(float) == jnp.float64,
        "compute_dtype",
        "for that JAX has to be started with JAX_ENABLE_X64=1 in the environment",
    )
    for network in ("completion", "discriminator"):
        if not 0 < config[network].width_multiplier <= 16:
            raise UserError(
                f"config.{network}.width_multiplier is {config[network].width_multiplier}; it must lie in 0 to 16"
            )
    for depth in ("global_depth", "local_depth"):
        value = config.discriminator[depth]
        if value is not None and not 1 <= value <= len(BRANCH_CHANNELS):
            raise UserError(f"config.discriminator.{depth} is {value}; it must lie in 1 to {len(BRANCH_CHANNELS)}")


def _check_context_encoder(config: Config) -> None:
    """Raises UserError if crops, holes and windows are not what the Context Encoder completes."""
    side = config.context_encoder.image_px
    for key, value in (("crop_px", side), ("hole_px", (side // 2, side // 2)), ("window_px", side // 2)):
        if config[key] != value:
            raise UserError(f"config.{key} is {config[key]!r}; the Context Encoder of {side} px needs {value!r}")
    only_central = config.holes.rectangles.central and config.holes.rectangles.count == (1, 1)
    if not only_central or any(hole.share > 0 for kind, hole in config.holes.items() if kind != "rectangles"):
        raise UserError("the Context Encoder completes one central square; leave config.holes as in its recipe")
    if not 0 < config.context_encoder.width_multiplier <= 16:
        width = config.context_encoder.width_multiplier
        raise UserError(f"config.context_encoder.width_multiplier is {width}; it must lie in 0 to 16")
    if side < REDUCTION or side % REDUCTION:
        raise UserError(f"config.context_encoder.image_px is {side}; it must be a multiple of {REDUCTION}")


def _check_holes(config: Config) -> None:
    """Raises UserError naming the first key of config.holes whose value cannot work."""
    room = "window_px" if config.holes_in_window else "crop_px"
    for kind, parameters in config.holes.items():
        for key, value in parameters.items():
            fits, why = True, ""
            if key == "share":
                fits, why = math.isfinite(value) and value >= 0, "it cannot be negative"
            elif key == "box_share":
                fits, why = 0 <= value <= 1, "it must lie in 0 to 1"
            elif key not in ("zigzag", "central"):
                fits, why = _is_range(value), "it must be a range of whole numbers from 1, (smallest, largest)"
            if fits and key == "width_px" and parameters.share > 0:
                fits, why = value[1] <= config[room], f"strokes must fit into config.{room}, which is {config[room]}"
            if not fits:
                raise UserError(f"config.holes.{kind}.{key} is {value!r}; {why}")
    if not any(parameters.share > 0 for parameters in config.holes.values()):
        raise UserError("every share in config.holes is 0; give one kind some, such as --config.holes.brush.share=1")


def _is_range(value: Any) -> bool:
    """Whether it is (smallest, largest), whole numbers from 1."""
    return _are_whole(value) and 0 < value[0] <= value[1]


def _are_whole(value: Any) -> bool:
    """Whether it is a pair of whole numbers."""
    return isinstance(value, tuple) and [type(end) for end in value] == [int, int]


def hole_drawer(config: Config) -> DrawHole:
    """What draws a recipe's holes."""
    return functools.partial(
        draw_hole,
        size_px=config.crop_px,
        window_px=config.window_px,
        hole_px=config.hole_px,
        holes=config.holes.to_dict(),
        in_window=config.holes_in_window,
    )


def run_samples(config: Config, reader: Reader) -> grain.MapDataset:
    """The global order of samples that a recipe trains on."""
    return training_samples(
        reader,
        seed=config.seed,
        short_side_px=config.short_side_px,
        crop_px=config.crop_px,
        flip=config.flip,
        window_px=config.window_px,
        draw_hole=hole_drawer(config),
        real_window_on_hole=config.real_window_on_hole,
    )


def build_problem(config: Config, mean_color: tuple[float, float, float]) -> Problem:
    """Networks and optimisers of a recipe. Raises: UserError for values that they refuse."""
    common: dict[str, Any] = {
        "dtype": _DTYPES[config.compute_dtype],
        "statistics_axis": AXIS if config.sync_batch_norm else None,
    }
    c: CompletionNetwork | ContextEncoder
    d: ContextDiscriminator | PatchDiscriminator
    completion = dict(config.completion)
    with contextlib.suppress(ValueError):  # unless it is one of the named fills
        completion["hole_fill"] = float(completion["hole_fill"])
    depths = {"global_depth": default_depth(config.crop_px), "local_depth": default_depth(config.window_px)}
    chosen = {key: value for key, value in dict(config.discriminator).items() if value is not None}
    if config.context_encoder is not None:
        c = ContextEncoder(**dict(config.context_encoder), mean_color=mean_color, **common)
        d = PatchDiscriminator(width_multiplier=config.context_encoder.width_multiplier, **common)
    else:
        try:
            c = CompletionNetwork(**completion, mean_color=mean_color, **common)
        except ValueError as error:
            raise UserError(f"config.completion: {error}") from error
        d = ContextDiscriminator(**depths | chosen, **common)
    return Problem(
        completion=c,
        discriminator=d,
        completion_optimizer=_optimizer(config, "completion_optimizer"),
        discriminator_optimizer=_optimizer(config, "discriminator_optimizer"),
        window_px=config.window_px,
        alpha=config.alpha,
        saturating=config.saturating_adversarial_loss,
        balance_gradients_steps=config.balance_gradients_steps,
        joint_start_step=stages(config)[-1].start,
        microbatches=config.microbatches,
        remat=config.remat,
    )


def initial_state(config: Config, problem: Problem) -> TrainState:
    """The state at step 0, from config.seed alone; compiled, so that no layer runs one by one.

    In float32, unless everything is computed in float64.
    """
    create = functools.partial(
        create_state,
        completion=problem.completion,
        discriminator=problem.discriminator,
        completion_optimizer=problem.completion_optimizer,
        discriminator_optimizer=problem.discriminator_optimizer,
        crop_px=config.crop_px,
        window_px=config.window_px,
    )
    anew = he_uniform if config.initial_values == "he_uniform" else lambda state: state
    state = jax.jit(lambda key: anew(create(key)))(jax.random.key(config.seed))
    if config.compute_dtype != "float64":
        return state
    return jax.tree.map(lambda x: x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x, state)


def _optimizer(config: Config, key: str) -> optax.GradientTransformation:
    """config.KEY holds the name of an Optax optimiser and its arguments."""
    arguments = dict(config[key])
    name = arguments.pop("name")
    make = getattr(optax, name, None)
    if make is None:
        raise UserError(f"config.{key}.name is {name!r}, which Optax does not have; take adadelta or adam")
    try:
        return make(**arguments)
    except TypeError as error:
        raise UserError(f"config.{key}: Optax's {name} does not take these arguments ({error})") from error
