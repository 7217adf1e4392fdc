"""A network and pictures so small that training takes seconds."""

from pathlib import Path

import ml_collections

from glcic_jax.recipes import load_recipe
from glcic_jax.run.config import Config
from tests.support.paths import ROOT

TINY_SIZES = [
    "--config.short_side_px=(40, 48)",
    "--config.crop_px=32",
    "--config.hole_px=(8, 16)",
    "--config.window_px=16",
    "--config.completion.width_multiplier=0.03125",
    "--config.discriminator.width_multiplier=0.03125",
]


def checked(recipe: ml_collections.ConfigDict) -> Config:
    """What everything below the command line takes."""
    return Config.from_config_dict(recipe)


def tiny_recipe(shards: Path) -> ml_collections.ConfigDict:
    """A tiny recipe: stages end at steps 4, 7 and 10; eight samples a step, one for each device."""
    return load_recipe(
        ROOT / "tests" / "support" / "tiny_recipe.py",
        [
            *TINY_SIZES,
            f"--config.data_dir={shards}",
            "--config.batch_size=8",
            "--config.completion_steps=4",
            "--config.discriminator_steps=3",
            "--config.joint_steps=3",
            "--config.log_every_steps=2",
            "--config.validate_every_steps=5",
            "--config.validation_samples=8",
            "--config.checkpoint_every_steps=5",
        ],
    )
