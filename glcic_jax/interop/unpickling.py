"""An interpreter for the pickles that `torch.save` writes: it knows tensors in containers, and calls nothing.

A pickle is a program, and Python's own interpreter for it calls whatever it names. Here names are compared, never
looked up, and instructions beyond those that PyTorch needs are refused.
"""

import pickletools
from collections.abc import Callable
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

_LITTLE_ENDIAN = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}


class _Name(NamedTuple):
    """What a file refers to by name: never looked up, only compared."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class _Mark:
    """Stands on the stack where a container's elements begin."""


class Storage(NamedTuple):
    """Numbers that stand elsewhere in the file."""

    key: str
    dtype: np.dtype
    numel: int


class StoredTensor(NamedTuple):
    """A view of a storage, in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


_DICT = _Name("collections", "OrderedDict")
_TENSOR = (_Name("torch._utils", "_rebuild_tensor_v2"), _Name("torch._utils", "_rebuild_tensor"))
_PARAMETER = _Name("torch._utils", "_rebuild_parameter")
_STORAGES = {_Name("torch", name): dtype for name, dtype in _LITTLE_ENDIAN.items()}
_KNOWN = {_DICT, *_TENSOR, _PARAMETER, *_STORAGES}


class Refused(Exception):
    """What a file holds that is no tensor and no container."""


def name_kind(value: Any) -> str:
    """What a value is, in words."""
    return f"the name {value}" if isinstance(value, _Name) else f"a {type(value).__name__.lstrip('_').lower()}"


def unpickle(data: bytes) -> tuple[Any, int]:
    """The value that a pickle describes, and how many bytes it has."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for opcode, argument, position in pickletools.genops(data):
        name = opcode.name
        if name == "STOP":
            (value,) = stack
            return value, (position or 0) + 1
        if name in _PLAIN:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name in _PUT:
            memo[len(memo) if argument is None else argument] = stack[-1]
        elif name in _GET:
            stack.append(memo[argument or 0])
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            stack.append(_named(stack, argument))
        elif name in _ACTIONS:
            _ACTIONS[name](stack)
        elif name not in ("PROTO", "FRAME"):
            raise Refused(f"the pickle instruction {name}")
    raise EOFError("it breaks off")


def _named(stack: list[Any], argument: str | None) -> _Name:
    if argument is None:
        module, name = stack[-2:]
        del stack[-2:]
    else:
        module, _, name = argument.partition(" ")
    found = _Name(str(module), str(name))
    if found not in _KNOWN:
        raise Refused(f"{found}"[:200])
    return found


def _since_mark(stack: list[Any]) -> list[Any]:
    place = max(index for index, value in enumerate(stack) if isinstance(value, _Mark))
    values = stack[place + 1 :]
    del stack[place:]
    return values


def _tuple(count: int) -> Any:
    def action(stack: list[Any]) -> None:
        values = tuple(stack[-count:])
        if len(values) != count:
            raise IndexError("an empty stack")
        del stack[-count:]
        stack.append(values)

    return action


def _set_items(stack: list[Any], values: list[Any]) -> None:
    if not isinstance(stack[-1], dict) or len(values) % 2:
        raise Refused(f"items that are set on {name_kind(stack[-1])}")
    for key, value in zip(values[::2], values[1::2], strict=True):
        if not isinstance(key, str | int):
            raise Refused(f"{name_kind(key)} as a key")
        stack[-1][key] = value


def _extend(stack: list[Any], values: list[Any]) -> None:
    if not isinstance(stack[-1], list):
        raise Refused(f"elements that are appended to {name_kind(stack[-1])}")
    stack[-1].extend(values)


def _pop(stack: list[Any], count: int) -> list[Any]:
    values = stack[-count:]
    del stack[-count:]
    return values


def _reduce(stack: list[Any]) -> None:
    """A call, in a pickle; here a table of the four that describe tensors and dictionaries."""
    name, arguments = _pop(stack, 2)
    if not isinstance(name, _Name) or not isinstance(arguments, tuple):
        raise Refused(f"a call of {name_kind(name)}")
    if name == _DICT and arguments in ((), ([],)):
        stack.append({})
    elif name in _TENSOR:
        stack.append(_tensor(*arguments[:4]))
    elif name == _PARAMETER and isinstance(arguments[0], StoredTensor):
        stack.append(arguments[0])
    else:
        raise Refused(f"a call of {name} with other arguments than PyTorch's")


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> StoredTensor:
    if not isinstance(storage, Storage) or not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise Refused("a tensor that is none")
    if len(shape) != len(strides) or len(shape) > 8:
        raise Refused(f"a tensor of {len(shape)} dimensions and {len(strides)} strides")
    for number in (offset, *shape, *strides):
        if type(number) is not int or not 0 <= number < 1 << 48:
            raise Refused(f"a tensor with {name_kind(number)} {str(number)[:40]} as a size")
    return StoredTensor(storage, offset, shape, strides)


def _persistent(stack: list[Any]) -> None:
    """A storage: ("storage", type, key, device, number of elements), with a view of None behind it in old files."""
    about = stack.pop()
    if (
        not isinstance(about, tuple)
        or len(about) not in (5, 6)
        or about[0] != "storage"
        or about[5:] not in ((), (None,))
    ):
        raise Refused("a reference to something that is no storage")
    _, kind, key, _, count = about[:5]
    if kind not in _STORAGES or type(count) is not int or not 0 <= count < 1 << 48 or not isinstance(key, str):
        raise Refused(f"a storage of {name_kind(kind)}")
    stack.append(Storage(key, _STORAGES[kind], count))


def _build(stack: list[Any]) -> None:
    """Attributes of an object. A state dict has one, `_metadata`, with the versions of its layers: not needed."""
    attributes = stack.pop()
    if not isinstance(stack[-1], dict) or not isinstance(attributes, dict) or attributes.keys() - {"_metadata"}:
        raise Refused(f"attributes of {name_kind(stack[-1])}")


_PLAIN = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8",
}  # fmt: skip
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "MARK": _Mark, "EMPTY_DICT": dict,
    "EMPTY_LIST": list, "EMPTY_TUPLE": tuple,
}  # fmt: skip
_PUT = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
_GET = {"GET", "BINGET", "LONG_BINGET"}
_ACTIONS: dict[str, Callable[[list[Any]], None]] = {
    "TUPLE": lambda stack: stack.append(tuple(_since_mark(stack))),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "SETITEM": lambda stack: _set_items(stack, _pop(stack, 2)),
    "SETITEMS": lambda stack: _set_items(stack, _since_mark(stack)),
    "APPEND": lambda stack: _extend(stack, _pop(stack, 1)),
    "APPENDS": lambda stack: _extend(stack, _since_mark(stack)),
    "REDUCE": _reduce,
    "BINPERSID": _persistent,
    "BUILD": _build,
}
