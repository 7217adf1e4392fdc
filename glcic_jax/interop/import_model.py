"""From a file of another program to a network, its variables, and what a card has to say of them."""

from pathlib import Path
from typing import Any, NamedTuple

from glcic_jax.errors import UserError
from glcic_jax.interop import authors, otenim
from glcic_jax.interop.pickles import read_tensors
from glcic_jax.interop.torch7 import read_torch7
from glcic_jax.interop.torch_file import read_torch_file
from glcic_jax.models.card import Card, Licences, Provenance, Trained
from glcic_jax.models.completion import CompletionNetwork
from glcic_jax.models.protocols import Variables
from glcic_jax.system.checksum import sha256_of
from glcic_jax.version import __version__

Color = tuple[float, float, float]


class Imported(NamedTuple):
    """A completion network from elsewhere, with the card's sections that can be filled."""

    network: CompletionNetwork
    variables: Variables
    card: Card


def import_model(
    file: Path, *, config: Path | None = None, mean_color: Color | None = None, licence: str = ""
) -> Imported:
    """Reads a completion network from a file of another program, by what it is called.

    Args:
        file: NAME.t7 of the authors', NAME.py as `export --format=torch_module` writes it, or else a state dict of
            GLCIC-PyTorch's.
        config: the config.json beside a state dict.
        mean_color: RGB in [0, 1], of the training set, in its place; .t7 and .py files tell it.
        licence: terms of the weights, if they are known; a .py file's card states them.

    Raises: UserError.

    """
    if file.suffix in (".t7", ".py") and (config or mean_color):
        raise UserError(f"{file} tells its mean colour itself; leave --config and --mean_color out")
    if config and mean_color:
        raise UserError("--config tells the mean colour; leave --mean_color out")
    if file.suffix == ".t7":
        network, variables = _naming(file, authors.read_completion, read_torch7(file))
        return Imported(network, variables, _card(file, "Torch7", licence or authors.LICENCE, None))
    if file.suffix == ".py":
        network, variables, card = read_torch_file(file)
        if licence:
            raise UserError(f"{file} states its licences itself; leave --licence out")
        return Imported(network, variables, card)
    state = read_tensors(file)
    told = otenim.read_config(config) if config else None
    color = told.mean_color if told else mean_color
    if color is None:
        raise UserError(f"{file} does not tell the mean colour; give --config=config.json, or --mean_color=R,G,B")
    network, variables = _naming(file, otenim.read_completion, state, color)
    licence = licence or "not stated: ask whoever trained them"
    return Imported(network, variables, _card(file, "GLCIC-PyTorch", licence, told.trained if told else None))


def parse_mean_color(text: str) -> Color:
    """'0.5,0.4,0.3' -> numbers. Raises: UserError."""
    try:
        red, green, blue = (float(part) for part in text.split(","))
    except ValueError:
        red = green = blue = -1.0
    if not all(0 <= part <= 1 for part in (red, green, blue)):
        raise UserError(f"--mean_color is {text!r}; give R,G,B in [0, 1], such as 0.48,0.46,0.41")
    return red, green, blue


def _card(file: Path, layout: str, licence: str, trained: Trained | None) -> Card:
    source = {"imported": file.name, "layout": layout, "sha256": sha256_of(file)}
    provenance = Provenance(sources=[source], versions={"glcic-jax": __version__})
    licences = Licences(code="Apache-2.0", weights=licence, data="not stated")
    return Card(trained=trained, provenance=provenance, licences=licences)


def _naming(file: Path, read: Any, *arguments: Any) -> Any:
    """What `read` returns; its errors name the file."""
    try:
        return read(*arguments)
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
