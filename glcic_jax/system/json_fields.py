"""JSON that may come from anybody: read with limits, and taken apart by type and range."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LARGEST_BYTES = 256 << 20
_SHOWN = 80  # characters of a wrong value


class JsonError(ValueError):
    """The file, or a value in it, cannot be what it should; the message is the reason, in one short line."""


class JsonFields:
    """An object of JSON whose values are taken out by type; a wrong or missing one raises JsonError."""

    def __init__(self, values: object, where: str):
        """where: what the object is, for messages."""
        if type(values) is not dict:
            raise JsonError(f"{where} should be an object and is {_shorten(values)}")
        self.values: Mapping[str, Any] = values
        self._where = where

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def get(self, key: str, *kinds: type) -> Any:
        """A value of exactly one of the types: True is no whole number."""
        if key not in self.values:
            raise JsonError(f"{self._where} has no {key!r}")
        value = self.values[key]
        if type(value) not in kinds:
            raise self.wrong(key)
        return value

    def wrong(self, key: str, wanted: str = "") -> JsonError:
        """The error that names a value, and what it must be."""
        must = f"; it must be {wanted}" if wanted else ""
        return JsonError(f"{key!r} of {self._where} is {_shorten(self.values.get(key))}{must}")

    def text(self, key: str) -> str:
        """A string."""
        return str(self.get(key, str))

    def whole(self, key: str, least: int = 0, most: int = (1 << 53) - 1) -> int:
        """A whole number in a range."""
        value: int = self.get(key, int)
        if not least <= value <= most:
            raise self.wrong(key)
        return value

    def number(self, key: str, least: float = -math.inf, most: float = math.inf) -> float:
        """A finite number in a range."""
        value = self.get(key, int, float)
        if abs(value) > 1e300 or not least <= value <= most:
            raise self.wrong(key)
        return float(value)

    def section(self, key: str) -> "JsonFields":
        """An object inside this one."""
        return JsonFields(self.get(key, dict), f"{key!r}")

    def sections(self, key: str) -> list["JsonFields"]:
        """A list of objects."""
        return [JsonFields(value, f"number {place} of {key!r}") for place, value in enumerate(self.items(key), start=1)]

    def items(self, key: str) -> list[Any]:
        """A list of anything."""
        return list(self.get(key, list))

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings."""
        values = self.items(key)
        if not all(type(value) is str for value in values):
            raise self.wrong(key)
        return tuple(values)

    def wholes(self, key: str, count: int, least: int = 0, most: int = (1 << 31) - 1) -> tuple[int, ...]:
        """A list of so many whole numbers in a range."""
        values = self.items(key)
        if len(values) != count or not all(type(value) is int and least <= value <= most for value in values):
            raise self.wrong(key)
        return tuple(values)

    def numbers(self, key: str, count: int, least: float, most: float) -> tuple[float, ...]:
        """A list of so many finite numbers in a range."""
        values = self.items(key)
        if len(values) != count or not all(type(v) in (int, float) and least <= v <= most for v in values):
            raise self.wrong(key, f"{count} numbers from {least:g} to {most:g}")
        return tuple(float(value) for value in values)

    def file_name(self, key: str, suffix: str) -> str:
        """The name of a file that lies in a known folder: no way to another one, and with that ending."""
        name = self.text(key)
        hidden = name.startswith(".") or not name.isprintable() or any(mark in name for mark in '/\\:*?"<>|')
        if hidden or not name.endswith(suffix):
            raise self.wrong(key, f"a file's name without folders, ending in {suffix}")
        return name


def read_json(path: Path, where: str) -> JsonFields:
    """The object in a JSON file. Raises: JsonError with the reason, OSError if the file cannot be read."""
    size = path.stat().st_size
    if size > LARGEST_BYTES:
        raise JsonError(f"it has {size:,} bytes, far more than such a file needs")
    try:
        return JsonFields(json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant), where)
    except RecursionError:
        raise JsonError("it is nested too deeply") from None
    except JsonError:
        raise
    except ValueError as error:
        raise JsonError(_shorten(error)) from None


def _refuse_constant(name: str) -> float:
    raise JsonError(f"one of its numbers is {name}")


def _shorten(value: object) -> str:
    try:
        text = str(value) if isinstance(value, Exception) else repr(value)
    except (RecursionError, ValueError):  # the latter for whole numbers of thousands of digits
        return "too large to be shown"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
