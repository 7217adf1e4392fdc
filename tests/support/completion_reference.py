"""The completion network in plain NumPy: whole images of any size, nothing to compile."""

import numpy as np

# Channels, kernel, stride, dilation; the two with stride 1/2 are transposed (paper, table 1).
TABLE = [
    (64, 5, 1, 1), (128, 3, 2, 1), (128, 3, 1, 1), (256, 3, 2, 1), (256, 3, 1, 1), (256, 3, 1, 1), (256, 3, 1, 2),
    (256, 3, 1, 4), (256, 3, 1, 8), (256, 3, 1, 16), (256, 3, 1, 1), (256, 3, 1, 1), (128, 4, 0.5, 1), (128, 3, 1, 1),
    (64, 4, 0.5, 1), (32, 3, 1, 1),
]  # fmt: skip


def whole(network, variables: dict, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """float32 (H, W, 3) in [0, 1] and mask (H, W, 1) -> the network's output, of the reflected image, cut again."""
    h, w, _ = image.shape
    padding = ((0, -h % 4), (0, -w % 4), (0, 0))
    image, mask = (np.pad(array, padding, mode="symmetric") for array in (image, mask))
    mean = np.float32(network.mean_color)
    x = np.concatenate([np.where(mask > 0, 0, image - mean), mask], -1).astype(np.float32)
    params, before = variables["params"], 0
    for number, (channels, _, stride, dilation) in enumerate(TABLE, 1):
        weights = params[f"conv{number}"]
        if stride != 0.5:
            y = _conv(x, **weights, stride=stride, dilation=dilation)
        elif network.upsampling == "nearest":
            y = _conv(x.repeat(2, axis=0).repeat(2, axis=1), **weights)
        else:
            y = _transposed(x, **weights)
        if network.normalization == "batch":
            y = _norm(y, variables, f"norm{number}")
        y = np.where(y > 0, y, network.negative_slope * y)
        if network.normalization == "batch_after_activation":
            y = _norm(y, variables, f"norm{number}")
        if network.residual and stride == 1 and channels == before:
            y = x + params[f"residual{number}"]["scale"] * y
        x, before = y, channels
    x = _conv(x, **params["conv17"])
    outputs = {
        "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "tanh": lambda x: (np.tanh(x) + 1) / 2,
        "linear": lambda x: np.clip(x + mean, 0, 1),
    }
    return outputs[network.output](x)[:h, :w]


def _norm(x, variables, name):
    norm, stats = variables["params"][name], variables["batch_stats"][name]
    return (x - stats["mean"]) / np.sqrt(stats["var"] + 1e-5) * norm["scale"] + norm["bias"]


def _conv(x, kernel, bias, stride=1, dilation=1):
    pad = dilation * (len(kernel) - 1) // 2
    padded = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
    h, w = x.shape[0] // stride, x.shape[1] // stride
    y = np.zeros((h * w, kernel.shape[-1]), np.float32)
    for i, j in np.ndindex(kernel.shape[:2]):
        seen = padded[i * dilation :: stride, j * dilation :: stride][:h, :w]
        y += seen.reshape(h * w, -1) @ kernel[i, j]
    return y.reshape(h, w, -1) + bias


def _transposed(x, kernel, bias):
    h, w, _ = x.shape
    y = np.zeros((2 * h + 2, 2 * w + 2, kernel.shape[-1]), np.float32)
    for i, j in np.ndindex(4, 4):  # every input pixel adds its 4 x 4 taps around place 2i - 1
        y[i : i + 2 * h : 2, j : j + 2 * w : 2] += x @ kernel[i, j]
    return y[1:-1, 1:-1] + bias
