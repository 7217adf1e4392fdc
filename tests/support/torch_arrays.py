"""Arrays of the PyTorch implementation in reference/, in our names and layouts."""

from pathlib import Path

import numpy as np


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a fixture."""
    with np.load(path) as file:
        return dict(file)


def variables(arrays: dict[str, np.ndarray], prefix: str, dtype: type = np.float32) -> dict:
    """`prefix`conv1.weight, ... -> {"params": ..., "batch_stats": ...}, of either network."""
    found: dict = {"params": {}, "batch_stats": {}}
    for name, value in arrays.items():
        if name.startswith(prefix):
            *path, kind = name.removeprefix(prefix).removeprefix("branches.").split(".")
            module = "_".join(path)
            collection, ours = _names(module, kind)
            found[collection].setdefault(module, {})[ours] = value.astype(dtype)
    for module, params in found["params"].items():
        if "kernel" in params:
            params["kernel"] = _kernel(params["kernel"], module, found["params"])
    return found


def images(array: np.ndarray) -> np.ndarray:
    """(N, C, H, W) -> (N, H, W, C)."""
    return array.transpose(0, 2, 3, 1)


def _names(module: str, kind: str) -> tuple[str, str]:
    if kind.startswith("running_"):
        return "batch_stats", {"running_mean": "mean", "running_var": "var"}[kind]
    return "params", kind if kind in ("bias", "scale") else "scale" if "norm" in module else "kernel"


def _kernel(weight: np.ndarray, module: str, params: dict) -> np.ndarray:
    if weight.ndim == 4 and weight.shape[-1] == 4:  # transposed convolutions: (in, out, h, w)
        return weight.transpose(2, 3, 0, 1)
    if weight.ndim == 4:  # (out, in, h, w)
        return weight.transpose(2, 3, 1, 0)
    if module == "head":
        return weight.T
    # A dense layer on a map, which is flattened there as (C, H, W) and here as (H, W, C).
    last = max(name for name in params if name.startswith(module.replace("dense", "conv")))
    channels = len(params[last]["bias"])
    side = int((weight.shape[1] / channels) ** 0.5)
    return weight.reshape(-1, channels, side, side).transpose(2, 3, 1, 0).reshape(-1, len(weight))
