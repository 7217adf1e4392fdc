"""A trained model as a folder: safetensors weights and `card.json`, which says all that is needed to use them."""

import json
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.flax
import safetensors.numpy

import glcic_jax
from glcic_jax.atomic import atomic_folder
from glcic_jax.checksum import sha256_of
from glcic_jax.errors import UserError
from glcic_jax.models.completion import STRIDE_PX, CompletionNetwork
from glcic_jax.models.context_encoder import ContextEncoder, PatchDiscriminator
from glcic_jax.models.discriminator import ContextDiscriminator

CARD = "card.json"
FORMAT = "glcic-jax model"
FORMAT_VERSION = 1

# What belongs to a run, not to the network: how it was computed there, and over which mesh.
_RUN_FIELDS = ("parent", "name", "dtype", "precision", "statistics_axis")

# A card's entry is called as its network, and so is its file.
COMPLETES = {"completion": CompletionNetwork, "context_encoder": ContextEncoder}
JUDGES = {"discriminator": ContextDiscriminator, "patch_discriminator": PatchDiscriminator}

Variables = dict[str, Any]


def save(
    folder: Path,
    completion: tuple[CompletionNetwork | ContextEncoder, Variables],
    discriminator: tuple[ContextDiscriminator | PatchDiscriminator, Variables] | None,
    about: dict[str, Any],
) -> None:
    """Writes a model folder, whole or not at all; an older one of that name is replaced.

    Args:
        folder: where; its parent must exist.
        completion, discriminator: network and variables ("params" and "batch_stats"); the discriminator, which
            only further training needs, may be None.
        about: further sections of the card (training sizes, provenance, licences), JSON values.

    Raises: UserError if the parent folder is missing.

    """
    card: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "written_by": f"glcic-jax {glcic_jax.__version__}",
        "convention": {
            "image": f"RGB float in [0, 1], shape (..., H, W, 3), {_sizes(completion[0])}",
            "mask": "1 = hole, shape (..., H, W, 1)",
            "output": "RGB float in [0, 1]; tanh networks work in [-1, 1] inside, their output is (t + 1) / 2",
            "norm_placement": "before the activation",
        },
        **about,
    }
    require_replaceable(folder)
    with atomic_folder(folder) as partial:
        for pair in (completion, discriminator):
            if pair is None:
                continue
            network, variables = pair
            role = next(role for role, of in {**COMPLETES, **JUDGES}.items() if type(network) is of)
            file = partial / f"{role}.safetensors"
            flat = flax.traverse_util.flatten_dict(jax.device_get(variables), sep="/")
            # Written here: the library's own files are for their owner's eyes alone.
            file.write_bytes(safetensors.flax.save({k: jnp.asarray(v) for k, v in flat.items()}))
            card[role] = {"file": file.name, "sha256": sha256_of(file), "network": _fields(network)}
        (partial / CARD).write_text(json.dumps(card, indent=2) + "\n")


def half(variables: Variables) -> Variables:
    """float16 weights, which cost an output about as much as 8-bit pixels do. Raises: UserError if one does not fit."""
    with np.errstate(over="ignore"):
        halves = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32).astype(np.float16), variables)
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(halves)):
        raise UserError("a weight is beyond float16's range of 65504: this model is damaged or has diverged")
    return halves


def require_replaceable(folder: Path) -> None:
    """Raises: UserError if something stands there that is no model and would be lost."""
    if folder.exists() and not (folder / CARD).is_file() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(
            f"{folder} would be replaced by the model, but it is not one; move it, or choose another folder"
        )


