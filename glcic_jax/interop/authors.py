"""The authors' completion network as they published it for Torch7: a table with `model` and `mean`.

Order of the layers, eps and mean colour are read from the file, as is where BatchNorm stands; whatever is not table 1
of the paper is refused by name.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from glcic_jax.errors import UserError
from glcic_jax.interop.graph import EPSILON
from glcic_jax.interop.torch7 import Module
from glcic_jax.models.completion import LAST, TABLE_1, CompletionNetwork, Layer
from glcic_jax.models.protocols import Variables

LICENCE = "CC BY-NC-SA 4.0 (Iizuka, Simo-Serra, Ishikawa 2017): not for commercial use"
_CONVOLUTIONS = ("SpatialConvolution", "SpatialConvolutionMM", "SpatialDilatedConvolution", "SpatialFullConvolution")
_NORMS = ("SpatialBatchNormalization",)
_ACTIVATIONS = ("ReLU", "LeakyReLU")


class _Row(NamedTuple):
    """A convolution and what follows it, by class."""

    convolution: Module
    followers: list[Module]


def read_completion(content: Any) -> tuple[CompletionNetwork, Variables]:
    """The network in a `.t7` file's content. Raises: UserError naming what is not as in the paper's table 1."""
    if not isinstance(content, dict) or not isinstance(content.get("model"), Module) or "mean" not in content:
        raise UserError(
            "the file holds no table with `model` and `mean`, as the authors' completionnet_places2.t7 does"
        )
    rows, output = _rows(content["model"])
    if _kind(output) != "Sigmoid":
        raise UserError(f"the file's network ends with {output.kind}; the authors' ends with nn.Sigmoid")
    layers = (*TABLE_1, LAST)
    if len(rows) != len(layers):
        raise UserError(f"the file's network has {len(rows)} convolutions; the paper's table 1 has {len(layers)}")
    width = _array(rows[0].convolution, "weight", 1).shape[0] / TABLE_1[0].channels
    orders = {tuple(_kind(module) in _NORMS for module in row.followers) for row in rows[:-1]}
    placements = {(True, False): "batch", (False, True): "batch_after_activation", (False,): "none"}
    if len(orders) != 1 or (order := orders.pop()) not in placements or rows[-1].followers:
        raise UserError("the file's layers are not all a convolution with one BatchNorm and one ReLU, in one order")
    slopes = {_slope(module) for row in rows[:-1] for module in row.followers if _kind(module) in _ACTIVATIONS}
    if len(slopes) != 1:
        raise UserError(f"the file's activations have several slopes: {sorted(slopes)}")
    params: Variables = {}
    statistics: Variables = {}
    inputs = 4
    for number, (row, layer) in enumerate(zip(rows, layers, strict=True), 1):
        channels = layer.channels if layer is LAST else max(1, int(layer.channels * width))
        params[f"conv{number}"] = _convolution(row.convolution, layer, (inputs, channels), number)
        for module in row.followers:
            if _kind(module) in _NORMS:
                params[f"norm{number}"], statistics[f"norm{number}"] = _norm(module, channels, number)
        inputs = channels
    network = CompletionNetwork(
        width_multiplier=width,
        negative_slope=slopes.pop(),
        mean_color=_mean(content["mean"]),
        normalization=placements[order],
    )
    return network, {"params": params, "batch_stats": statistics}


def _rows(model: Module) -> tuple[list[_Row], Module]:
    rows: list[_Row] = []
    modules = list(_flat(model))
    for module in modules[:-1]:
        if _kind(module) in _CONVOLUTIONS:
            rows.append(_Row(module, []))
        elif _kind(module) in (*_NORMS, *_ACTIVATIONS) and rows:
            rows[-1].followers.append(module)
        else:
            raise UserError(f"the file's network holds {module.kind}, which the paper's has not")
    if not modules:
        raise UserError("the file's network is empty")
    return rows, modules[-1]


def _flat(module: Module) -> Iterator[Module]:
    """The modules in order, without the sequences around them."""
    if _kind(module) != "Sequential":
        yield module
        return
    parts: Any = module.fields.get("modules")
    for index in range(1, len(parts) + 1) if isinstance(parts, dict) else ():
        if not isinstance(parts.get(float(index)), Module):
            raise UserError("the file's network is a sequence with something else than modules in it")
        yield from _flat(parts[float(index)])


def _kind(module: Module) -> str:
    """Its class without the package: cuDNN's modules are those of nn."""
    package, _, name = module.kind.partition(".")
    return name if package in ("nn", "cudnn") else module.kind


