# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Train, and watch the three stages
#
# A very narrow network on tiles of three photographs: far too little to paint well, and just enough to see what each
# stage does. Minutes on a laptop.
#
# `pip install 'glcic-jax[train]' scikit-image matplotlib`. With photographs of your own and more steps this is the real
# thing: `glcic train` does the same.

# %%
import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console
from skimage import data

from glcic_jax.data.images import read_image, write_image
from glcic_jax.prepare.pipeline import prepare
from glcic_jax.prepare.plan import Settings
from glcic_jax.recipes import load_recipe, recipe_path
from glcic_jax.run.config import Config
from glcic_jax.run.loop import train
from glcic_jax.run.progress import Progress

STEPS = (60, 20, 20)  # of the three stages; ten times as many look better

folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## Photographs into shards
#
# Put your own folder here instead. `prepare` keeps what can be read and says why it left the rest out.

# %%
photographs = folder / "photographs"
photographs.mkdir()
for name in ("astronaut", "coffee", "chelsea"):
    picture = getattr(data, name)()
    for index, top in enumerate(range(0, picture.shape[0] - 128, 64)):
        write_image(photographs / f"{name}{index}.jpg", np.ascontiguousarray(picture[top : top + 128]))
prepare([str(photographs)], folder / "shards", Settings(val_fraction=0.2))

# %% [markdown]
# ## The recipe
#
# All of a run stands in a recipe; here `quickstart`, smaller still. Crops of 32 px, rectangular holes of 8 to
# 16 px, a sixteenth of the channels.

# %%
completion, discriminator, joint = STEPS
changes = {
    "data_dir": folder / "shards", "batch_size": 8,
    "completion_steps": completion, "discriminator_steps": discriminator, "joint_steps": joint,
    "short_side_px": (48, 64), "crop_px": 32, "hole_px": (8, 16), "window_px": 16,
    "holes.rectangles.share": 1.0, "holes.brush.share": 0.0, "holes.thin.share": 0.0,
    "completion.width_multiplier": 0.0625, "discriminator.width_multiplier": 0.0625,
    "log_every_steps": 5, "validate_every_steps": 20, "validation_samples": 8, "grid_samples": 4,
}  # fmt: skip
overrides = [f"--config.{key}={value}" for key, value in changes.items()]
config = Config.from_config_dict(load_recipe(recipe_path("quickstart"), overrides))

# %% [markdown]
# ## Training
#
# Stage 1: C alone, by its error inside the holes. Stage 2: D learns to tell completions from photographs, C
# stands still. Stage 3: both, C by its error and by D. Stopped anywhere, the same call goes on where it was.

# %%
train(config, folder / "run", Progress(Console()), should_stop=lambda step: False)

# %% [markdown]
# ## What happened
#
# The error falls in stage 1. In stage 2 D's loss falls from 2 log 2 = 1.39, at which it guesses. In stage 3 the two
# pull at each other.

# %%
records = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]


def curve(name: str) -> tuple[list[int], list[float]]:
    """Steps and values of one figure of the run."""
    points = [(record["step"], record[name]) for record in records if name in record]
    return [step for step, _ in points], [value for _, value in points]


figure, axes = plt.subplots(1, 3, figsize=(14, 3.5))
for axis, name, title in zip(
    axes,
    ("completion_loss", "discriminator_loss", "hole_psnr"),
    ("C's error", "D's loss", "in-hole PSNR of held-out samples, dB"),
    strict=True,
):
    axis.plot(*curve(name), marker=".")
    axis.set_title(title)
    for border in (completion, completion + discriminator):
        axis.axvline(border, color="grey", linewidth=0.5)
plt.show()

# %% [markdown]
# ## What it looks like
#
# Photograph, hole, completion of held-out samples, first and last. More pictures and all figures on one page:
# `glcic report RUN`.

# %%
grids = sorted((folder / "run" / "grids").iterdir())
figure, axes = plt.subplots(1, 2, figsize=(14, 6))
for axis, grid in zip(axes, (grids[0], grids[-1]), strict=True):
    axis.imshow(read_image(grid))
    axis.set_title(grid.name)
    axis.axis("off")
plt.show()
