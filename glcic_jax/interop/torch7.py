"""Reads Torch7's `.t7` files (binary, as 64-bit machines write them), without Lua and without running anything.

Layout (torch7's File.lua, Tensor.c and Storage.c): each object begins with its type as int32. Tables, Torch objects
and functions carry a number, int32, under which they stand again in place of a repetition. A table is a count and its
keys and values; a Torch object the version "V n" and its class, each a length and text, and then what the class writes:
tensors their dimensions, sizes, strides, offset (from 1) and storage, storages a count and the numbers, all other
classes a table of their fields. Lua's functions are skipped over.
"""

import math
import re
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from glcic_jax.errors import UserError

_DTYPES: dict[str, np.dtype] = {
    "Byte": np.dtype("u1"), "Char": np.dtype("i1"), "Short": np.dtype("<i2"), "Int": np.dtype("<i4"),
    "Long": np.dtype("<i8"), "Float": np.dtype("<f4"), "Double": np.dtype("<f8"), "Cuda": np.dtype("<f4"),
    "CudaDouble": np.dtype("<f8"),
}  # fmt: skip
_DEEPEST = 100
"""Objects within objects."""


class Module(NamedTuple):
    """An object of a class that is neither tensor nor storage."""

    kind: str
    version: int
    fields: dict[Any, Any]


class Function(NamedTuple):
    """Lua's bytecode stood here; it is not kept."""


def read_torch7(file: Path) -> Any:
    """What a file holds: tables as dictionaries, tensors as arrays, objects as Module.

    Raises: UserError if it is no such file, or is damaged.
    """
    if not file.is_file():
        raise UserError(f"no file {file}; give the .t7 file that Torch has written")
    reader = _Reader(file.read_bytes())
    if reader.data[:2] in (b"4\n", b"3\n"):
        raise UserError(f"{file} is in Torch's ASCII format; only the binary one is read (torch.save's default)")
    try:
        value = reader.object()
        if reader.at != len(reader.data):
            raise ValueError(f"{len(reader.data) - reader.at} bytes are left over")
    except (ValueError, KeyError, IndexError, TypeError, struct.error, OverflowError, RecursionError) as error:
        raise UserError(f"{file} is not a whole .t7 file of a 64-bit machine ({error}); copy it again") from error
    return value


class _Reader:
    """Walks through the bytes."""

    def __init__(self, data: bytes):
        self.data, self.at, self.depth = data, 0, 0
        self.known: dict[int, Any] = {}

    def take(self, count: int) -> bytes:
        if not 0 <= count <= len(self.data) - self.at:
            raise ValueError(f"it breaks off at byte {self.at}")
        self.at += count
        return self.data[self.at - count : self.at]

    def int32(self) -> int:
        return int(struct.unpack("<i", self.take(4))[0])

    def int64(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}q", self.take(8 * count))

    def text(self) -> str:
        return self.take(self.int32()).decode("latin-1")

    def object(self) -> Any:
        kind = self.int32()
        match kind:
            case 0:
                return None
            case 1:
                return struct.unpack("<d", self.take(8))[0]
            case 2:
                return self.text()
            case 5:
                return self.int32() == 1
            case 3 | 4 | 6 | 7 | 8:
                return self.numbered(kind)
        raise ValueError(f"an object of type {kind} at byte {self.at - 4}")

    def numbered(self, kind: int) -> Any:
        """Something that may have come before."""
        number = self.int32()
        if number in self.known:
            return self.known[number]
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ValueError(f"more than {_DEEPEST} objects within each other")
        value = {3: self.table, 4: self.torch}.get(kind, self.function)(number)
        self.depth -= 1
        self.known[number] = value
        return value

    def table(self, number: int) -> dict[Any, Any]:
        values: dict[Any, Any] = {}
        self.known[number] = values  # it may stand in itself
        for _ in range(self.int32()):
            key = self.object()
            if not isinstance(key, str | float | bool):
                raise ValueError(f"a table with a {type(key).__name__} as a key")
            values[key] = self.object()
        return values

    def function(self, number: int) -> Function:
        self.take(self.int32())
        self.known[number] = Function()
        self.object()  # what it refers to
        return Function()

    def torch(self, number: int) -> Any:
        version, kind = self.text(), ""
        if match := re.fullmatch(r"V (\d+)", version):
            kind = self.text()
        kind = kind or version
        if match := re.fullmatch(r"torch\.(\w+?)(Tensor|Storage)", kind):
            if match[1] not in _DTYPES:
                raise ValueError(f"a {kind}, which is not supported")
            dtype = _DTYPES[match[1]]
            return self.tensor(dtype) if match[2] == "Tensor" else self.storage(dtype)
        if not re.fullmatch(r"[\w.]{1,100}", kind):
            raise ValueError(f"an object of class {kind[:100]!r}")
        module = Module(kind, int(version[2:]) if version.startswith("V ") else 0, {})
        self.known[number] = module
        fields = self.object()
        if not isinstance(fields, dict):
            raise ValueError(f"an object {kind} without fields")
        module.fields.update(fields)
        return module

    def storage(self, dtype: np.dtype) -> np.ndarray:
        (count,) = self.int64(1)
        return np.frombuffer(self.take(count * dtype.itemsize), dtype)

    def tensor(self, dtype: np.dtype) -> np.ndarray:
        dimensions = self.int32()
        if not 0 <= dimensions <= 8:
            raise ValueError(f"a tensor of {dimensions} dimensions")
        shape, strides = self.int64(dimensions), self.int64(dimensions)
        offset = self.int64(1)[0] - 1
        storage = self.object()
        if storage is None or dimensions == 0:
            return np.zeros(0, dtype)
        if not isinstance(storage, np.ndarray) or storage.dtype != dtype or storage.ndim != 1:
            raise ValueError("a tensor without its storage")
        if math.prod(shape) == 0:
            return np.zeros(shape, dtype)
        last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        if min(*shape, offset, *strides) < 0 or math.prod(shape) > len(storage) or last >= len(storage):
            raise ValueError(f"a tensor of shape {shape} that reaches beyond its storage")
        return np.lib.stride_tricks.as_strided(storage[offset:], shape, [s * dtype.itemsize for s in strides])
