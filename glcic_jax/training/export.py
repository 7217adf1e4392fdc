"""The model folder that a run leaves."""

from pathlib import Path
from typing import Any

import jax

import glcic_jax
from glcic_jax.models import folder as model_folder
from glcic_jax.training.setup import Config
from glcic_jax.training.state import TrainState
from glcic_jax.training.step import Problem


def export_model(folder: Path, config: Config, problem: Problem, state: TrainState, manifest: dict[str, Any]) -> None:
    """Writes both networks and a card that says where they come from."""
    train = manifest["splits"]["train"]
    about = {
        "trained": {
            "steps": int(state.step),
            "batch_size": config.batch_size,
            "crop_px": config.crop_px,
            "hole_px": config.hole_px,
            "hole_shares": {kind: hole.share for kind, hole in config.holes.items() if hole.share > 0},
            "window_px": config.window_px,
        },
        "provenance": {
            "config": config.to_dict(),
            "sources": manifest["sources"],
            "images": train["count"],
            "versions": versions(),
        },
        "licences": {
            "code": "Apache-2.0",
            "weights": config.weights_licence,
            "data": config.data_licence,
        },
    }
    model_folder.save(
        folder,
        (problem.completion, state.completion.variables),
        (problem.discriminator, state.discriminator.variables),
        about,
    )


def versions() -> dict[str, str]:
    """Versions that a result may depend on."""
    return {"glcic-jax": glcic_jax.__version__, "jax": jax.__version__, "backend": jax.default_backend()}
