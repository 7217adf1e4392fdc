"""TIFF samples that Pillow would round: 16 bits a channel in colour, and colours with alpha multiplied into them.

Pillow does decode 16-bit grey exactly, with every compression. So such a file is shown to it as a grey one whose rows
are the rows of all channels (or of one plane), by another directory at the file's end.
"""

import io
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import TiffImagePlugin

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _STRIPS = 256, 257, 258, 259, 262, 266, 273
_CHANNELS, _STRIP_ROWS, _STRIP_BYTES, _MAX_SAMPLE, _PLANES, _PREDICTOR = 277, 278, 279, 281, 284, 317
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES, _EXTRA, _SAMPLE_FORMAT = 322, 323, 324, 325, 338, 339
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT, _PROFILE = 282, 283, 296, 34675
_NEW_SUBFILE, _SUB_DIRECTORIES, _DNG_VERSION = 254, 330, 50706

_LOSSLESS = (1, 5, 8, 32773, 32946, 34925, 50000)
"""Compressions to which the samples are mere bytes: none, LZW, Deflate (two numbers), PackBits, LZMA, Zstandard."""

_MODES = {1: "L", 2: "RGB", 5: "CMYK"}  # by photometric interpretation

Directory = TiffImagePlugin.ImageFileDirectory_v2


@dataclass(frozen=True)
class Layout:
    """How a file lays out its samples.

    mode: of the channels that are read. channels: of the file, which may have more. bits: 8 or 16 a sample.
    """

    mode: str
    channels: int
    bits: int
    premultiplied: bool


class TiffFile(TiffImagePlugin.TiffImageFile):
    """Pillow's, which opens files too whose samples only `read_samples` can read: 16-bit grey with alpha, say."""

    def _setup(self) -> None:
        try:
            super()._setup()
        except SyntaxError:  # a combination of tags that it does not know
            layout = layout_of(self.tag_v2)
            if layout is None:
                raise
            self._mode, self.tile = layout.mode, []
            self.info["compression"] = self._compression
            if _X_RESOLUTION in self.tag_v2 and self.tag_v2.get(_RESOLUTION_UNIT, 2) == 2:
                self.info["dpi"] = (self.tag_v2[_X_RESOLUTION], self.tag_v2.get(_Y_RESOLUTION, 1))
            if _PROFILE in self.tag_v2:
                self.info["icc_profile"] = self.tag_v2[_PROFILE]


def layout_of(directory: Directory) -> Layout | None:
    """How `read_samples` is to read a file; None if Pillow reads it exactly, or nobody does."""
    bits, channels = directory.get(_BITS, (1,)), directory.get(_CHANNELS, 1)
    mode = _MODES.get(directory.get(_PHOTOMETRIC, -1), "")
    signed = any(kind != 1 for kind in directory.get(_SAMPLE_FORMAT, ()))
    if directory.get(_COMPRESSION, 1) not in _LOSSLESS or signed or not mode or len(set(bits)) != 1:
        return None
    extra = directory.get(_EXTRA, ())
    alpha = mode in ("L", "RGB") and channels > len(mode) and (extra[:1] or (2,))[0] in (1, 2)
    premultiplied = alpha and extra[:1] == (1,)
    mode += "A" if alpha else ""
    deep = bits[0] == 16 and channels > 1
    planar_grey = mode == "LA" and directory.get(_PLANES, 1) == 2  # which Pillow takes for something else
    if not (deep or (bits[0] == 8 and (premultiplied or planar_grey))) or not len(mode) <= channels <= 16:
        return None
    return Layout(mode, channels, bits[0], premultiplied)