def load(folder: str | Path) -> tuple[CompletionNetwork | ContextEncoder, Variables, dict[str, Any]]:
    """Opens a model folder: `network.apply(variables, image, mask)` is then the whole of inference.

    Returns: the completion network or the Context Encoder (convolutions at full float32 precision), its variables as
        float32 arrays, and the card.
    Raises: UserError if a file is missing, altered, or from a newer version.
    """
    folder = Path(folder)
    card = read_card(folder)
    role = next(role for role in COMPLETES if role in card)
    network = _network(folder, card, role, COMPLETES[role])
    variables = _read_variables(folder, card[role])
    side = network.image_px if isinstance(network, ContextEncoder) else STRIDE_PX
    try:
        image, mask = (jax.ShapeDtypeStruct((1, side, side, channels), "float32") for channels in (3, 1))
        jax.eval_shape(network.apply, variables, image, mask)
    except Exception as error:  # whatever an altered card makes the network raise
        raise UserError(
            f"{folder / CARD} does not describe the weights beside it ({type(error).__name__}); "
            "copy the model folder again"
        ) from error
    return network, variables, card


def load_discriminator(
    folder: Path, card: dict[str, Any]
) -> tuple[ContextDiscriminator | PatchDiscriminator, Variables] | None:
    """The discriminator of a model folder, None where it has none. Raises: UserError as `load`."""
    for role, kind in JUDGES.items():
        if role in card:
            return _network(folder, card, role, kind), _read_variables(folder, card[role])
    return None


def _sizes(network: CompletionNetwork | ContextEncoder) -> str:
    if isinstance(network, ContextEncoder):
        return f"H and W {network.image_px}, the hole in the central square of half the side"
    return f"H and W multiples of {STRIDE_PX}"


def read_card(folder: Path) -> dict[str, Any]:
    """The card of a model folder, with every file that it names at hand. Raises: UserError."""
    path = folder / CARD
    if not folder.is_dir():
        raise UserError(f"no model folder {folder}; give the folder that holds {CARD}, such as RUN/model")
    if not path.is_file():
        raise UserError(f"{folder} is no model folder: it holds no {CARD}; training writes one as RUN/model")
    try:
        card = json.loads(path.read_text())
        version = int(card["format_version"])
        entries = [card[role] for role in (*COMPLETES, *JUDGES) if role in card]
        if not any(role in card for role in COMPLETES):
            raise KeyError("completion")
        files = [str(entry["file"]) for entry in entries if dict(entry["network"]) and str(entry["sha256"])]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise UserError(f"{path} is not a model's card ({error}); copy the model folder again") from error
    if card.get("format") != FORMAT or version > FORMAT_VERSION:
        raise UserError(
            f"{path} has format {card.get('format')!r} version {version}, this is glcic-jax "
            f"{glcic_jax.__version__}, which reads version {FORMAT_VERSION}; install a newer glcic-jax"
        )
    for file in files:
        if not (folder / file).is_file():
            raise UserError(f"{folder / file} is missing, but {path} names it; copy the model folder again")
    return card


def _network(folder: Path, card: dict[str, Any], role: str, kind: type) -> Any:
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in card[role]["network"].items()}
    try:
        return kind(**fields, precision=jax.lax.Precision.HIGHEST)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{folder / CARD} describes a {role} network that cannot be built ({error}); copy it again"
        ) from error


def _read_variables(folder: Path, entry: dict[str, Any]) -> Variables:
    file = folder / entry["file"]
    if (found := sha256_of(file)) != entry["sha256"]:
        raise UserError(
            f"{file} was altered: its SHA-256 is {found[:12]}..., the card says {entry['sha256'][:12]}...; "
            "copy the model folder again"
        )
    try:
        flat = safetensors.numpy.load_file(str(file))
    except (safetensors.SafetensorError, KeyError) as error:  # KeyError: a type that NumPy does not know
        raise UserError(f"{file} cannot be read ({error}); copy the model folder again") from error
    tree = flax.traverse_util.unflatten_dict({k: v.astype("float32") for k, v in flat.items()}, sep="/")
    return jax.device_put(tree)  # all at once: ten times faster than one by one


def _fields(network: Any) -> dict[str, Any]:
    return {k: getattr(network, k) for k in network.__dataclass_fields__ if k not in _RUN_FIELDS}
