"""Names and layouts of the PyTorch yardstick's arrays, turned into ours."""

import re

import numpy as np


def completion_variables(arrays: dict[str, np.ndarray], prefix: str) -> dict:
    """`prefix`conv1.weight, ... -> {"params": ..., "batch_stats": ...} of CompletionNetwork."""
    params: dict = {}
    stats: dict = {}
    for name, value in _below(arrays, prefix):
        module, kind = name.split(".")
        number = re.sub(r"\D", "", module)
        if module.startswith("bn"):
            _norm(params, stats, f"norm{number}", kind, value)
        elif kind == "bias":
            params.setdefault(f"conv{number}", {})["bias"] = value
        else:  # (out, in, h, w), transposed convolutions (in, out, h, w) -> (h, w, in, out)
            axes = (2, 3, 0, 1) if module.startswith("deconv") else (2, 3, 1, 0)
            params.setdefault(f"conv{number}", {})["kernel"] = value.transpose(axes)
    return {"params": params, "batch_stats": stats}


def discriminator_variables(arrays: dict[str, np.ndarray], prefix: str) -> dict:
    """`prefix`local.conv1.weight, ... -> {"params": ..., "batch_stats": ...} of ContextDiscriminator."""
    params: dict = {}
    stats: dict = {}
    for name, value in _below(arrays, prefix):
        *path, kind = name.split(".")
        if path == ["head"]:
            ours = "head"
        else:
            branch = {"local": "local", "world": "global"}[path[0]]
            module = path[1]
            if module.startswith("bn"):
                _norm(params, stats, f"{branch}_norm{module[2:]}", kind, value)
                continue
            ours = f"{branch}_dense" if module == "fc" else f"{branch}_{module}"
        entry = params.setdefault(ours, {})
        if kind == "bias":
            entry["bias"] = value
        elif value.ndim == 4:
            entry["kernel"] = value.transpose(2, 3, 1, 0)
        elif path == ["head"]:
            entry["kernel"] = value.T
        else:  # flattened there as (C, H, W), here as (H, W, C)
            depth = max(int(k[len(f"{branch}_conv") :]) for k in params if k.startswith(f"{branch}_conv"))
            channels = params[f"{branch}_conv{depth}"]["kernel"].shape[-1]
            side = int((value.shape[1] / channels) ** 0.5)
            entry["kernel"] = value.reshape(-1, channels, side, side).transpose(2, 3, 1, 0).reshape(-1, len(value))
    return {"params": params, "batch_stats": stats}


def images(array: np.ndarray) -> np.ndarray:
    """(N, C, H, W) -> (N, H, W, C)."""
    return array.transpose(0, 2, 3, 1)


def _below(arrays, prefix):
    return [(name[len(prefix) :], value) for name, value in arrays.items() if name.startswith(prefix)]


def _norm(params, stats, ours, kind, value):
    if kind in ("weight", "bias"):
        params.setdefault(ours, {})["scale" if kind == "weight" else "bias"] = value
    else:
        stats.setdefault(ours, {})["mean" if kind == "running_mean" else "var"] = value
