"""Writes state dicts as `torch.save` does, without PyTorch: a zip archive with a pickle and the numbers beside it."""

import struct
import zipfile
from collections.abc import Mapping
from typing import IO

import numpy as np

_STORAGES = {"float32": b"FloatStorage", "float16": b"HalfStorage", "int64": b"LongStorage"}
_FOLDER = "archive"


def write_state_dict(stream: IO[bytes], state: Mapping[str, np.ndarray]) -> None:
    """Writes arrays of float32, float16 or int64 under their names; `torch.load(..., weights_only=True)` reads them."""
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:

        def add(name: str, data: bytes) -> None:
            # A fixed date, so that equal weights make equal files.
            archive.writestr(zipfile.ZipInfo(f"{_FOLDER}/{name}"), data)

        arrays = list(state.values())
        add("data.pkl", _pickled(state))
        add("byteorder", b"little")
        for key, array in enumerate(arrays):
            add(f"data/{key}", np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
        add("version", b"3\n")


def _pickled(state: Mapping[str, np.ndarray]) -> bytes:
    """Protocol 2: a dictionary of calls of `_rebuild_tensor_v2`."""
    entries = b"".join(_text(name) + _tensor(key, array) for key, (name, array) in enumerate(state.items()))
    return b"\x80\x02}(" + entries + b"u."


def _tensor(key: int, array: np.ndarray) -> bytes:
    storage = b"(" + _text("storage") + b"ctorch\n" + _STORAGES[array.dtype.name] + b"\n"
    storage += _text(str(key)) + _text("cpu") + _number(array.size) + b"tQ"
    strides = [int(np.prod(array.shape[axis + 1 :])) for axis in range(array.ndim)]
    hooks = b"ccollections\nOrderedDict\n)R"
    arguments = storage + _number(0) + _numbers(array.shape) + _numbers(strides) + b"\x89" + hooks
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tR"


def _text(text: str) -> bytes:
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def _numbers(values: tuple[int, ...] | list[int]) -> bytes:
    return b"(" + b"".join(_number(value) for value in values) + b"t"