def read_samples(data: bytes, directory: Directory, layout: Layout) -> np.ndarray:
    """uint8 or uint16 (H, W, C), not turned upright. Raises: what damaged files make Pillow raise."""
    width, height = directory[_WIDTH], directory[_HEIGHT]
    strips, sizes = (_TILES, _TILE_BYTES) if _TILES in directory else (_STRIPS, _STRIP_BYTES)
    places, lengths = directory[strips], directory[sizes]
    kept = len(layout.mode)
    if directory.get(_PLANES, 1) == 2:
        count = len(places) // layout.channels  # of the strips of a plane
        planes = [
            _as_grey(data, directory, 1, places[i * count :][:count], lengths[i * count :][:count], layout.bits)
            for i in range(kept)
        ]
        samples = np.concatenate(planes, axis=-1)
    else:
        samples = _as_grey(data, directory, layout.channels, places, lengths, layout.bits)[..., :kept]
    if samples.shape != (height, width, kept):
        raise ValueError(f"samples of shape {samples.shape} in a TIFF file of {width} x {height} px")
    return np.ascontiguousarray(samples)


def white_level(directory: Directory) -> int | None:
    """What means white in a 16-bit file, if its tags say it."""
    bits, highest = directory.get(_BITS, (1,))[0], directory.get(_MAX_SAMPLE, 0)
    if isinstance(highest, tuple):
        highest = max(highest, default=0)
    return 2**bits - 1 if 8 < bits < 16 else highest if 255 <= highest < 65535 else None


def is_raw(directory: Directory) -> bool:
    """Whether a file is a camera's raw file, with a small preview in front."""
    return _DNG_VERSION in directory or (directory.get(_NEW_SUBFILE) == 1 and _SUB_DIRECTORIES in directory)


def _as_grey(
    data: bytes,
    directory: Directory,
    channels: int,
    places: Sequence[int],
    lengths: Sequence[int],
    bits: int,
) -> np.ndarray:
    """(H, W, channels) of the strips or tiles at these places, each row of which holds `channels` samples a pixel."""
    width, height = directory[_WIDTH], directory[_HEIGHT]
    tags: dict[int, Sequence[int]] = {
        _WIDTH: [width * channels], _HEIGHT: [height], _BITS: [bits], _PHOTOMETRIC: [1], _CHANNELS: [1],
        _COMPRESSION: [directory.get(_COMPRESSION, 1)],
    }  # fmt: skip
    if _FILL_ORDER in directory:
        tags[_FILL_ORDER] = [directory[_FILL_ORDER]]
    tile_width = width
    if _TILES in directory:
        tile_width = directory[_TILE_WIDTH]
        tags |= {_TILE_WIDTH: [tile_width * channels], _TILE_HEIGHT: [directory[_TILE_HEIGHT]]}
        tags |= {_TILES: places, _TILE_BYTES: lengths}
    else:
        tags |= {_STRIP_ROWS: [min(directory.get(_STRIP_ROWS, height), height)]}
        tags |= {_STRIPS: places, _STRIP_BYTES: lengths}
    image = TiffImagePlugin.TiffImageFile(io.BytesIO(_with_directory(data, tags)), "")
    image.load()
    samples = np.asarray(image)
    samples = samples.astype(np.uint8 if bits == 8 else np.uint16).reshape(height, width, channels)
    if directory.get(_PREDICTOR, 1) == 2:  # each sample is stored as the difference to the one on its left
        for left in range(0, width, tile_width):
            tile = samples[:, left : left + tile_width]
            np.add.accumulate(tile, axis=1, dtype=samples.dtype, out=tile)
    return samples


def _with_directory(data: bytes, tags: Mapping[int, Sequence[int]]) -> bytes:
    """The file with another first directory, written at its end."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    word, kind, count = ("Q", 16, "Q") if big else ("I", 4, "H")
    start = -(-len(data) // 8) * 8
    size = struct.calcsize(f"{order}HH{word}{word}")
    head = struct.calcsize(order + count) + size * len(tags) + struct.calcsize(order + word)
    entries, values = [], b""
    for tag, numbers in sorted(tags.items()):
        place = numbers[0] if len(numbers) == 1 else start + head + len(values)
        entries.append(struct.pack(f"{order}HH{word}{word}", tag, kind, len(numbers), place))
        if len(numbers) != 1:
            values += struct.pack(f"{order}{len(numbers)}{word}", *numbers)
    where = struct.pack(order + word, start)
    header = data[:8] + where if big else data[:4] + where
    directory = struct.pack(order + count, len(tags)) + b"".join(entries) + struct.pack(order + word, 0) + values
    return b"".join([header, data[len(header) :], bytes(start - len(data)), directory])
