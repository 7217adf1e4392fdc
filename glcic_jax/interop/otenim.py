"""The layout of otenim/GLCIC-PyTorch: names and shapes of its state dicts, and its config.json.

Its completion network is the paper's with BatchNorm after the ReLU, and sees the mean colour in the hole without
subtracting it from the photograph. Arrays are PyTorch's: kernels (O, C, k, k), transposed ones (C, O, k, k).
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from glcic_jax.errors import UserError
from glcic_jax.interop.graph import describe
from glcic_jax.interop.torch_layers import state_of, variables_of
from glcic_jax.models.card import Trained
from glcic_jax.models.completion import TABLE_1, CompletionNetwork
from glcic_jax.models.protocols import Variables

TRANSPOSED = {number for number, layer in enumerate(TABLE_1, 1) if layer.transposed}
FIELDS: Mapping[str, Any] = {
    "hole_fill": "mean", "normalization": "batch_after_activation", "output": "sigmoid", "negative_slope": 0.0,
    "use_bias": True, "mask_channel": True, "residual": False, "upsampling": "transposed",
}  # fmt: skip
"""Fields that every network in this layout has."""


class TrainingConfig(NamedTuple):
    """What its config.json tells: the mean colour in [0, 1], and the sizes that it was trained on."""

    mean_color: tuple[float, float, float]
    trained: Trained


def read_config(file: Path) -> TrainingConfig:
    """Reads a config.json, as its train.py writes it. Raises: UserError."""
    try:
        config = json.loads(file.read_text())
        mean = tuple(float(value) for value in config["mpv"])
        if len(mean) != 3 or not all(0 <= value <= 1 for value in mean):
            raise ValueError(f"mpv is {config['mpv']}; it must be three numbers in [0, 1]")
        sides = [int(config[f"hole_{end}_{axis}"]) for end in ("min", "max") for axis in ("w", "h")]
        crop_px, window_px = int(config["cn_input_size"]), int(config["ld_input_size"])
        trained = Trained(crop_px=crop_px, hole_px=(min(sides), max(sides)), window_px=window_px)
    except OSError as error:
        raise UserError(f"cannot read {file} ({error.strerror}); give the config.json beside the .pt file") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is not a config.json of GLCIC-PyTorch's ({error})") from error
    return TrainingConfig(mean, trained)


def read_completion(
    state: dict[str, np.ndarray], mean_color: tuple[float, float, float]
) -> tuple[CompletionNetwork, Variables]:
    """The completion network in a state dict. Raises: UserError if it is another network's, or shapes do not fit."""
    state = {name.removeprefix("module."): array for name, array in state.items()}
    if "conv1.weight" not in state or "bn1.weight" not in state:
        some = ", ".join(list(state)[:3])
        raise UserError(f"it holds no completion network of GLCIC-PyTorch's: no conv1 and bn1, but {some}, ...")
    width = len(state["bn1.weight"].reshape(-1)) / TABLE_1[0].channels
    network = CompletionNetwork(width_multiplier=width, mean_color=mean_color, **FIELDS)
    return network, variables_of(network, {_ours(name): array for name, array in state.items()})


def completion_state(network: CompletionNetwork, variables: Variables, half: bool) -> dict[str, np.ndarray]:
    """A state dict that its CompletionNetwork loads; half: as float16.

    Raises: UserError naming the field that its layout lacks.
    """
    for field, value in {**FIELDS, "width_multiplier": 1.0}.items():
        if (own := getattr(network, field)) != value:
            raise UserError(
                f"the network has {field} = {own!r}, GLCIC-PyTorch's has {value!r}: "
                "its state dicts cannot hold this one; --format=torch_module can"
            )
    state = state_of(describe(network, variables), half)
    return {_theirs(name): array for name, array in state.items()}


def _ours(name: str) -> str:
    return re.sub("^deconv", "conv", re.sub("^bn", "norm", name))


def _theirs(name: str) -> str:
    number = re.match(r"conv(\d+)", name)
    transposed = number is not None and int(number[1]) in TRANSPOSED
    return f"de{name}" if transposed else re.sub("^norm", "bn", name)
