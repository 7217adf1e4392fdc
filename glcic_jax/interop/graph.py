"""A completion network as a plain list of operations, which the writers of other formats share.

Everything that a network's fields mean stands here, once. Arrays: kernels (k, k, C, O) as in the variables.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from glcic_jax.errors import UserError
from glcic_jax.models.completion import LAST, TABLE_1, CompletionNetwork, Layer

EPSILON = 1e-5
"""Of BatchNorm."""
TRAINING_FIELDS = {"parent", "name", "dtype", "precision", "statistics_axis", "initial_values"}
"""Fields that say how a network began and how it is computed, not what."""
UNDERSTOOD = {
    "width_multiplier", "negative_slope", "normalization", "residual", "upsampling", "output", "hole_fill",
    "mean_color", "mask_channel", "use_bias",
}  # fmt: skip
"""Fields whose every value `describe` can express."""


class NetworkInput(NamedTuple):
    """What the network sees: scale * where(hole, fill, image - shift) + offset, and the mask as a fourth channel."""

    shift: tuple[float, float, float]
    fill: tuple[float, float, float]
    scale: float
    offset: float
    mask_channel: bool


class Convolve(NamedTuple):
    """Zero-padded so that only the stride changes the size: kernel (k, k, C, O), bias (O,) or None."""

    name: str
    kernel: np.ndarray
    bias: np.ndarray | None
    stride: int
    dilation: int

    @property
    def padding_px(self) -> int:
        """On each side."""
        return self.dilation * (len(self.kernel) - 1) // 2


class ConvolveTransposed(NamedTuple):
    """4x4 with stride 2, doubles the size: kernel (4, 4, C, O), output pixel o takes input i with tap o + 1 - 2i."""

    name: str
    kernel: np.ndarray
    bias: np.ndarray | None


class Normalize(NamedTuple):
    """BatchNorm with its running statistics: all (C,)."""

    name: str
    scale: np.ndarray
    bias: np.ndarray
    mean: np.ndarray
    var: np.ndarray


NORM_PARTS = ("scale", "bias", "mean", "var")
"""Its arrays, in the order in which ONNX and PyTorch take them too."""


class Activate(NamedTuple):
    """ReLU, leaky where the slope is not zero."""

    slope: float


class Enlarge(NamedTuple):
    """Each pixel twice along both axes."""


# Names are those of the layers in the variables: "conv1", "norm1", ...
Operation = Convolve | ConvolveTransposed | Normalize | Activate | Enlarge


class Block(NamedTuple):
    """One layer of the paper's table 1: operations one after another, and what they make added to their input.

    scale: float32 (), what they make is multiplied by before it is added; None where nothing is added.
    """

    number: int
    operations: list[Operation]
    scale: np.ndarray | None

    @property
    def residual(self) -> str:
        """The scale's name in the variables."""
        return f"residual{self.number}"


class Description(NamedTuple):
    """A whole network.

    output: "sigmoid"; "tanh", whose result t is mapped to (t + 1) / 2; or "linear", to which the mean colour is
        added, and the sum clipped to [0, 1].
    """

    input: NetworkInput
    blocks: list[Block]
    output: str
    mean_color: tuple[float, float, float]

    @property
    def operations(self) -> list[Operation]:
        """All of them, in order."""
        return [operation for block in self.blocks for operation in block.operations]


def describe(network: Any, variables: Any) -> Description:
    """What a network computes, with its weights as float32. Raises: UserError if it has what no format can say."""
    require_understood(network)
    variables = jax.device_get(variables)
    params, statistics = variables["params"], variables.get("batch_stats", {})
    blocks = []
    for number, layer in enumerate((*TABLE_1, LAST), 1):
        operations: list[Operation] = list(_convolution(network, layer, f"conv{number}", params))
        if layer is not LAST:
            activate, name = Activate(network.negative_slope), f"norm{number}"
            if network.normalization == "none":
                operations.append(activate)
            else:
                norm = {**params[name], **statistics[name]}
                pair: list[Operation] = [
                    Normalize(name, *(np.asarray(norm[part], np.float32) for part in NORM_PARTS)),
                    activate,
                ]
                operations += pair if network.normalization == "batch" else pair[::-1]
        scale = params.get(f"residual{number}", {}).get("scale")
        blocks.append(Block(number, operations, None if scale is None else np.asarray(scale, np.float32)))
    return Description(_input(network), blocks, network.output, _color(network))


def _convolution(network: CompletionNetwork, layer: Layer, name: str, params: Any) -> Iterator[Operation]:
    weights = {key: np.asarray(value, np.float32) for key, value in params[name].items()}
    kernel, bias = weights["kernel"], weights.get("bias")
    if not layer.transposed:
        yield Convolve(name, kernel, bias, layer.stride, layer.dilation)
    elif network.upsampling == "transposed":
        yield ConvolveTransposed(name, kernel, bias)
    else:
        yield Enlarge()
        yield Convolve(name, kernel, bias, 1, 1)


def require_understood(network: Any) -> CompletionNetwork:
    """The network. Raises: UserError naming what it has that `describe` cannot express."""
    if network.margin_px is None:
        raise UserError(
            f"this model is a {type(network).__name__}; only completion networks can be written for other programs"
        )
    completion: CompletionNetwork = network
    for field in network.__dataclass_fields__.values():
        if field.name in TRAINING_FIELDS | UNDERSTOOD:
            continue
        if (value := getattr(network, field.name)) != field.default:
            raise UserError(
                f"the network has {field.name} = {value!r}, which other formats cannot express yet; "
                "use it with glcic-jax"
            )
    return completion


def _input(network: CompletionNetwork) -> NetworkInput:
    centred, color, black = network.hole_fill == "mean_centred", _color(network), (0.0, 0.0, 0.0)
    grey = network.hole_fill if isinstance(network.hole_fill, int | float) else 0.0
    fill = color if network.hole_fill == "mean" else (float(grey),) * 3
    scale = 2.0 if network.output == "tanh" else 1.0
    offset = -1.0 if network.output == "tanh" and not centred else 0.0
    return NetworkInput(color if centred else black, fill, scale, offset, network.mask_channel)


def _color(network: CompletionNetwork) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in network.mean_color)
    return red, green, blue
