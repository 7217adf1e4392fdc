"""GLCIC's completion network in PyTorch alone, with its weights: network = load(); network(image, mask).

Arrays are (N, C, H, W): image float RGB in [0, 1], mask 1 = hole, sides multiples of 4. The result is the whole image
as the network paints it; torch.where(mask > 0, result, image) keeps the known pixels.
"""

import base64
import io
from typing import Any

import torch
from torch import nn
from torch.nn import functional

FIELDS: dict[str, Any] = {}
"""Of the network, as glcic-jax calls them."""
LAYERS: list[tuple[int, int, int, int, bool, bool]] = []
"""(channels, kernel, stride, dilation, whether it doubles the size, whether it adds to its input) each."""
WEIGHTS = ""
"""A state dict as torch.save writes it, in base64."""
CARD = ""
"""The model's card, with its licences, as JSON."""


class CompletionNetwork(nn.Module):
    """The paper's table 1 (Iizuka, Simo-Serra, Ishikawa 2017), with the options of glcic-jax."""

    def __init__(self) -> None:
        """Makes the layers."""
        super().__init__()
        inputs, bias = 4 if FIELDS["mask_channel"] else 3, FIELDS["use_bias"]
        for number, (channels, kernel, stride, dilation, doubles, adds) in enumerate(LAYERS, 1):
            if doubles and FIELDS["upsampling"] == "transposed":
                self.add_module(f"conv{number}", nn.ConvTranspose2d(inputs, channels, 4, 2, 1, bias=bias))
            else:
                size = (3, 1, 1, 1) if doubles else (kernel, stride, dilation * (kernel - 1) // 2, dilation)
                self.add_module(f"conv{number}", nn.Conv2d(inputs, channels, *size, bias=bias))
            if FIELDS["normalization"] != "none" and number < len(LAYERS):
                self.add_module(f"norm{number}", nn.BatchNorm2d(channels))
            if adds:
                self.register_parameter(f"residual{number}", nn.Parameter(torch.tensor(0.3)))
            inputs = channels

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Paints the whole image."""
        x = self._see(image, mask > 0)
        for number, (*_, doubles, adds) in enumerate(LAYERS, 1):
            y = x
            if doubles and FIELDS["upsampling"] == "nearest":
                y = functional.interpolate(y, scale_factor=2, mode="nearest")
            y = self.get_submodule(f"conv{number}")(y)
            if number < len(LAYERS):
                y = self._activate(y, number)
            x = x + self.get_parameter(f"residual{number}") * y if adds else y
        return self._show(x)

    def _see(self, image: torch.Tensor, hole: torch.Tensor) -> torch.Tensor:
        """What the first layer sees."""
        fill, tanh = FIELDS["hole_fill"], FIELDS["output"] == "tanh"
        mean = image.new_tensor(FIELDS["mean_color"])[:, None, None]
        if fill == "mean_centred":
            seen = torch.where(hole, 0, image - mean)
            seen = 2 * seen if tanh else seen
        else:
            seen = torch.where(hole, mean if fill == "mean" else image.new_tensor(fill), image)
            seen = 2 * seen - 1 if tanh else seen
        return torch.cat([seen, hole.to(seen.dtype)], 1) if FIELDS["mask_channel"] else seen

    def _activate(self, x: torch.Tensor, number: int) -> torch.Tensor:
        if FIELDS["normalization"] == "batch":
            x = self.get_submodule(f"norm{number}")(x)
        x = functional.leaky_relu(x, FIELDS["negative_slope"])
        if FIELDS["normalization"] == "batch_after_activation":
            x = self.get_submodule(f"norm{number}")(x)
        return x

    def _show(self, x: torch.Tensor) -> torch.Tensor:
        if FIELDS["output"] == "sigmoid":
            return torch.sigmoid(x)
        if FIELDS["output"] == "tanh":
            return (torch.tanh(x) + 1) / 2
        return (x + x.new_tensor(FIELDS["mean_color"])[:, None, None]).clamp(0, 1)


def load() -> CompletionNetwork:
    """The network with its weights, for inference."""
    network = CompletionNetwork()
    network.load_state_dict(torch.load(io.BytesIO(base64.b64decode(WEIGHTS)), weights_only=True))
    return network.eval()
