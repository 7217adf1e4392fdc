"""Which way up a photograph is: EXIF's orientation, 1 to 8, where 1 is upright as stored."""

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

_TAG = 0x0112


def exif_orientation(info: Mapping[Any, Any]) -> int:
    """The orientation among what Pillow says of a file; 1 where it says none that is valid.

    EXIF alone counts, as in viewers: not XMP, which Pillow goes by where EXIF has none.
    """
    exif = info.get("exif")
    if exif is None and isinstance(text := info.get("Raw profile type exif"), str):  # ImageMagick's way in PNGs
        try:
            exif = bytes.fromhex("".join(text.split("\n")[3:]))
        except ValueError:
            return 1
    return _first_directory(exif.removeprefix(b"Exif\0\0")) if isinstance(exif, bytes) else 1


def turn_upright(samples: np.ndarray, orientation: int) -> np.ndarray:
    """A view of (H, W, ...) turned as the orientation says; writing to it writes to `samples`."""
    if orientation in (5, 6, 7, 8):
        samples = samples.swapaxes(0, 1)
    down, right = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}.get(orientation, (1, 1))
    return samples[::down, ::right]


def _first_directory(exif: bytes) -> int:
    """The orientation in an EXIF block, whatever else in it is damaged."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None or len(exif) < 8:
        return 1
    (start,) = struct.unpack_from(order + "I", exif, 4)
    if start + 2 > len(exif):
        return 1
    (count,) = struct.unpack_from(order + "H", exif, start)
    for place in range(start + 2, min(start + 2 + 12 * count, len(exif) - 11), 12):
        tag, kind = struct.unpack_from(order + "HH", exif, place)
        if tag == _TAG:
            (value,) = struct.unpack_from(order + ("I" if kind == 4 else "H"), exif, place + 8)
            return value if value in range(1, 9) else 1
    return 1
