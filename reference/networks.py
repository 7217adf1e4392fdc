"""The networks of GLCIC (Iizuka et al. 2017, sections 3.2 and 3.3).

Images are (N, 3, H, W) in [0, 1], masks (N, 1, H, W), 1 = hole.
"""

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BatchNorm(nn.BatchNorm2d):
    """BatchNorm as Torch7 had it: the running variance is the biased one. `frozen_statistics` stops its update."""

    frozen = False

    def forward(self, x: Tensor) -> Tensor:
        """Normalises (N, C, H, W), in training by the batch's statistics."""
        if not self.training or self.frozen:
            means = (None, None) if self.training else (self.running_mean, self.running_var)
            return F.batch_norm(x, *means, self.weight, self.bias, self.training, eps=self.eps)
        mean, variance = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var)
        # With momentum 1 the kernel leaves the batch's own statistics here, though the variance unbiased.
        y = F.batch_norm(x, mean, variance, self.weight, self.bias, True, momentum=1.0, eps=self.eps)
        count = x.numel() / x.shape[1]
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count - 1) / count, self.momentum)
        return y


@contextlib.contextmanager
def frozen_statistics(network: nn.Module) -> Iterator[None]:
    """Inside, the network normalises by its batches, and its running statistics stay as they are."""
    norms = [module for module in network.modules() if isinstance(module, BatchNorm)]
    for norm in norms:
        norm.frozen = True
    try:
        yield
    finally:
        for norm in norms:
            norm.frozen = False


# Table 1 without its last row: channels, kernel, stride, dilation. Stride 1/2 is a transposed convolution.
COMPLETION_LAYERS = (
    (64, 5, 1, 1),
    (128, 3, 2, 1),
    (128, 3, 1, 1),
    (256, 3, 2, 1),
    (256, 3, 1, 1),
    (256, 3, 1, 1),
    (256, 3, 1, 2),
    (256, 3, 1, 4),
    (256, 3, 1, 8),
    (256, 3, 1, 16),
    (256, 3, 1, 1),
    (256, 3, 1, 1),
    (128, 4, 1 / 2, 1),
    (128, 3, 1, 1),
    (64, 4, 1 / 2, 1),
    (32, 3, 1, 1),
)


class UpsampledConv2d(nn.Conv2d):
    """Every pixel doubled along both axes, then a convolution."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, outputs, 2H, 2W)."""
        return super().forward(F.interpolate(x, scale_factor=2, mode="nearest"))


class ScaledSum(nn.Module):
    """X + scale * y, with a scale that is learnt."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.3))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Both of one shape."""
        return x + self.scale * y


