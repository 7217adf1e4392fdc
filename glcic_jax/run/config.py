"""A recipe as typed values, checked once; configs/places2.py explains every key.

Here `ml_collections` ends: everything below takes these dataclasses, or plain arguments. The rule that a value has to
obey stands beside its field, the rules that bind several fields in `_check_together`.
"""

import dataclasses
import math
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self, TypeAlias

import ml_collections

from glcic_jax.errors import UserError
from glcic_jax.models.completion import STRIDE_PX
from glcic_jax.models.context_encoder import REDUCTION
from glcic_jax.models.discriminator import BRANCH_CHANNELS
from glcic_jax.models.layers import INITIAL_VALUES
from glcic_jax.models.shipped import FOLDER, shipped_model
from glcic_jax.run.rules import AT_LEAST_1, COUNTS, NOT_NEGATIVE, PIXELS, SHARE, Rule, is_pair, one_of, parse
from glcic_jax.system.paths import user_path
from glcic_jax.training.optimizers import SCHEDULES

Range: TypeAlias = tuple[int, int]
Value: TypeAlias = float | int | bool | str | tuple[int, ...] | None


POSITIVE = Rule(lambda value: math.isfinite(value) and value > 0, "it must be larger than 0")
WIDTH = Rule(lambda value: 0 < value <= 16, "it must lie in 0 to 16")
DEPTH = Rule(lambda value: 1 <= value <= len(BRANCH_CHANNELS), f"it must lie in 1 to {len(BRANCH_CHANNELS)}")
SEED = Rule(lambda value: 0 <= value < 2**32, "it must lie in 0 to 2**32 - 1")
PROFILED = Rule(
    lambda value: is_pair(value) and 0 <= value[0] <= value[1],
    "it must be (first, stop), such as (20, 25); (0, 0) for none",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RectanglesConfig:
    """Rectangular holes; their sides are `Config.hole_px`."""

    share: Annotated[float, NOT_NEGATIVE]
    count: Annotated[Range, COUNTS]
    central: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class StrokesConfig:
    """Holes drawn as strokes; see `data.strokes.free_form`."""

    share: Annotated[float, NOT_NEGATIVE]
    count: Annotated[Range, COUNTS]
    segments: Annotated[Range, COUNTS]
    length_px: Annotated[Range, COUNTS]
    width_px: Annotated[Range, COUNTS]
    angle_deg: Annotated[Range, COUNTS]
    zigzag: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class StrokesAndBoxesConfig(StrokesConfig):
    """Strokes, or now and then boxes instead."""

    box_share: Annotated[float, SHARE]
    box_count: Annotated[Range, COUNTS]
    box_px: Annotated[Range, COUNTS]


@dataclasses.dataclass(frozen=True, kw_only=True)
class HolesConfig:
    """Kinds of holes, drawn by their shares."""

    rectangles: RectanglesConfig
    brush: StrokesConfig
    thin: StrokesConfig
    medium: StrokesAndBoxesConfig
    thick: StrokesAndBoxesConfig

    def shares(self) -> dict[str, float]:
        """The share of every kind that is drawn at all."""
        kinds = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: kind.share for name, kind in sorted(kinds.items()) if kind.share > 0}

    def to_dict(self) -> dict[str, dict[str, Value]]:
        """As `data.holes.draw_hole` takes them."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompletionConfig:
    """The fields of `CompletionNetwork`."""

    width_multiplier: Annotated[float, WIDTH]
    negative_slope: float
    output: str
    hole_fill: str
    mask_channel: bool
    use_bias: bool
    normalization: str = "batch"
    residual: bool = False
    upsampling: str = "transposed"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig:
    """The fields of `ContextDiscriminator`; depths of None follow from the sizes."""

    width_multiplier: Annotated[float, WIDTH]
    negative_slope: float
    use_bias: bool
    global_depth: Annotated[int | None, DEPTH]
    local_depth: Annotated[int | None, DEPTH]
    vector_activation: bool
    normalization: str = "batch"
    spectral_normalization: bool = False
    patch_logits: bool = False
    mask_channel: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class ContextEncoderConfig:
    """The fields of `ContextEncoder`."""

    image_px: Annotated[
        int, Rule(lambda value: value >= REDUCTION and value % REDUCTION == 0, f"it must be a multiple of {REDUCTION}")
    ]
    width_multiplier: Annotated[float, WIDTH]


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """The name of an optimiser in Optax and its arguments."""

    name: str
    arguments: Mapping[str, Value]

    @classmethod
    def parse(cls, values: Mapping[str, Any], key: str) -> Self:
        """Raises: UserError if there is no name."""
        arguments = dict(values)
        if not isinstance(name := arguments.pop("name", None), str):
            raise UserError(f"config.{key}.name is {name!r}; give the name of an optimiser in Optax, such as adam")
        return cls(name, types.MappingProxyType(arguments))

    def to_dict(self) -> dict[str, Value]:
        """As a recipe writes it."""
        return {"name": self.name, **self.arguments}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """A whole recipe. A field that later versions added has a default: what runs did before it was there."""

    seed: Annotated[int, SEED]
    data_dir: str
    max_damaged_share: Annotated[float, SHARE]
    init_from: str
    batch_size: int
    microbatches: Annotated[int, AT_LEAST_1]
    remat: bool
    completion_steps: Annotated[int, NOT_NEGATIVE]
    discriminator_steps: Annotated[int, NOT_NEGATIVE]
    joint_steps: Annotated[int, NOT_NEGATIVE]
    short_side_px: Annotated[Range, PIXELS]
    crop_px: Annotated[
        int, Rule(lambda value: value > 0 and value % STRIDE_PX == 0, f"it must be a multiple of {STRIDE_PX}")
    ]
    flip: bool
    hole_px: Annotated[Range, PIXELS]
    window_px: int
    real_window_on_hole: bool
    holes: HolesConfig
    holes_in_window: bool
    completion: CompletionConfig
    discriminator: DiscriminatorConfig
    context_encoder: ContextEncoderConfig | None
    initial_values: Annotated[str, one_of(*INITIAL_VALUES)]
    sync_batch_norm: bool
    compute_dtype: Annotated[str, one_of("float32", "bfloat16", "float64")]
    alpha: Annotated[float, NOT_NEGATIVE]
    adversarial: Annotated[str, one_of("fooling", "none", "cooperative")]
    saturating_adversarial_loss: bool
    balance_gradients_steps: Annotated[int, NOT_NEGATIVE]
    completion_optimizer: OptimizerConfig
    discriminator_optimizer: OptimizerConfig
    log_every_steps: Annotated[int, AT_LEAST_1]
    validate_every_steps: Annotated[int, AT_LEAST_1]
    validation_samples: Annotated[int, AT_LEAST_1]
    grid_samples: Annotated[int, AT_LEAST_1]
    checkpoint_every_steps: Annotated[int, AT_LEAST_1]
    keep_checkpoints: Annotated[int, AT_LEAST_1]
    profile_steps: Annotated[tuple[int, int], PROFILED]
    watchdog_secs: Annotated[int, AT_LEAST_1]
    weights_licence: str
    data_licence: str
    discriminator_loss_weight: Annotated[float, POSITIVE] = 1.0
    adversarial_ratio: Annotated[float, NOT_NEGATIVE] = 0.0
    r1_weight: Annotated[float, NOT_NEGATIVE] = 0.0
    r1_every_steps: Annotated[int, AT_LEAST_1] = 16
    feature_matching_weight: Annotated[float, NOT_NEGATIVE] = 0.0
    completion_loss: Annotated[str, one_of("squared", "absolute")] = "squared"
    completion_loss_over: Annotated[str, one_of("image", "hole")] = "image"
    joint_completion_optimizer: OptimizerConfig | None = None
    completion_schedule: Annotated[str, one_of(*SCHEDULES)] = "constant"
    completion_warmup_steps: Annotated[int, NOT_NEGATIVE] = 0
    discriminator_schedule: Annotated[str, one_of(*SCHEDULES)] = "constant"
    discriminator_warmup_steps: Annotated[int, NOT_NEGATIVE] = 0
    completion_clip_norm: Annotated[float, NOT_NEGATIVE] = 0.0
    discriminator_clip_norm: Annotated[float, NOT_NEGATIVE] = 0.0
    completion_average_half_life_samples: Annotated[int, NOT_NEGATIVE] = 0

    @property
    def data_folder(self) -> Path:
        """`data_dir`. Raises: UserError."""
        return user_path(self.data_dir)

    @property
    def weights_path(self) -> Path | None:
        """`init_from`, also by the name of the model that ships; None for random weights. Raises: UserError."""
        if not self.init_from:
            return None
        path = user_path(self.init_from)
        return shipped_model() if self.init_from == FOLDER.name and not path.exists() else path

    @classmethod
    def from_config_dict(cls, recipe: ml_collections.ConfigDict) -> Self:
        """A recipe, checked. Raises: UserError naming the first key whose value cannot work."""
        return cls.from_dict(recipe.to_dict())

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """A recipe from plain values, such as those of config.json. Raises: UserError as above."""
        config = parse(cls, _with_tuples(values), "")
        _check_together(config)
        return config

    def to_dict(self) -> dict[str, object]:
        """Plain values with sorted keys, as they stand in config.json, in checkpoints and in a model's card."""
        nested = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {key: _plain(value) for key, value in sorted(nested.items())}


