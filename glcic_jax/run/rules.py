"""Rules beside the fields of a dataclass, `Annotated[int, AT_LEAST_1]`, and dataclasses read from a recipe by them."""

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple, TypeVar

from glcic_jax.errors import UserError

T = TypeVar("T")


class Rule(NamedTuple):
    """What a value has to obey, and the words for one that does not."""

    holds: Callable[[Any], bool]
    why: str


def is_pair(value: Any) -> bool:
    """Whether it is a pair of whole numbers."""
    return isinstance(value, tuple) and [type(end) for end in value] == [int, int]


def is_range(value: Any) -> bool:
    """Whether it is (smallest, largest), whole numbers from 1."""
    return is_pair(value) and 0 < value[0] <= value[1]


def one_of(*values: str) -> Rule:
    """The value is one of these words."""
    return Rule(values.__contains__, f"it must be one of {', '.join(values)}")


NOT_NEGATIVE = Rule(lambda value: math.isfinite(value) and value >= 0, "it cannot be negative")
AT_LEAST_1 = Rule(lambda value: value >= 1, "it must be at least 1")
SHARE = Rule(lambda value: 0 <= value <= 1, "it must lie in 0 to 1")
PIXELS = Rule(is_range, "it must be a range of whole pixels, (smallest, largest)")
COUNTS = Rule(is_range, "it must be a range of whole numbers from 1, (smallest, largest)")

_NAMES: dict[Any, str] = {int: "a whole number", float: "a number", bool: "True or False", str: "a text"}


def parse(cls: type[T], values: Mapping[str, Any], prefix: str) -> T:
    """A dataclass from the part of a recipe below `prefix`. Raises: UserError."""
    hints = typing.get_type_hints(cls, include_extras=True)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    if unknown := sorted(values.keys() - fields.keys()):
        raise UserError(f"config.{prefix}{unknown[0]} is no key of a recipe; see configs/places2.py for the keys")
    for name, field in fields.items():
        if name not in values and field.default is dataclasses.MISSING:
            raise UserError(f"the recipe has no config.{prefix}{name}; begin it from configs/places2.py, which has all")
    return cls(**{name: _value(hints[name], values[name], prefix + name) for name in fields if name in values})


def defaults(cls: type) -> dict[str, object]:
    """The values of a dataclass that may be left out, nested as in a recipe."""
    hints, found = typing.get_type_hints(cls), dict[str, object]()
    for field in dataclasses.fields(cls):
        if field.default is not dataclasses.MISSING:
            found[field.name] = field.default
        elif dataclasses.is_dataclass(hints[field.name]) and (below := defaults(hints[field.name])):
            found[field.name] = below
    return found


def _value(hint: Any, value: Any, key: str) -> Any:
    """One value of a recipe, of the type that its field wants. Raises: UserError."""
    rules: list[Rule] = []
    if typing.get_origin(hint) is Annotated:
        hint, *rules = typing.get_args(hint)
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise UserError(f"config.{key} is {value!r}; it must be a group of keys, as in configs/places2.py")
        return hint.parse(value, key) if hasattr(hint, "parse") else parse(hint, value, f"{key}.")
    if hint is float and type(value) is int:
        value = float(value)
    if hint in _NAMES and type(value) is not hint:
        raise UserError(f"config.{key} is {value!r}; it must be {_NAMES[hint]}")
    for rule in rules:
        if not rule.holds(value):
            raise UserError(f"config.{key} is {value!r}; {rule.why}")
    return value
