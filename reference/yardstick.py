"""The steps as `glcic benchmark train --yardstick` asks for them: plain as people usually run them, or tuned."""

from typing import Any

import torch
from torch import Tensor, nn

from reference.data import draw_batch
from reference.networks import CompletionNetwork, ContextDiscriminator
from reference.steps import STAGES, Batch, Models


class InBfloat16(nn.Module):
    """A network computed in bfloat16 and channels_last, compiled on GPUs; what it returns is float32."""

    def __init__(self, network: nn.Module, device: str):
        super().__init__()
        network.to(memory_format=torch.channels_last)
        self.device = device
        self.network = torch.compile(network) if device == "cuda" else network

    def forward(self, *images: Tensor) -> Tensor:
        """What the network returns."""
        with torch.autocast(self.device, torch.bfloat16):
            return self.network(*(image.contiguous(memory_format=torch.channels_last) for image in images)).float()


class Trainer:
    """Both networks, their optimisers and a batch of noise, on "cpu" or "cuda"; `completion`: C's other fields."""

    def __init__(
        self,
        *,
        crop_px: int,
        window_px: int,
        batch_size: int,
        width: float,
        device: str,
        tuned: bool,
        **completion: Any,
    ):
        networks = [CompletionNetwork(width, **completion), ContextDiscriminator(crop_px, window_px, width)]
        networks = [network.to(device) for network in networks]
        completion, discriminator = (InBfloat16(n, device) for n in networks) if tuned else networks
        self.models = Models.with_adadelta(completion, discriminator, window_px)
        self.batch = Batch(*(array.to(device) for array in draw_batch(batch_size, crop_px, window_px)))

    def forward(self) -> None:
        """C alone, as for inference."""
        self.models.completion.eval()
        with torch.inference_mode():
            self.models.completion(self.batch.image, self.batch.mask)
        self.models.completion.train()

    def step(self, stage: int) -> None:
        """One training step of stage 1, 2 or 3."""
        STAGES[stage](self.models, self.batch)