class CompletionNetwork(nn.Module):
    """Paints whole images; only the pixels in the hole are used. `width` multiplies all numbers of channels.

    The other options depart from the paper: slope of a leaky ReLU; normalization "batch", "batch_after_activation" or
    "none"; whether layers that keep their input's shape are added to it; upsampling "transposed" or "nearest";
    output "sigmoid", "tanh" (between -1 and 1 inside) or "linear" (added to the mean colour and clipped).
    """

    def __init__(
        self,
        width: float = 1.0,
        mean_color: tuple[float, float, float] = (0.5, 0.5, 0.5),
        *,
        negative_slope: float = 0.0,
        normalization: str = "batch",
        residual: bool = False,
        upsampling: str = "transposed",
        output: str = "sigmoid",
    ):
        super().__init__()
        self.register_buffer("mean_color", torch.tensor(mean_color).view(3, 1, 1), persistent=False)
        self.negative_slope, self.normalization, self.output = negative_slope, normalization, output
        inputs, previous = 4, 0
        for number, (channels, kernel, stride, dilation) in enumerate(COMPLETION_LAYERS, 1):
            outputs = max(1, int(channels * width))
            if stride >= 1:
                layer = nn.Conv2d(inputs, outputs, kernel, stride, dilation * (kernel // 2), dilation)
            elif upsampling == "transposed":
                layer = nn.ConvTranspose2d(inputs, outputs, kernel, stride=2, padding=1)
            else:
                layer = UpsampledConv2d(inputs, outputs, 3, padding=1)
            self.add_module(f"conv{number}", layer)
            if normalization != "none":
                self.add_module(f"norm{number}", BatchNorm(outputs))
            if residual and stride == 1 and channels == previous:
                self.add_module(f"residual{number}", ScaledSum())
            inputs, previous = outputs, channels
        self.conv17 = nn.Conv2d(inputs, 3, 3, padding=1)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Image and mask, 1 = hole -> (N, 3, H, W) in [0, 1]. H and W must be multiples of 4."""
        known = (image - self.mean_color) * (1 - mask)
        x = torch.cat([2 * known if self.output == "tanh" else known, mask], dim=1)
        modules = dict(self.named_children())
        for number in range(1, len(COMPLETION_LAYERS) + 1):
            y = self.activate(modules[f"conv{number}"](x), modules.get(f"norm{number}"))
            x = modules[f"residual{number}"](x, y) if f"residual{number}" in modules else y
        return self.to_colors(self.conv17(x))

    def activate(self, x: Tensor, norm: nn.Module | None) -> Tensor:
        """Normalises and applies the leaky ReLU, in the order that was chosen."""
        if self.normalization == "batch":
            x = norm(x)
        x = F.leaky_relu(x, self.negative_slope) if self.negative_slope else F.relu(x)
        return norm(x) if self.normalization == "batch_after_activation" else x

    def to_colors(self, x: Tensor) -> Tensor:
        """What the last layer returns -> colours in [0, 1]."""
        if self.output == "sigmoid":
            return torch.sigmoid(x)
        if self.output == "tanh":
            return (torch.tanh(x) + 1) / 2
        x = x + self.mean_color
        return x + (x.clamp(0, 1) - x).detach()  # gradients pass the clipping


def composite(output: Tensor, image: Tensor, mask: Tensor) -> Tensor:
    """The photograph with what C painted in the hole."""
    return torch.where(mask > 0, output, image)


# Table 2: channels of the 5x5 convolutions with stride 2; the local branch has the first five.
BRANCH_CHANNELS = (64, 128, 256, 512, 512, 512)
VECTOR_SIZE = 1024


class Branch(nn.Module):
    """One half of the discriminator: square images of `side_px` -> a vector of 1024 values."""

    def __init__(self, side_px: int, width: float):
        super().__init__()
        # As many convolutions as leave a map of 4 to 7 px: the paper's six at 256 px and five at 128 px.
        self.depth = min(len(BRANCH_CHANNELS), int(math.log2(side_px / 4)))
        inputs = 3
        for number, channels in enumerate(BRANCH_CHANNELS[: self.depth], 1):
            outputs = max(1, int(channels * width))
            self.add_module(f"conv{number}", nn.Conv2d(inputs, outputs, 5, stride=2, padding=2))
            self.add_module(f"norm{number}", BatchNorm(outputs))
            inputs, side_px = outputs, math.ceil(side_px / 2)
        self.dense = nn.Linear(inputs * side_px**2, max(1, int(VECTOR_SIZE * width)))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, side, side) -> (N, 1024)."""
        for number in range(1, self.depth + 1):
            x = F.relu(self.get_submodule(f"norm{number}")(self.get_submodule(f"conv{number}")(x)))
        return F.relu(self.dense(x.flatten(start_dim=1)))


class ContextDiscriminator(nn.Module):
    """Judges the whole image and a window of it together. `width` multiplies all channels and the vectors."""

    def __init__(self, image_px: int = 256, window_px: int = 128, width: float = 1.0):
        super().__init__()
        self.branches = nn.ModuleDict({"local": Branch(window_px, width), "global": Branch(image_px, width)})
        self.head = nn.Linear(2 * max(1, int(VECTOR_SIZE * width)), 1)

    def forward(self, image: Tensor, window: Tensor) -> Tensor:
        """Image and the window out of it -> logits (N,), positive for real."""
        vectors = [self.branches["local"](window), self.branches["global"](image)]
        return self.head(torch.cat(vectors, dim=1)).squeeze(1)


def crop_windows(images: Tensor, origins: Tensor, window_px: int) -> Tensor:
    """One square window an image: origins (N, 2) as (y, x) -> (N, 3, window, window)."""
    corners = zip(images, origins.tolist(), strict=True)
    return torch.stack([image[:, y : y + window_px, x : x + window_px] for image, (y, x) in corners])
