"""From a recipe to what training works with: samples, networks, optimisers, the initial state."""

import contextlib
import dataclasses
import functools
import inspect
from typing import Any, TypedDict

import grain.python as grain
import jax
import jax.numpy as jnp
import optax

from glcic_jax.data.holes import draw_hole
from glcic_jax.data.loader import DrawHole, training_samples
from glcic_jax.data.reading import Reader
from glcic_jax.errors import UserError
from glcic_jax.models.completion import CompletionNetwork
from glcic_jax.models.context_encoder import ContextEncoder, PatchDiscriminator
from glcic_jax.models.discriminator import ContextDiscriminator, default_depth
from glcic_jax.models.protocols import Completion, Discriminator
from glcic_jax.run.config import CompletionConfig, Config, DiscriminatorConfig, OptimizerConfig
from glcic_jax.run.schedule import stages
from glcic_jax.training.mesh import AXIS
from glcic_jax.training.optimizers import make_optimizer
from glcic_jax.training.specification import TrainingSpecification
from glcic_jax.training.state import TrainState, create_state


class _Common(TypedDict):
    """Fields that all networks have."""

    initial_values: str
    dtype: Any
    statistics_axis: str | None


_DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16, "float64": jnp.float64}


def hole_drawer(config: Config) -> DrawHole:
    """The function that draws a recipe's holes."""
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


def build_specification(config: Config, mean_color: tuple[float, float, float]) -> TrainingSpecification:
    """Networks, optimisers and losses of a recipe. Raises: UserError for values that they refuse."""
    if config.compute_dtype == "float64" and jnp.result_type(float) != jnp.float64:
        raise UserError(
            "config.compute_dtype is 'float64'; for that, start JAX with JAX_ENABLE_X64=1 in the environment"
        )
    completion, discriminator = _networks(config, mean_color)
    return TrainingSpecification(
        completion=completion,
        discriminator=discriminator,
        completion_optimizer=_completion_optimizer(config, config.completion_optimizer, "completion_optimizer"),
        joint_completion_optimizer=(
            _completion_optimizer(config, config.joint_completion_optimizer, "joint_completion_optimizer")
            if config.joint_completion_optimizer
            else None
        ),
        discriminator_optimizer=_optimizer(
            config.discriminator_optimizer,
            "discriminator_optimizer",
            schedule=config.discriminator_schedule,
            warmup_steps=config.discriminator_warmup_steps,
            spans=(config.discriminator_steps + config.joint_steps,),
            clip_norm=config.discriminator_clip_norm,
        ),
        window_px=config.window_px,
        completion_loss=config.completion_loss,
        completion_loss_over=config.completion_loss_over,
        average_half_life_samples=config.completion_average_half_life_samples,
        alpha=config.alpha,
        discriminator_loss_weight=config.discriminator_loss_weight,
        adversarial_ratio=config.adversarial_ratio,
        r1_weight=config.r1_weight,
        r1_every_steps=config.r1_every_steps,
        feature_matching_weight=config.feature_matching_weight,
        saturating=config.saturating_adversarial_loss,
        balance_gradients_steps=config.balance_gradients_steps,
        joint_start_step=stages(config)[-1].start,
        microbatches=config.microbatches,
        remat=config.remat,
    )


def initial_state(config: Config, spec: TrainingSpecification) -> TrainState:
    """The state at step 0, from config.seed alone; compiled, so that no layer runs one by one.

    In float32, unless everything is computed in float64.
    """
    create = functools.partial(create_state, spec=spec, crop_px=config.crop_px)
    state = jax.jit(create)(jax.random.key(config.seed))
    if config.compute_dtype != "float64":
        return state
    return jax.tree.map(lambda x: x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x, state)


def _networks(config: Config, mean_color: tuple[float, float, float]) -> tuple[Completion, Discriminator]:
    """Raises: UserError for values that a network refuses."""
    common = _Common(
        initial_values=config.initial_values,
        dtype=_DTYPES[config.compute_dtype],
        statistics_axis=AXIS if config.sync_batch_norm else None,
    )
    if config.context_encoder is not None:
        return (
            ContextEncoder(**dataclasses.asdict(config.context_encoder), mean_color=mean_color, **common),
            PatchDiscriminator(width_multiplier=config.context_encoder.width_multiplier, **common),
        )
    try:
        completion = _completion_network(config.completion, mean_color, common)
    except ValueError as error:
        raise UserError(f"config.completion: {error}") from error
    try:
        discriminator = _discriminator(config.discriminator, config, common)
    except ValueError as error:
        raise UserError(f"config.discriminator: {error}") from error
    return completion, discriminator


def _completion_network(
    config: CompletionConfig, mean_color: tuple[float, float, float], common: _Common
) -> CompletionNetwork:
    """Raises: ValueError."""
    fields = dataclasses.asdict(config)
    with contextlib.suppress(ValueError):  # unless it is one of the named fills
        fields["hole_fill"] = float(config.hole_fill)
    return CompletionNetwork(**fields, mean_color=mean_color, **common)


def _discriminator(config: DiscriminatorConfig, sizes: Config, common: _Common) -> ContextDiscriminator:
    """Depths that the recipe leaves open follow from the sizes of crops and windows. Raises: ValueError."""
    fields = dataclasses.asdict(config)
    for key, size_px in (("global_depth", sizes.crop_px), ("local_depth", sizes.window_px)):
        if fields[key] is None:
            fields[key] = default_depth(size_px)
    return ContextDiscriminator(**fields, **common)


def _completion_optimizer(config: Config, optimizer: OptimizerConfig, key: str) -> optax.GradientTransformation:
    return _optimizer(
        optimizer,
        key,
        schedule=config.completion_schedule,
        warmup_steps=config.completion_warmup_steps,
        spans=(config.completion_steps, config.joint_steps),
        clip_norm=config.completion_clip_norm,
    )


def _optimizer(
    config: OptimizerConfig, key: str, *, schedule: str, warmup_steps: int, spans: tuple[int, ...], clip_norm: float
) -> optax.GradientTransformation:
    """Raises: UserError."""
    _check_arguments(config, key)
    try:
        return make_optimizer(
            config.name,
            config.arguments,
            schedule=schedule,
            warmup_steps=warmup_steps,
            spans=spans,
            clip_norm=clip_norm,
        )
    except ValueError as error:
        raise UserError(f"config.{key}.name is {config.name!r}: {error}") from error
    except TypeError as error:
        raise UserError(f"config.{key}: Optax's {config.name} refuses these arguments ({error})") from error


def _check_arguments(config: OptimizerConfig, key: str) -> None:
    """Raises UserError for an argument that the optimiser does not take, or one that it needs and lacks."""
    make = getattr(optax, config.name, None)
    if not inspect.isfunction(make):
        return  # `make_optimizer` says it
    taken = inspect.signature(make).parameters
    for name, value in config.arguments.items():
        if name not in taken:
            raise UserError(
                f"config.{key}.{name} is {value!r}, but Optax's {config.name} has no such argument; it takes "
                f"{', '.join(taken)}"
            )
    for name, parameter in taken.items():
        if parameter.default is inspect.Parameter.empty and name not in config.arguments:
            raise UserError(f"config.{key}: Optax's {config.name} needs {name}; give --config.{key}.{name}=VALUE")
