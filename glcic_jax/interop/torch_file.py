"""One Python file that is a network in PyTorch alone: module, weights and card; written, and read back unrun.

The module is plain_torch.py as it stands; what follows it are four assignments.
"""

import ast
import base64
import binascii
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from glcic_jax.errors import UserError
from glcic_jax.interop.graph import UNDERSTOOD, Convolve, ConvolveTransposed, Description, describe
from glcic_jax.interop.pickles import LARGEST_FILE, parse_tensors
from glcic_jax.interop.state_dicts import write_state_dict
from glcic_jax.interop.torch_layers import state_of, variables_of
from glcic_jax.models.card import Card, CardError, card_from_json, card_to_json
from glcic_jax.models.completion import LAST, TABLE_1, CompletionNetwork
from glcic_jax.models.protocols import Variables

MODULE = Path(__file__).with_name("plain_torch.py")
ASSIGNED = ("FIELDS", "LAYERS", "CARD", "WEIGHTS")


def format_torch_file(network: CompletionNetwork, variables: Variables, card: Card, half: bool) -> str:
    """The file's text; half: with float16 weights, which PyTorch loads as float32."""
    description = describe(network, variables)
    stream = io.BytesIO()
    write_state_dict(stream, state_of(description, half))
    values = {
        "FIELDS": {field: getattr(network, field) for field in sorted(UNDERSTOOD)},
        "LAYERS": list(_layers(description)),
        "CARD": json.dumps(json.loads(card_to_json(card))),
        "WEIGHTS": base64.b64encode(stream.getvalue()).decode(),
    }
    return MODULE.read_text() + "\n\n" + "".join(f"{name} = {values[name]!r}\n" for name in ASSIGNED)


def _layers(description: Description) -> Iterator[tuple[int, int, int, int, bool, bool]]:
    for block, layer in zip(description.blocks, (*TABLE_1, LAST), strict=True):
        kernel = next(o.kernel for o in block.operations if isinstance(o, Convolve | ConvolveTransposed))
        shape = (layer.kernel_px, layer.stride, layer.dilation, layer.transposed)
        yield (kernel.shape[-1], *shape, block.scale is not None)


def read_torch_file(file: Path) -> tuple[CompletionNetwork, Variables, Card]:
    """Network, variables and card of such a file; of its text only literals are looked at, nothing runs.

    Raises: UserError.
    """
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise UserError(f"{file} is too large; no completion network has so many weights")
        found = _literals(file.read_text())
        fields, text, weights = (found[name] for name in ("FIELDS", "CARD", "WEIGHTS"))
        card = card_from_json(text)
        network = _network(fields)
        state = parse_tensors(base64.b64decode(weights, validate=True))
        return network, variables_of(network, state), card
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    except OSError as error:
        raise UserError(f"cannot read {file} ({error.strerror})") from error
    except KeyError as error:
        raise UserError(f"{file} has no {error}; give a file that `glcic export --format=torch_module` wrote") from None
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, binascii.Error, CardError) as error:
        raise UserError(
            f"{file} is damaged ({' '.join(str(error).split())[:120]}); give a file that `glcic export "
            "--format=torch_module` wrote"
        ) from None


def _literals(text: str) -> dict[str, Any]:
    found = {}
    for statement in ast.parse(text).body:
        names = [ast.unparse(target) for target in statement.targets] if isinstance(statement, ast.Assign) else []
        if isinstance(statement, ast.Assign) and names[0] in ASSIGNED:
            found[names[0]] = ast.literal_eval(statement.value)
    return found


def _network(fields: dict[str, Any]) -> CompletionNetwork:
    """Raises: ValueError or TypeError if a field is missing, unknown, or of another type."""
    defaults = CompletionNetwork()
    if set(fields) != UNDERSTOOD:
        raise ValueError(f"its fields are not {', '.join(sorted(UNDERSTOOD))}")
    for name, value in fields.items():
        default = getattr(defaults, name)
        kinds: Any = (int, float) if isinstance(default, float) else type(default)
        kinds = (str, int, float) if name == "hole_fill" else kinds
        if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
            raise TypeError(f"{name} is {value!r}")
    color = fields["mean_color"]
    if len(color) != 3 or not all(isinstance(part, float | int) for part in color):
        raise TypeError(f"mean_color is {color!r}")
    return CompletionNetwork(**fields)
