"""Reads PyTorch's `.pt` files without PyTorch, and without running anything that stands in them.

What is pickled in them are names and shapes (see unpickling.py); the numbers stand beside it.
"""

import io
import math
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from glcic_jax.errors import UserError
from glcic_jax.interop.unpickling import Refused, Storage, StoredTensor, name_kind, unpickle

LARGEST_PICKLE = 64 << 20
"""Bytes. What is pickled are names and shapes; the numbers stand beside it."""
LARGEST_FILE = 4 << 30
"""Bytes; it is read whole."""
MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
"""The first pickle of a file in the legacy format (before PyTorch 1.6, or `_use_new_zipfile_serialization=False`)."""
PROTOCOL_VERSION = 1001


def read_tensors(file: Path) -> dict[str, np.ndarray]:
    """The state dict in a `.pt` file: arrays by their names, in the file's order.

    Raises: UserError if it is no such file, is damaged, or holds anything but tensors in a dictionary.
    """
    if not file.is_file():
        raise UserError(f"no file {file}; give the .pt file that PyTorch has written")
    if (size := file.stat().st_size) > LARGEST_FILE:
        raise UserError(f"{file} has {size / 1e9:.1f} GB; no completion network is that large")
    try:
        return parse_tensors(file.read_bytes())
    except UserError as error:
        raise UserError(f"{file} {error}") from error


def parse_tensors(data: bytes) -> dict[str, np.ndarray]:
    """`read_tensors`, of a file's content. Raises: UserError, as what can be said of the file."""
    try:
        read = _read_zip if zipfile.is_zipfile(io.BytesIO(data)) else _read_legacy
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # damaged names look like escape sequences
            return read(data)
    except Refused as refused:
        raise UserError(
            f"holds {refused}; only tensors in a dictionary are read, so save model.state_dict() and give that"
        ) from None
    except (ValueError, KeyError, IndexError, TypeError, EOFError, OverflowError, MemoryError, struct.error,
            zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:  # fmt: skip
        said = str(error) or type(error).__name__
        raise UserError(f"is not a whole file of PyTorch's ({said[:200]}); copy it again") from error


def _read_zip(data: bytes) -> dict[str, np.ndarray]:
    """PyTorch 1.6 and later: NAME/data.pkl, and NAME/data/KEY for each storage, not compressed."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        records = {record.filename: record for record in archive.infolist()}
        pickles = [name for name in records if name.endswith("data.pkl")]
        if len(pickles) != 1:
            raise ValueError("a zip archive without data.pkl" if not pickles else "a zip archive with several data.pkl")
        folder = pickles[0].removesuffix("data.pkl")

        def record(name: str, bytes_expected: int | None) -> bytes:
            entry = records[folder + name]
            if entry.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{entry.filename} is compressed, which PyTorch never does")
            if entry.file_size > LARGEST_PICKLE if bytes_expected is None else entry.file_size != bytes_expected:
                raise ValueError(f"{entry.filename} has {entry.file_size} bytes")
            return archive.read(entry)

        if folder + "byteorder" in records and record("byteorder", None).strip() != b"little":
            raise Refused("numbers of a big-endian machine")
        state = unpickle(record("data.pkl", None))[0]
        storages: dict[str, np.ndarray] = {}

        def storage(wanted: Storage) -> np.ndarray:
            if wanted.key not in storages:
                numbers = record(f"data/{wanted.key}", wanted.numel * wanted.dtype.itemsize)
                storages[wanted.key] = np.frombuffer(numbers, wanted.dtype)
            return storages[wanted.key]

        tensors = _state_dict(state, len(data))
        return {name: _view(tensor, storage(tensor.storage)) for name, tensor in tensors.items()}


def _read_legacy(data: bytes) -> dict[str, np.ndarray]:
    """Before PyTorch 1.6: five pickles one after another, then each storage with its number of elements."""
    if not data.startswith(b"\x80"):
        raise ValueError("it begins like no file of PyTorch's")
    magic, at = unpickle(data[:LARGEST_PICKLE])
    if magic != MAGIC_NUMBER:
        raise ValueError("a pickle, but not PyTorch's magic number")
    parts = []
    for _ in range(4):
        value, used = unpickle(data[at : at + LARGEST_PICKLE])
        parts.append(value)
        at += used
    version, system, state, keys = parts
    if version != PROTOCOL_VERSION or not isinstance(system, dict) or not isinstance(keys, list):
        raise ValueError("an unknown version of the legacy format")
    if system.get("little_endian") is not True:
        raise Refused("numbers of a big-endian machine")
    tensors = _state_dict(state, len(data))
    wanted = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    if sorted(keys) != sorted(wanted):
        raise ValueError("the list of storages does not fit the tensors")
    storages = {}
    for key in keys:
        (count,) = struct.unpack_from("<q", data, at)
        if count != wanted[key].numel:
            raise ValueError(f"storage {key} has {count} elements instead of {wanted[key].numel}")
        storages[key] = np.frombuffer(data, wanted[key].dtype, count, at + 8)
        at += 8 + storages[key].nbytes
    return {name: _view(tensor, storages[tensor.storage.key]) for name, tensor in tensors.items()}


def _state_dict(state: Any, file_size: int) -> dict[str, StoredTensor]:
    """The dictionary, if it is one of tensors, and they are not many times larger than the file."""
    if not isinstance(state, dict) or not state:
        raise Refused(f"{name_kind(state)} where a dictionary of tensors is expected")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, StoredTensor):
            raise Refused(f"{name_kind(value)} under {str(name)[:80]!r}")
    if sum(math.prod(tensor.shape) * tensor.storage.dtype.itemsize for tensor in state.values()) > 4 * file_size:
        raise Refused("tensors that are together much larger than the file")
    return state


def _view(tensor: StoredTensor, storage: np.ndarray) -> np.ndarray:
    """The tensor's own elements: inside the storage, and no more than it has."""
    places = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True))
    if math.prod(tensor.shape) == 0:
        return np.zeros(tensor.shape, storage.dtype)
    if tensor.offset + places >= len(storage) or math.prod(tensor.shape) > len(storage):
        raise ValueError(f"a tensor of shape {tensor.shape} reaches beyond its storage")
    strides = [stride * storage.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, strides).copy()
