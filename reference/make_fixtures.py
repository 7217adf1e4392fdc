"""Writes what the tests compare the JAX networks and steps with: `python -m reference.make_fixtures tests/fixtures`.

torch_parity.npz, float32: both networks' variables, what they are given and what they return.
torch_step.npz, float64: the state before a step, and losses and state after one step of each stage.
torch_options.npz, float64: C with other options than the paper's, its output, and C after one step of stage 1.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reference.data import draw_batch
from reference.networks import BatchNorm, CompletionNetwork, ContextDiscriminator, composite
from reference.steps import STAGES, Batch, Models

MEAN_COLOR = (0.45, 0.42, 0.38)
# Small files; yet even the taps of dilation 16 meet pixels, and D's maps have odd sides.
COMPLETION_WIDTH, DISCRIMINATOR_WIDTH, IMAGE_PX, WINDOW_PX = 1 / 32, 1 / 64, 80, 40

OPTIONS = {
    "small budgets": {
        "normalization": "none", "residual": True, "upsampling": "nearest", "output": "linear", "negative_slope": 0.2,
    },
    "batch after activation": {"normalization": "batch_after_activation", "output": "tanh"},
    "residual batch": {"residual": True, "negative_slope": 0.1},
}  # fmt: skip


def main() -> None:
    """Writes the files into the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the files go")
    folder = parser.parse_args().folder
    for make in (parity, step, options):
        path, arrays = folder / f"torch_{make.__name__}.npz", make()
        np.savez_compressed(path, **arrays)
        print(f"{path}: {len(arrays)} arrays, {path.stat().st_size:,} bytes")


def parity() -> dict[str, np.ndarray]:
    """Outputs of both networks, in evaluation mode."""
    models = draw_models(torch.float32)
    models.completion.eval()
    models.discriminator.eval()
    batch = draw_batch(2, IMAGE_PX, WINDOW_PX)
    with torch.no_grad():
        output = models.completion(batch.image, batch.mask)
        logit = models.judge(composite(output, batch.image, batch.mask), batch.fake_window)
    return inputs(models, batch) | variables(models, "") | {"completion_output": output.numpy(), "logit": logit.numpy()}


def step() -> dict[str, np.ndarray]:
    """One step of each stage from the same state; after it, only the networks that the stage trains."""
    batch = draw_batch(4, IMAGE_PX, WINDOW_PX, torch.float64)
    before = draw_models(torch.float64)
    arrays = inputs(before, batch) | variables(before, "before/")
    trained = {1: ("completion",), 2: ("discriminator",), 3: ("completion", "discriminator")}
    for stage, train in STAGES.items():
        models = draw_models(torch.float64)
        losses = train(models, batch)
        arrays |= {f"stage{stage}/loss/{name}": loss.numpy() for name, loss in losses.items()}
        arrays |= variables(models, f"stage{stage}/", trained[stage])
    return arrays


def options() -> dict[str, np.ndarray]:
    """Of each set of options: C's variables, its output in evaluation mode, loss and C after a step of stage 1."""
    batch = draw_batch(2, 32, 16, torch.float64)
    arrays = inputs(draw_models(torch.float64), batch)
    for name, chosen in OPTIONS.items():
        models = draw_models(torch.float64, **chosen)
        arrays |= {f"{name}/options": np.array(json.dumps(chosen))} | variables(
            models, f"{name}/before/", ["completion"]
        )
        models.completion.eval()
        with torch.no_grad():
            arrays[f"{name}/output"] = models.completion(batch.image, batch.mask).numpy()
        models.completion.train()
        arrays[f"{name}/loss"] = STAGES[1](models, batch)["completion"].numpy()
        arrays |= variables(models, f"{name}/after/", ["completion"])
    return arrays


def draw_models(dtype: torch.dtype, **options: Any) -> Models:
    """Both networks, always the same; BatchNorm's scales, offsets and statistics away from 0 and 1: all matter."""
    torch.manual_seed(0)
    completion = CompletionNetwork(COMPLETION_WIDTH, MEAN_COLOR, **options)
    discriminator = ContextDiscriminator(IMAGE_PX, WINDOW_PX, DISCRIMINATOR_WIDTH)
    with torch.no_grad():
        for norm in (m for network in (completion, discriminator) for m in network.modules()):
            if isinstance(norm, BatchNorm):
                norm.weight.uniform_(0.5, 1.5)
                norm.bias.normal_(0, 0.1)
                norm.running_mean.normal_(0, 0.2)
                norm.running_var.uniform_(0.5, 2)
    return Models.with_adadelta(completion.to(dtype), discriminator.to(dtype), WINDOW_PX)


def inputs(models: Models, batch: Batch) -> dict[str, np.ndarray]:
    """The batch as the loader gives it, with 8-bit images and masks, and the mean colour."""
    return {
        "image": (255 * batch.image).round().byte().numpy(),
        "mask": batch.mask.byte().numpy(),
        "fake_window": batch.fake_window.int().numpy(),
        "real_window": batch.real_window.int().numpy(),
        "mean_color": models.completion.mean_color.flatten().double().numpy(),
    }


def variables(
    models: Models, prefix: str, roles: Sequence[str] = ("completion", "discriminator")
) -> dict[str, np.ndarray]:
    """Parameters and statistics of these networks, named as in PyTorch, behind `prefix`."""
    arrays = {}
    for role in roles:
        for name, value in getattr(models, role).state_dict().items():
            if not name.endswith("num_batches_tracked"):
                exact = torch.equal(value.float().to(value.dtype), value)  # as drawn: float32 is enough
                arrays[f"{prefix}{role}/{name}"] = (value.float() if exact else value.clone()).numpy()
    return arrays


if __name__ == "__main__":
    main()
