"""The three training steps of GLCIC (section 3.4 and algorithm 1), each a function of the networks and a batch.

They change networks and optimisers in place, as is usual in PyTorch, and return the losses.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reference.networks import composite, crop_windows, frozen_statistics

ALPHA = 4e-4
"""Weight of the adversarial term in C's loss."""


class Batch(NamedTuple):
    """What one step learns from."""

    image: Tensor
    """(N, 3, H, W) in [0, 1]."""
    mask: Tensor
    """(N, 1, H, W), 1 = hole."""
    fake_window: Tensor
    """(N, 2) origins (y, x): where D looks at completed images."""
    real_window: Tensor
    """(N, 2) origins (y, x): where D looks at real images."""


@dataclass
class Models:
    """Both networks, in training mode, and what updates them."""

    completion: nn.Module
    discriminator: nn.Module
    completion_optimizer: torch.optim.Optimizer
    discriminator_optimizer: torch.optim.Optimizer
    window_px: int

    @classmethod
    def with_adadelta(cls, completion: nn.Module, discriminator: nn.Module, window_px: int) -> "Models":
        """Each with an Adadelta of its own."""
        optimizers = [
            torch.optim.Adadelta(network.parameters(), lr=1.0, rho=0.9, eps=1e-6)
            for network in (completion, discriminator)
        ]
        return cls(completion, discriminator, *optimizers, window_px)

    def judge(self, image: Tensor, origins: Tensor) -> Tensor:
        """D's logits (N,) of images and their windows."""
        return self.discriminator(image, crop_windows(image, origins, self.window_px))


def completion_step(models: Models, batch: Batch) -> dict[str, Tensor]:
    """Stage 1: C learns by squared error."""
    output = models.completion(batch.image, batch.mask)
    loss = squared_error(output, batch)
    update(models.completion_optimizer, loss)
    return {"completion": loss.detach()}


def discriminator_step(models: Models, batch: Batch) -> dict[str, Tensor]:
    """Stage 2: D learns to tell real from completed; nothing of C changes, its running statistics neither."""
    with torch.no_grad(), frozen_statistics(models.completion):
        output = models.completion(batch.image, batch.mask)
    return {"discriminator": teach_discriminator(models, output, batch)}


def joint_step(models: Models, batch: Batch) -> dict[str, Tensor]:
    """Stage 3: D learns, then C learns to complete and to fool the D that has just learnt."""
    output = models.completion(batch.image, batch.mask)
    discriminator_loss = teach_discriminator(models, output.detach(), batch)
    with frozen_statistics(models.discriminator):  # D's statistics come from its own passes
        logit = models.judge(composite(output, batch.image, batch.mask), batch.fake_window)
    error = squared_error(output, batch)
    adversarial = F.softplus(-logit).mean()  # -log D
    # The gradients that this leaves in D are cleared before D learns again.
    update(models.completion_optimizer, error + ALPHA * adversarial)
    return {
        "completion": error.detach(),
        "discriminator": discriminator_loss,
        "adversarial": adversarial.detach(),
    }


def squared_error(output: Tensor, batch: Batch) -> Tensor:
    """Equation 2, as a mean over all pixels and channels, known ones too."""
    return (batch.mask * (output - batch.image)).square().mean()


def teach_discriminator(models: Models, output: Tensor, batch: Batch) -> Tensor:
    """One update of D, from a pass over real images, then one over completed ones. Returns its loss."""
    real = models.judge(batch.image, batch.real_window)
    completed = models.judge(composite(output, batch.image, batch.mask), batch.fake_window)
    loss = (F.softplus(-real) + F.softplus(completed)).mean()  # -log D(real) - log(1 - D(completed))
    update(models.discriminator_optimizer, loss)
    return loss.detach()


def update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step down the loss."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


STAGES = {1: completion_step, 2: discriminator_step, 3: joint_step}