def _slope(module: Module) -> float:
    value = module.fields.get("negval", 0.01) if _kind(module) == "LeakyReLU" else module.fields.get("val", 0.0)
    if _kind(module) == "ReLU" and (value or module.fields.get("threshold", 0.0)):
        raise UserError("the file's network has a ReLU with another threshold than 0")
    return float(value)


def _convolution(module: Module, layer: Layer, channels: tuple[int, int], number: int) -> dict[str, np.ndarray]:
    """Kernel (k, k, C, O) and bias, compared with the layer of table 1."""
    transposed = _kind(module) == "SpatialFullConvolution"
    k = layer.kernel_px
    padding = 1 if layer.transposed else layer.dilation * (k - 1) // 2
    wanted = {"kW": k, "kH": k, "dW": layer.stride, "dH": layer.stride, "padW": padding, "padH": padding,
              "dilationW": layer.dilation, "dilationH": layer.dilation, "adjW": 0, "adjH": 0, "groups": 1}  # fmt: skip
    found = {field: module.fields[field] for field in wanted if field in module.fields}
    different = [f"{field} = {value:g}" for field, value in found.items() if value != wanted[field]]
    missing = {"kW", "kH", "dW", "dH", "padW", "padH"} - found.keys()
    if layer.dilation > 1 and "dilationW" not in found:
        different.append("no dilation")
    if transposed != layer.transposed or different or missing:
        what = ", ".join([module.kind, *different, *(f"no {field}" for field in sorted(missing))])
        raise UserError(f"layer {number} of the file is not as in the paper's table 1: {what}")
    inputs, outputs = channels
    shape = (inputs, outputs, k, k) if transposed else (outputs, inputs, k, k)
    kernel = _array(module, "weight", number)
    if kernel.size != np.prod(shape):
        raise UserError(f"layer {number} of the file has a kernel of shape {kernel.shape}; here it must be {shape}")
    weights = {"kernel": kernel.reshape(shape).transpose((2, 3, 0, 1) if transposed else (2, 3, 1, 0))}
    bias = _array(module, "bias", number) if "bias" in module.fields else np.zeros(outputs, np.float32)
    if bias.shape != (outputs,):
        raise UserError(f"layer {number} of the file has a bias of shape {bias.shape}; here it must be ({outputs},)")
    return weights | {"bias": bias}


def _norm(module: Module, channels: int, number: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Parameters and statistics for our eps. Old files hold 1 / sqrt(var + eps) in place of the variance."""
    eps = float(module.fields.get("eps", EPSILON))
    if "running_var" in module.fields:
        spread = _array(module, "running_var", number).astype(np.float64) + eps
    else:
        spread = _array(module, "running_std", number).astype(np.float64) ** -2
    affine = "weight" in module.fields
    parts = {
        "scale": _array(module, "weight", number) if affine else np.ones(channels, np.float32),
        "bias": _array(module, "bias", number) if affine else np.zeros(channels, np.float32),
        "mean": _array(module, "running_mean", number),
        "var": (spread - EPSILON).astype(np.float32),
    }
    for name, array in parts.items():
        if array.shape != (channels,):
            raise UserError(f"BatchNorm {number} of the file has a {name} of shape {array.shape}; wanted ({channels},)")
    return {key: parts[key] for key in ("scale", "bias")}, {key: parts[key] for key in ("mean", "var")}


def _array(module: Module, field: str, number: int) -> np.ndarray:
    array = module.fields.get(field)
    if not isinstance(array, np.ndarray):
        raise UserError(f"{module.kind} {number} of the file has no {field}")
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise UserError(f"{field} of {module.kind} {number} in the file holds numbers that are not finite")
    return array


def _mean(value: Any) -> tuple[float, float, float]:
    if isinstance(value, dict):
        value = [value.get(float(index)) for index in (1, 2, 3)] if len(value) == 3 else None
    colors = np.asarray(value, object).reshape(-1).tolist() if value is not None else []
    if len(colors) != 3 or not all(isinstance(color, float) and 0 <= color <= 1 for color in colors):
        raise UserError(f"the file's mean is {str(value)[:80]}; it must be three numbers in [0, 1]")
    return colors[0], colors[1], colors[2]
