"""Model folders written for other programs, each a file that appears whole or not at all."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from glcic_jax.errors import UserError
from glcic_jax.interop import otenim
from glcic_jax.interop.graph import require_understood
from glcic_jax.interop.hub import write_hub_folder
from glcic_jax.interop.stablehlo import serialize_program
from glcic_jax.interop.state_dicts import write_state_dict
from glcic_jax.interop.torch_file import format_torch_file
from glcic_jax.models import folder as model_folder
from glcic_jax.models.card import Card
from glcic_jax.models.completion import CompletionNetwork
from glcic_jax.models.protocols import Variables
from glcic_jax.system.atomic import atomic_file
from glcic_jax.system.packages import require_extra


class Model(NamedTuple):
    """What is written: variables, as float16 if they are to be stored so; picture: for formats that show one."""

    network: CompletionNetwork
    variables: Variables
    card: Card
    half: bool
    picture: Path | None


def export_model(model: Path, output: Path, form: str, *, half: bool = False, picture: Path | None = None) -> int:
    """Writes a model folder in one of FORMATS.

    Args:
        half: store weights as float16.
        picture: an image file for a folder's README.md, of "hub" alone.

    Returns: the size of what was written, in bytes.
    Raises: UserError if the format cannot hold this network, or a package is missing.

    """
    suffixes, write = FORMATS[form]
    if picture and form != "hub":
        raise UserError(f"--picture is for --format=hub; --format={form} shows none")
    if suffixes and output.suffix not in suffixes:
        raise UserError(f"--output is {output}; for --format={form} it must end in {' or '.join(suffixes)}")
    loaded, variables, card = model_folder.load(model)
    network = require_understood(loaded)
    write(Model(network, model_folder.to_half(variables) if half else variables, card, half, picture), output)
    files = output.iterdir() if output.is_dir() else [output]
    return sum(file.stat().st_size for file in files if file.is_file())


def _write_torch(model: Model, output: Path) -> None:
    state = otenim.completion_state(model.network, model.variables, model.half)
    with atomic_file(output) as partial, partial.open("wb") as stream:
        write_state_dict(stream, state)


def _write_onnx(model: Model, output: Path) -> None:
    _write_onnx_graph(model, output, finished=True)


def _write_onnx_network(model: Model, output: Path) -> None:
    _write_onnx_graph(model, output, finished=False)


def _write_onnx_graph(model: Model, output: Path, *, finished: bool) -> None:
    require_extra("onnx", "this format", "onnx")
    from glcic_jax.interop.onnx.model import build_model

    built = build_model(model.network, model.variables, model.card, finished=finished, half=model.half)
    with atomic_file(output) as partial:
        partial.write_bytes(built.SerializeToString())


def _write_stablehlo(model: Model, output: Path) -> None:
    with atomic_file(output) as partial:
        partial.write_bytes(serialize_program(model.network, model.variables, model.half))


def _write_torch_module(model: Model, output: Path) -> None:
    text = format_torch_file(model.network, model.variables, model.card, model.half)
    with atomic_file(output) as partial:
        partial.write_text(text)


def _write_hub(model: Model, output: Path) -> None:
    require_extra("hub", "this format", "huggingface_hub")
    write_hub_folder(output, (model.network, model.variables), model.card, model.picture)


FORMATS: dict[str, tuple[tuple[str, ...], Callable[[Model, Path], None]]] = {
    "onnx": ((".onnx",), _write_onnx),
    "onnx_network": ((".onnx",), _write_onnx_network),
    "stablehlo": ((".stablehlo",), _write_stablehlo),
    "torch": ((".pt", ".pth"), _write_torch),
    "torch_module": ((".py",), _write_torch_module),
    "hub": ((), _write_hub),
}
"""How the command line calls them: how files must end, a folder if nothing is said, and what writes them."""
