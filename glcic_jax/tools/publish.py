"""A run's model as a small folder to hand on: in half precision, with a complete card."""

import dataclasses
import json
from pathlib import Path

import jax
from rich.console import Console

from glcic_jax.errors import UserError
from glcic_jax.evaluation.report import JSON
from glcic_jax.models import folder as model_folder
from glcic_jax.models.card import Card, Completing, Published
from glcic_jax.models.protocols import Discriminator, Variables
from glcic_jax.run.checksums import first_difference, shapes
from glcic_jax.system.units import format_bytes

PUBLISHED_METRICS = ("l1", "psnr", "ssim")


def publish(
    model: Path,
    output: Path,
    *,
    data: str,
    licence_note: str,
    limits: str,
    cost: str,
    scores: Path | None,
    blend: bool,
    attribution: Path | None,
    with_discriminator: bool = False,
    stage1: Path | None = None,
    texture: float = 1.0,
) -> None:
    """Writes the folder and says how large it is.

    Args:
        model: the run's model folder.
        output: the new one.
        data: which photographs it was trained on, and their terms. licence_note: terms of the weights.
        limits: what the model cannot do. cost: time and device.
        scores: folder that `evaluate score` has written.
        blend: whether its results are blended unless somebody asks for something else.
        attribution: file that names who made the photographs; a copy goes beside the weights.
        with_discriminator: D too, which others need to go on with stage 3.
        stage1: C's model folder after stage 1; texture: how much of what came after it stays, from 0 to 1.

    Raises: UserError if the model is not from a run, or the scores or the attribution cannot be read.

    """
    network, variables, card = model_folder.load(model)
    variables = interpolate(stage1, variables, texture) if stage1 else variables
    trained, provenance, licences = card.trained, card.provenance, card.licences
    if trained is None or provenance is None or licences is None:
        raise UserError(f"the card of {model} has no trained, provenance or licences; give a run's folder")
    makers = _read_makers(attribution) if attribution else None
    published = Published(
        data=data,
        steps=trained.steps,
        samples=(trained.steps or 0) * (trained.batch_size or 0),
        cost=cost,
        scores=_read_scores(scores) if scores else {},
        limits=limits,
        licence_note=licence_note,
        attribution=attribution.name if attribution else None,
    )
    about = Card(
        trained=trained,
        provenance=provenance.without_folders(),
        licences=dataclasses.replace(licences, weights=licence_note, data=data),
        published=published,
        completing=Completing(blend=blend),
    )
    judge = _read_discriminator(model, card) if with_discriminator else None
    model_folder.save(output, (network, model_folder.to_half(variables)), judge, about)
    if attribution and makers is not None:
        (output / attribution.name).write_bytes(makers)
    written = sum(file.stat().st_size for file in output.iterdir())
    Console().print(f"wrote {output}, {format_bytes(written)}", highlight=False, markup=False, soft_wrap=True)


def interpolate(stage1: Path, variables: Variables, texture: float) -> Variables:
    """Weights on the way from stage 1's to those of stage 3, which trade its artefacts against its texture.

    (Network interpolation; Wang et al. 2018, ESRGAN, section 3.4.) Raises: UserError if the two do not fit.
    """
    _, before, _ = model_folder.load(stage1)
    if difference := first_difference(shapes(before), shapes(variables)):
        raise UserError(
            f"{stage1} is another network than the run's: {difference}; give the one that stage 2 began with"
        )
    mixed: Variables = jax.tree.map(lambda old, new: (1 - texture) * old + texture * new, before, variables)
    return mixed


def _read_makers(attribution: Path) -> bytes:
    """Who made the photographs, as the file has it."""
    try:
        return attribution.read_bytes()
    except OSError as error:
        raise UserError(f"{attribution} cannot be read ({error.strerror}); give the list of who made what") from error


def _read_discriminator(model: Path, card: Card) -> tuple[Discriminator, Variables]:
    """D in half precision."""
    if (judge := model_folder.load_discriminator(model, card)) is None:
        raise UserError(f"{model} has no discriminator; leave out --with_discriminator")
    return judge[0], model_folder.to_half(judge[1])


def _read_scores(folder: Path) -> dict[str, object]:
    """Means with intervals over all cases of a benchmark, of its first method and the others."""
    path = folder / JSON
    try:
        report = json.loads(path.read_text())
        rows = [row for row in report["summary"] if row["group"] == "all"]
        means = {row["method"]: {metric: row[metric] for metric in PUBLISHED_METRICS} for row in rows}
        return {"cases": report["cases"], "in_hole": means}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read ({error}); give the --output of evaluate score") from error