def _plain(value: Any) -> Any:
    if isinstance(value, OptimizerConfig):
        return dict(sorted(value.to_dict().items()))
    if dataclasses.is_dataclass(value):
        return {field: _plain(getattr(value, field)) for field in sorted(f.name for f in dataclasses.fields(value))}
    return value


def _with_tuples(value: Any) -> Any:
    """JSON has lists where recipes have tuples."""
    if isinstance(value, Mapping):
        return {key: _with_tuples(below) for key, below in value.items()}
    return tuple(value) if isinstance(value, list) else value


def _check_together(config: Config) -> None:
    """Raises UserError naming the first key whose value does not go with the others."""

    def require(fits: bool, key: str, why: str) -> None:
        if not fits:
            raise UserError(f"config.{key} is {getattr(config, key)!r}; {why}")

    crop, window = config.crop_px, config.window_px
    require(
        config.completion_steps + config.discriminator_steps + config.joint_steps > 0,
        "completion_steps",
        "and the other stages have no steps either; give at least one stage some",
    )
    require(config.short_side_px[0] >= crop, "short_side_px", f"it must not go below config.crop_px, which is {crop}")
    require(0 < window <= crop, "window_px", f"it must lie in 1 to config.crop_px, which is {crop}")
    require(config.hole_px[1] <= window, "hole_px", f"holes must fit into config.window_px, which is {window}")
    require(config.hole_px[0] < crop, "hole_px", f"a hole must leave something of config.crop_px, which is {crop}")
    _check_strokes(config)
    _check_adversarial(config)
    if config.context_encoder is not None:
        _check_context_encoder(config, config.context_encoder)


