"""A trained model as a folder: weights as safetensors, and `card.json`, which says all that is needed to use them."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.flax
import safetensors.numpy

from glcic_jax.errors import UserError
from glcic_jax.models.card import (
    FORMAT_VERSION,
    Card,
    CardError,
    Json,
    NetworkFile,
    NewerCardError,
    card_from_json,
    card_to_json,
)
from glcic_jax.models.completion import CompletionNetwork
from glcic_jax.models.context_encoder import ContextEncoder, PatchDiscriminator
from glcic_jax.models.discriminator import ContextDiscriminator
from glcic_jax.models.hub import fetch_model, is_address
from glcic_jax.models.protocols import Completion, Discriminator, Network, Variables
from glcic_jax.system.atomic import atomic_folder
from glcic_jax.system.checksum import sha256_of
from glcic_jax.version import __version__

CARD = "card.json"
_LONGEST_TEXT = 80  # of a field of a network; they name one of several ways

# What belongs to a run, not to the network: how it began, how it was computed there, and over which mesh.
_RUN_FIELDS = ("parent", "name", "dtype", "precision", "statistics_axis", "initial_values")

# A card's section is called as its network, and so is its file.
COMPLETIONS: dict[str, type[CompletionNetwork | ContextEncoder]] = {
    "completion": CompletionNetwork,
    "context_encoder": ContextEncoder,
}
DISCRIMINATORS: dict[str, type[ContextDiscriminator | PatchDiscriminator]] = {
    "discriminator": ContextDiscriminator,
    "patch_discriminator": PatchDiscriminator,
}


def save(
    folder: Path,
    completion: tuple[Completion, Variables],
    discriminator: tuple[Discriminator, Variables] | None,
    card: Card | None = None,
) -> None:
    """Writes a model folder, whole or not at all; of an older one there, other files stay.

    Args:
        folder: where; its parent must exist.
        completion, discriminator: network and variables ("params" and "batch_stats"); the discriminator, which
            only further training needs, may be None.
        card: what is to be said of training sizes, provenance, licences; the rest is filled in here.

    Raises: UserError if the parent folder is missing.

    """
    require_replaceable(folder)
    with atomic_folder(folder, is_model_file) as partial:
        write(partial, completion, discriminator, card)


def write(
    folder: Path,
    completion: tuple[Completion, Variables],
    discriminator: tuple[Discriminator, Variables] | None,
    card: Card | None,
) -> None:
    """Writes what `save` does, into a folder that exists."""
    files: dict[str, NetworkFile] = {}
    for pair in (completion, discriminator):
        if pair is None:
            continue
        network, variables = pair
        role = next(role for role, of in {**COMPLETIONS, **DISCRIMINATORS}.items() if type(network) is of)
        file = folder / f"{role}.safetensors"
        flat = flax.traverse_util.flatten_dict(jax.device_get(variables), sep="/")
        # Written here: the library's own files are for their owner's eyes alone.
        file.write_bytes(safetensors.flax.save({k: jnp.asarray(v) for k, v in flat.items()}))
        files[role] = NetworkFile(file.name, sha256_of(file), _fields(network))
    about = dataclasses.replace(
        card or Card(),
        written_by=f"glcic-jax {__version__}",
        convention=completion[0].convention,
        completion=files.get("completion"),
        context_encoder=files.get("context_encoder"),
        discriminator=files.get("discriminator"),
        patch_discriminator=files.get("patch_discriminator"),
    )
    (folder / CARD).write_text(card_to_json(about))


def is_model_file(inside: Path) -> bool:
    """Whether a file in a model folder, by its path in it, was written by `save`."""
    return str(inside) in (CARD, *(f"{role}.safetensors" for role in (*COMPLETIONS, *DISCRIMINATORS)))


def to_half(variables: Variables) -> Variables:
    """float16 weights, which cost an output about as much as 8-bit pixels do. Raises: UserError if one does not fit."""
    with np.errstate(over="ignore"):
        halves: Variables = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32).astype(np.float16), variables)
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(halves)):
        raise UserError("a weight is beyond float16's range of 65504: this model is damaged or has diverged")
    return halves


def require_replaceable(folder: Path) -> None:
    """Raises: UserError if something stands there that is no model and would be lost."""
    if folder.exists() and not (folder / CARD).is_file() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(
            f"{folder} would be replaced by the model, but it is not one; move it, or choose another folder"
        )


def load(folder: str | Path) -> tuple[Completion, Variables, Card]:
    """Opens a model folder: `network.apply(variables, image, mask)` is then the whole of inference.

    Args:
        folder: the folder, or an address on the Hugging Face Hub, hf://OWNER/NAME@REVISION (extra `hub`).

    Returns: the network that completes (convolutions at full float32 precision), its variables as float32 arrays,
        and the card.
    Raises: UserError if a file is missing, altered, or from a newer version, or cannot be fetched.

    """
    folder = fetch_model(str(folder)) if is_address(str(folder)) else Path(folder)
    card = read_card(folder)
    role, entry = _entry(card, *COMPLETIONS)
    network: Completion = _network(folder, role, entry, COMPLETIONS[role])
    variables = _read_variables(folder, entry)
    side = network.smallest_px
    try:
        image, mask = (jax.ShapeDtypeStruct((1, side, side, channels), "float32") for channels in (3, 1))
        jax.eval_shape(network.apply, variables, image, mask)
    except Exception as error:  # whatever an altered card makes the network raise
        raise UserError(
            f"{folder / CARD} does not describe the weights beside it ({type(error).__name__}); "
            "copy the model folder again"
        ) from error
    return network, variables, card


def load_discriminator(folder: Path, card: Card) -> tuple[Discriminator, Variables] | None:
    """The discriminator of a model folder, None where it has none. Raises: UserError as `load`."""
    if all(getattr(card, role) is None for role in DISCRIMINATORS):
        return None
    role, entry = _entry(card, *DISCRIMINATORS)
    return _network(folder, role, entry, DISCRIMINATORS[role]), _read_variables(folder, entry)


def read_card(folder: Path) -> Card:
    """The card of a model folder, with every file that it names at hand. Raises: UserError."""
    path = folder / CARD
    if not folder.is_dir():
        raise UserError(f"no model folder {folder}; give the folder that holds {CARD}, such as RUN/model")
    if not path.is_file():
        raise UserError(f"{folder} is no model folder: it holds no {CARD}; training writes one as RUN/model")
    try:
        card = card_from_json(path.read_text())
        _entry(card, *COMPLETIONS)
    except NewerCardError as error:
        raise UserError(
            f"{path} has {error}, this is glcic-jax {__version__}, which reads version {FORMAT_VERSION}; "
            "install a newer glcic-jax"
        ) from error
    except (CardError, OSError, UnicodeError) as error:
        raise UserError(f"{path} is not a model's card ({error}); copy the model folder again") from error
    for role in (*COMPLETIONS, *DISCRIMINATORS):
        entry = getattr(card, role)
        if entry is not None and not (folder / entry.file).is_file():
            raise UserError(f"{folder / entry.file} is missing, but {path} names it; copy the model folder again")
    return card


def _entry(card: Card, *roles: str) -> tuple[str, NetworkFile]:
    """The first of these sections that the card has. Raises: CardError."""
    for role in roles:
        if (entry := getattr(card, role)) is not None:
            return role, entry
    raise CardError(f"{roles[0]} is missing")


def _network(folder: Path, role: str, entry: NetworkFile, kind: type) -> Any:
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.network.items()}
    for name, value in fields.items():
        if not _is_plain(value):
            raise UserError(
                f"{folder / CARD} describes a {role} network whose {name} is {str(value)[:80]}; copy it again"
            )
    try:
        return kind(**fields, precision=jax.lax.Precision.HIGHEST)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{folder / CARD} describes a {role} network that cannot be built ({error}); copy it again"
        ) from error


def _is_plain(value: Any) -> bool:
    """Whether it is a short text, a finite number, a truth value, None, or a flat tuple of numbers."""
    if isinstance(value, tuple):
        return all(isinstance(entry, (int, float)) and _is_plain(entry) for entry in value)
    if isinstance(value, int):
        return abs(value) < 1 << 31
    if isinstance(value, str):
        return len(value) <= _LONGEST_TEXT
    return value is None or (isinstance(value, float) and math.isfinite(value))


def _read_variables(folder: Path, entry: NetworkFile) -> Variables:
    file = folder / entry.file
    if (found := sha256_of(file)) != entry.sha256:
        raise UserError(
            f"{file} was altered: its SHA-256 is {found[:12]}..., the card says {entry.sha256[:12]}...; "
            "copy the model folder again"
        )
    try:
        flat = safetensors.numpy.load_file(str(file))
    except (safetensors.SafetensorError, KeyError) as error:  # KeyError: a type that NumPy does not know
        raise UserError(f"{file} cannot be read ({error}); copy the model folder again") from error
    for name, values in flat.items():
        if not jnp.issubdtype(values.dtype, jnp.floating) or not np.isfinite(values.astype(np.float32)).all():
            raise UserError(f"{file} holds weights that are no numbers ({name[:80]}); take another model")
    tree = flax.traverse_util.unflatten_dict({k: v.astype("float32") for k, v in flat.items()}, sep="/")
    variables: Variables = jax.device_put(tree)  # all at once: ten times faster than one by one
    return variables


def _fields(network: Network) -> Json:
    return {f.name: getattr(network, f.name) for f in dataclasses.fields(network) if f.name not in _RUN_FIELDS}  # type: ignore[arg-type]
