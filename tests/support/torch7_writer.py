"""Writes `.t7` files as Torch7 does (File.lua, Tensor.c, Storage.c: binary, on a 64-bit machine)."""

import struct
from typing import Any

import numpy as np

CLASSES = {"float32": "Float", "float64": "Double", "int64": "Long", "uint8": "Byte"}


class Object:
    """An object of a class of nn's: its fields are written as a table."""

    def __init__(self, kind: str, version: str | None = "V 1", **fields: Any):
        self.kind, self.version, self.fields = kind, version, fields


class Writer:
    """`Writer().write(value)` gives the file's bytes; a value that comes twice is written once and then referred to."""

    def __init__(self, tensor_class: str | None = None):
        self.numbers: dict[int, int] = {}
        self.kept: list[Any] = []  # so that no two objects share an identity
        self.tensor_class = tensor_class

    def write(self, value: Any) -> bytes:
        match value:
            case None:
                return self._int(0)
            case bool():
                return self._int(5) + self._int(value)
            case int() | float():
                return self._int(1) + struct.pack("<d", value)
            case str():
                return self._int(2) + self._text(value)
        kind = 3 if isinstance(value, dict | list) else 4
        if id(value) in self.numbers:
            return self._int(kind) + self._int(self.numbers[id(value)])
        self.kept.append(value)
        self.numbers[id(value)] = len(self.numbers) + 1
        head = self._int(kind) + self._int(self.numbers[id(value)])
        if isinstance(value, np.ndarray):
            return head + self._tensor(value)
        if isinstance(value, Object):
            version = self._text(value.version) if value.version else b""
            return head + version + self._text(value.kind) + self.write(value.fields)
        items = list(value.items()) if isinstance(value, dict) else list(enumerate(value, 1))
        return head + self._int(len(items)) + b"".join(self.write(k) + self.write(v) for k, v in items)

    def _tensor(self, array: np.ndarray) -> bytes:
        kind = self.tensor_class or CLASSES[array.dtype.name]
        strides = [stride // array.itemsize for stride in array.strides]
        base = array
        while isinstance(base.base, np.ndarray):
            base = base.base
        offset = (array.__array_interface__["data"][0] - base.__array_interface__["data"][0]) // array.itemsize
        head = self._text("V 1") + self._text(f"torch.{kind}Tensor") + self._int(array.ndim)
        sizes = struct.pack(f"<{array.ndim}q", *array.shape) + struct.pack(f"<{array.ndim}q", *strides)
        return head + sizes + struct.pack("<q", offset + 1) + self._storage(base, kind)

    def _storage(self, base: np.ndarray, kind: str) -> bytes:
        key = -id(base)  # the storage is an object beside the tensor
        if key in self.numbers:
            return self._int(4) + self._int(self.numbers[key])
        self.kept.append(base)
        self.numbers[key] = len(self.numbers) + 1
        numbers = np.ascontiguousarray(base).reshape(-1)
        head = self._int(4) + self._int(self.numbers[key]) + self._text("V 1") + self._text(f"torch.{kind}Storage")
        return head + struct.pack("<q", numbers.size) + numbers.tobytes()

    def _int(self, value: int) -> bytes:
        return struct.pack("<i", value)

    def _text(self, text: str) -> bytes:
        return self._int(len(text)) + text.encode("latin-1")