def _check_strokes(config: Config) -> None:
    """Raises UserError if nothing is drawn, or strokes are wider than where they are drawn."""
    shares = config.holes.shares()
    if not shares:
        raise UserError("every share in config.holes is 0; give one kind some, such as --config.holes.brush.share=1")
    room = "window_px" if config.holes_in_window else "crop_px"
    for name in shares.keys() - {"rectangles"}:
        width_px = getattr(config.holes, name).width_px
        if width_px[1] > getattr(config, room):
            raise UserError(
                f"config.holes.{name}.width_px is {width_px}; strokes must fit into config.{room}, which is "
                f"{getattr(config, room)}"
            )


def _check_adversarial(config: Config) -> None:
    """Raises UserError for terms that the joint step of this recipe would leave out."""
    for key in ("adversarial_ratio", "feature_matching_weight"):
        value = getattr(config, key)
        if value and config.adversarial != "fooling":
            raise UserError(
                f"config.{key} is {value}, but with config.adversarial={config.adversarial!r} C does not learn to fool "
                "D; set it to 0, or config.adversarial to 'fooling'"
            )
    if config.adversarial_ratio and config.balance_gradients_steps:
        raise UserError(
            f"config.balance_gradients_steps is {config.balance_gradients_steps}, but config.adversarial_ratio="
            f"{config.adversarial_ratio} sets both gradients' ratio in every step; give one of them"
        )
    if config.r1_weight and config.discriminator.normalization == "batch":
        raise UserError(
            f"config.r1_weight is {config.r1_weight}, but D's BatchNorm mixes the images whose gradients count; set "
            "config.discriminator.normalization='none'"
        )
    if config.context_encoder is not None and (config.r1_weight or config.feature_matching_weight):
        raise UserError("the Context Encoder's discriminator has neither r1_weight nor feature_matching_weight; set 0")


def _check_context_encoder(config: Config, encoder: ContextEncoderConfig) -> None:
    """Raises UserError if crops, holes and windows are not what the Context Encoder completes."""
    side = encoder.image_px
    for key, value in (("crop_px", side), ("hole_px", (side // 2, side // 2)), ("window_px", side // 2)):
        if getattr(config, key) != value:
            raise UserError(
                f"config.{key} is {getattr(config, key)!r}; the Context Encoder of {side} px needs {value!r}"
            )
    rectangles = config.holes.rectangles
    if not rectangles.central or rectangles.count != (1, 1) or config.holes.shares().keys() != {"rectangles"}:
        raise UserError("the Context Encoder completes one central square; leave config.holes as in its recipe")
