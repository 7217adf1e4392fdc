"""The model folder that a run leaves."""

import dataclasses
from pathlib import Path

from glcic_jax.data.manifest import Manifest
from glcic_jax.models import folder as model_folder
from glcic_jax.models.card import Card, Licences, Provenance, Trained
from glcic_jax.run.config import Config
from glcic_jax.run.origin import versions
from glcic_jax.training.specification import TrainingSpecification
from glcic_jax.training.state import TrainState


def export_model(
    folder: Path, config: Config, spec: TrainingSpecification, state: TrainState, manifest: Manifest
) -> None:
    """Writes both networks and a card that says where they come from."""
    card = Card(
        trained=Trained(
            steps=int(state.step),
            batch_size=config.batch_size,
            crop_px=config.crop_px,
            hole_px=config.hole_px,
            hole_shares=config.holes.shares(),
            window_px=config.window_px,
        ),
        provenance=Provenance(
            config=config.to_dict(),
            sources=[dataclasses.asdict(source) for source in manifest.sources],
            images=manifest.splits["train"].count,
            versions=versions(),
        ),
        licences=Licences(code="Apache-2.0", weights=config.weights_licence, data=config.data_licence),
    )
    model_folder.save(
        folder,
        (spec.completion, state.best_completion),
        (spec.discriminator, state.discriminator.variables),
        card,
    )
