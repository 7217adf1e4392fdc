"""Weights in PyTorch's names and order of axes, both ways: "conv1.weight" (O, C, k, k), "norm1.running_mean", ..."""

import jax
import numpy as np

from glcic_jax.errors import UserError
from glcic_jax.interop.graph import NORM_PARTS, Convolve, ConvolveTransposed, Description, Normalize, describe
from glcic_jax.models.completion import STRIDE_PX, CompletionNetwork
from glcic_jax.models.protocols import Variables

TORCH_NORM = ("weight", "bias", "running_mean", "running_var")
"""What PyTorch calls NORM_PARTS."""
COUNT = "num_batches_tracked"
"""What PyTorch's BatchNorm counts besides; nothing depends on it here."""


def state_of(description: Description, half: bool = False) -> dict[str, np.ndarray]:
    """All weights of a network, float32 or float16, and BatchNorm's counts."""
    state: dict[str, np.ndarray] = {}
    for operation in description.operations:
        match operation:
            case Convolve(name, kernel, bias) | ConvolveTransposed(name, kernel, bias):
                axes = (2, 3, 0, 1) if isinstance(operation, ConvolveTransposed) else (3, 2, 0, 1)
                state[f"{name}.weight"] = kernel.transpose(axes)
                if bias is not None:
                    state[f"{name}.bias"] = bias
            case Normalize(name):
                parts = zip(TORCH_NORM, NORM_PARTS, strict=True)
                state |= {f"{name}.{theirs}": getattr(operation, ours) for theirs, ours in parts}
                state[f"{name}.{COUNT}"] = np.array(0)
    state |= {block.residual: block.scale for block in description.blocks if block.scale is not None}
    return {
        name: array.astype(np.float16) if half and array.dtype == np.float32 else array for name, array in state.items()
    }


def variables_of(network: CompletionNetwork, state: dict[str, np.ndarray]) -> Variables:
    """The network's variables from such weights. Raises: UserError naming what is missing, left over or misshapen."""
    description = describe(network, _zeros(network))
    expected = state_of(description)
    for name, zeros in expected.items():
        if name not in state and not name.endswith(COUNT):
            raise UserError(f"the file has no {name}; it holds another network")
        if name in state and state[name].shape != zeros.shape:
            raise UserError(f"{name} has shape {state[name].shape}; in this network it is {zeros.shape}")
        if name in state and not np.isfinite(state[name].astype(np.float32)).all():
            raise UserError(f"{name} holds numbers that are not finite: the training had diverged")
    if unknown := [name for name in state if name not in expected]:
        raise UserError(f"the file holds {unknown[0]}, which this network has not; it holds another one")
    weights = {name: array.astype(np.float32) for name, array in state.items()}
    params: Variables = {}
    statistics: Variables = {}
    for operation in description.operations:
        match operation:
            case Convolve(name, _, bias) | ConvolveTransposed(name, _, bias):
                axes = (2, 3, 0, 1) if isinstance(operation, ConvolveTransposed) else (2, 3, 1, 0)
                params[name] = {"kernel": weights[f"{name}.weight"].transpose(axes)}
                params[name] |= {} if bias is None else {"bias": weights[f"{name}.bias"]}
            case Normalize(name):
                scale, shift, mean, var = (weights[f"{name}.{part}"] for part in TORCH_NORM)
                params[name], statistics[name] = {"scale": scale, "bias": shift}, {"mean": mean, "var": var}
    for block in description.blocks:
        if block.scale is not None:
            params[block.residual] = {"scale": weights[block.residual]}
    return {"params": params} | ({"batch_stats": statistics} if statistics else {})


def _zeros(network: CompletionNetwork) -> Variables:
    """Variables of the right shapes, which take no memory: a damaged file may ask for any size."""
    image, mask = (jax.ShapeDtypeStruct((1, STRIDE_PX, STRIDE_PX, channels), "float32") for channels in (3, 1))
    shapes = jax.eval_shape(network.init, jax.random.key(0), image, mask)
    return jax.tree.map(lambda leaf: np.broadcast_to(np.float32(0), leaf.shape), shapes)
