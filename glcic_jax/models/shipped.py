"""The model that ships with the package: small, and under terms of its own."""

import json
from pathlib import Path

from glcic_jax.errors import UserError

FOLDER = Path(__file__).parents[1] / "pretrained" / "open128"
"""A recipe's `init_from` may give its name alone."""


def shipped_model(folder: Path = FOLDER) -> Path:
    """Its folder. Raises: UserError if this installation has none."""
    if not folder.is_dir():
        raise UserError("no model; give --model=FOLDER, such as RUN/model, or set GLCIC_MODEL to it")
    return folder


def licence_note(folder: Path) -> str:
    """What a person has to know who uses its weights."""
    try:
        published = json.loads((folder / "card.json").read_text())["published"]
        return f"using the model that ships, {folder.name}: {published['licence_note']}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder} is damaged ({error!r}); install glcic-jax again, or give --model=FOLDER") from error
