"""A model folder as the Hugging Face Hub shows it: with a README.md whose front matter tools can read."""

import dataclasses
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glcic_jax.errors import UserError
from glcic_jax.models import folder as model_folder
from glcic_jax.models.card import Card
from glcic_jax.models.protocols import Completion, Variables
from glcic_jax.system.atomic import atomic_folder

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

README = "README.md"
PICTURE = "example"
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
TAGS = ("inpainting", "image-completion", "glcic", "jax", "flax")
TASK = "image-to-image"
METRICS = {"psnr": "PSNR in the hole (dB)", "ssim": "SSIM in the hole", "l1": "L1 in the hole"}
_LICENCE = re.compile(r"apache-2\.0|mit|cc0-1\.0|cc-by(-nc)?(-sa|-nd)?-[234]\.0")
"""Identifiers of the Hub's that a card's words may stand for."""


def write_hub_folder(
    output: Path, completion: tuple[Completion, Variables], card: Card, picture: Path | None = None
) -> None:
    """Writes card, weights, README.md and picture, whole or not at all; other files of an older folder stay.

    Args:
        output: the folder; its name becomes the model's.
        completion: network and variables.
        card: of the model, without which README.md would have nothing to say.
        picture: an image that shows what the model does.

    Raises: UserError if the card lacks the licences, or the picture is no image file.

    """
    if card.licences is None:
        raise UserError("the model's card states no licences; give the folder of a run, of publish, or of import")
    if picture and (picture.suffix.lower() not in PICTURE_SUFFIXES or not picture.is_file()):
        raise UserError(f"--picture is {picture}; give a file that ends in {', '.join(PICTURE_SUFFIXES)}")
    model_folder.require_replaceable(output)
    shown = f"{PICTURE}{picture.suffix.lower()}" if picture else None
    text = describe_model(output.absolute().name, card, shown)

    def is_ours(inside: Path) -> bool:
        is_picture = str(inside) in {f"{PICTURE}{suffix}" for suffix in PICTURE_SUFFIXES}
        return model_folder.is_model_file(inside) or str(inside) == README or is_picture

    with atomic_folder(output, is_ours) as partial:
        provenance = card.provenance.without_folders() if card.provenance else None
        model_folder.write(partial, completion, None, dataclasses.replace(card, provenance=provenance))
        (partial / README).write_text(text)
        if picture and shown:
            shutil.copyfile(picture, partial / shown)


def describe_model(name: str, card: Card, picture: str | None) -> str:
    """The text of README.md. Raises: UserError if the card's scores are not what `publish` writes."""
    from huggingface_hub import ModelCard, ModelCardData

    assert card.licences is not None
    licence = find_licence(card.licences.weights)
    data = ModelCardData(
        license=licence or "other",
        license_name=None if licence else "see-readme",
        license_link=None if licence else README,
        library_name="glcic-jax",
        pipeline_tag=TASK,
        tags=[*TAGS],
        model_name=name,
        eval_results=list(_results(card)) or None,
    )
    text = f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(_paragraphs(name, card, picture)) + "\n"
    return str(ModelCard(text))


def find_licence(words: str) -> str | None:
    """'CC BY-NC-SA 4.0 (...)' -> 'cc-by-nc-sa-4.0'; None if it is not one that the Hub knows, or not only that."""
    first = re.split(r"[,:;(]", words)[0].strip().lower().replace(" ", "-")
    return first if _LICENCE.fullmatch(first) else None


def _results(card: Card) -> Iterator["EvalResult"]:
    """The scores that the card publishes of the model itself, which is its first method."""
    from huggingface_hub import EvalResult

    scores: Any = card.published.scores if card.published else {}
    if not scores:
        return
    try:
        cases, means = int(scores["cases"]), next(iter(scores["in_hole"].values()))
        values = {metric: float(means[metric][0]) for metric in METRICS}
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, StopIteration) as error:
        raise UserError(f"the scores in the model's card cannot be read ({error}); publish it again") from error
    for metric, value in values.items():
        yield EvalResult(
            task_type=TASK,
            dataset_type="held-out-photographs",
            dataset_name=f"{cases} photographs that were never trained on",
            metric_type=metric,
            metric_name=METRICS[metric],
            metric_value=round(value, 4),
        )


def _paragraphs(name: str, card: Card, picture: str | None) -> Iterator[str]:
    yield f"# {name}"
    yield (
        "Paints holes in photographs: the completion network of GLCIC ([Iizuka, Simo-Serra and Ishikawa, SIGGRAPH "
        "2017](https://doi.org/10.1145/3072959.3073659)), trained with glcic-jax."
    )
    if picture:
        yield f"![photographs, holes, and what the model makes of them]({picture})"
    yield (
        "```python\nimport glcic_jax\n\n"
        f'network, variables, card = glcic_jax.load("hf://OWNER/{name}@REVISION")  # best a commit\n'
        "output = network.apply(variables, image, mask)  # image in [0, 1], mask 1 = hole, sides multiples of 4\n"
        "completed = glcic_jax.composite(output, image, mask)\n```"
    )
    yield "`card.json` says all of it to programs: the network's shape, conventions, sizes, checksums."
    if card.published:
        yield f"## Limits\n\n{card.published.limits}"
    if card.trained:
        low, high = card.trained.hole_px
        yield f"It was trained on crops of {card.trained.crop_px} px with holes of {low} to {high} px."
    assert card.licences is not None
    yield "## Terms\n\n" + "\n".join(
        f"- {what}: {terms}"
        for what, terms in (
            ("weights", card.licences.weights),
            ("data", card.licences.data),
            ("code", card.licences.code),
        )
    )
    if card.published:
        yield f"## Training\n\n{card.published.cost}"
