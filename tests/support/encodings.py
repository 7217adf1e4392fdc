"""Small pictures in the encodings that image files have, written and read by code that shares nothing with ours.

PNGs are put together and taken apart here, byte by byte; TIFFs by tifffile.
"""

import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tifffile

COLOR_TYPES = {"L": 0, "RGB": 2, "P": 3, "LA": 4, "RGBA": 6}


@dataclass(frozen=True)
class Encoding:
    """How a file stores a picture.

    Fields:
        kind: "png" or "tif". mode: its channels; "P" is a palette.
        bits: a sample, 1 to 16. orientation: EXIF's, 1 to 8.
        clear_level: PNG's tRNS, which makes one level transparent.
        planar, white_is_zero, premultiplied, deflated, tiled: TIFF's.
    """

    kind: str
    mode: str
    bits: int = 8
    orientation: int = 1
    clear_level: bool = False
    planar: bool = False
    white_is_zero: bool = False
    premultiplied: bool = False
    deflated: bool = False
    tiled: bool = False

    @property
    def channels(self) -> int:
        return 1 if self.mode == "P" else len(self.mode)


@dataclass(frozen=True)
class Picture:
    """What a file shows, upright: colours (H, W, 1 or 3) and alpha (H, W) at `bits` a sample."""

    colors: np.ndarray
    alpha: np.ndarray | None
    bits: int
    premultiplied: bool = False


def store(samples: np.ndarray, orientation: int) -> np.ndarray:
    """Upright samples as they are stored under an orientation, one step of EXIF's table after the other."""
    undo = {2: ["lr"], 3: ["r2"], 4: ["ud"], 5: ["t"], 6: ["r1"], 7: ["t", "r2"], 8: ["r3"]}
    for step in undo.get(orientation, []):
        samples = {
            "lr": np.fliplr, "ud": np.flipud, "r2": lambda a: np.rot90(a, 2), "r1": lambda a: np.rot90(a, 1),
            "r3": lambda a: np.rot90(a, 3), "t": lambda a: a.swapaxes(0, 1),
        }[step](samples)  # fmt: skip
    return np.ascontiguousarray(samples)


def show(samples: np.ndarray, orientation: int) -> np.ndarray:
    """The way back."""
    return store(samples, {6: 8, 8: 6}.get(orientation, orientation))


def write(path: Path, samples: np.ndarray, encoding: Encoding, palette: np.ndarray | None = None) -> None:
    """Writes upright samples (H, W, C), as large as the encoding's bits allow; palette: uint8 (N, 3)."""
    stored = store(samples, encoding.orientation)
    if encoding.kind == "png":
        path.write_bytes(_png(stored, encoding, palette))
    else:
        _tiff(path, stored, encoding)


def read(path: Path) -> Picture:
    """What a PNG or TIFF shows."""
    return _read_png(path.read_bytes()) if path.suffix == ".png" else _read_tiff(path)


def exif(orientation: int) -> bytes:
    """A block that says nothing but the orientation."""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png(stored: np.ndarray, encoding: Encoding, palette: np.ndarray | None) -> bytes:
    height, width, channels = stored.shape
    if encoding.bits == 16:
        rows = stored.astype(">u2").reshape(height, -1).view(np.uint8)
    elif encoding.bits == 8:
        rows = stored.astype(np.uint8).reshape(height, -1)
    else:
        bits = np.unpackbits(stored.astype(np.uint8)[..., None], axis=-1)[..., 8 - encoding.bits :]
        rows = np.packbits(bits.reshape(height, width * channels * encoding.bits), axis=1)
    header = struct.pack(">IIBBBBB", width, height, encoding.bits, COLOR_TYPES[encoding.mode], 0, 0, 0)
    chunks = [_chunk(b"IHDR", header)]
    if encoding.mode == "P":
        assert palette is not None
        chunks.append(_chunk(b"PLTE", palette.tobytes()))
    if encoding.clear_level:
        level = stored[0, 0].astype(">u2").tobytes()
        chunks.append(_chunk(b"tRNS", bytes([0]) if encoding.mode == "P" else level))
    if encoding.orientation != 1:
        chunks.append(_chunk(b"eXIf", exif(encoding.orientation)))
    chunks += [_chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _read_png(data: bytes) -> Picture:
    chunks: dict[bytes, bytes] = {}
    place = 8
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        kind = data[place + 4 : place + 8]
        chunks[kind] = chunks.get(kind, b"") + data[place + 8 : place + 8 + length]
        place += 12 + length
    width, height, bits, color_type, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert not interlaced
    mode = {number: name for name, number in COLOR_TYPES.items()}[color_type]
    channels = 1 if mode == "P" else len(mode)
    line, step = -(-width * channels * bits // 8), max(1, channels * bits // 8)
    raw = zlib.decompress(chunks[b"IDAT"])
    rows = np.zeros((height + 1, line + step), np.uint8)  # with zeros above and on the left
    for y in range(height):
        start = y * (line + 1)
        rows[y + 1, step:] = _unfilter(raw[start], raw[start + 1 : start + 1 + line], rows[y], step)
    samples = _unpack(rows[1:, step:], width, channels, bits)
    orientation = _orientation(chunks.get(b"eXIf", b""))
    shown = show(samples, orientation)
    transparency = chunks.get(b"tRNS")
    if mode == "P":
        palette = np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3)
        clear = np.frombuffer(transparency or b"", np.uint8)
        alphas = np.concatenate([clear, np.full(len(palette) - len(clear), 255, np.uint8)])
        return Picture(palette[shown[..., 0]], alphas[shown[..., 0]] if transparency else None, 8)
    if mode.endswith("A"):
        return Picture(shown[..., :-1], shown[..., -1], bits)
    if transparency is None:
        return Picture(shown, None, bits)
    level = np.frombuffer(transparency, ">u2")
    return Picture(shown, np.where((shown == level).all(-1), 0, 2**bits - 1), bits)


def _unfilter(kind: int, line: bytes, above: np.ndarray, step: int) -> list[int]:
    current = [0] * step
    for index, value in enumerate(line):
        left, up, corner = current[index], int(above[index + step]), int(above[index])
        predicted = (0, left, up, (left + up) // 2, _paeth(left, up, corner))[kind]
        current.append((value + predicted) % 256)
    return current[step:]


def _paeth(left: int, up: int, corner: int) -> int:
    estimate = left + up - corner
    return min((left, up, corner), key=lambda value: abs(estimate - value))


def _unpack(rows: np.ndarray, width: int, channels: int, bits: int) -> np.ndarray:
    if bits == 16:
        return np.ascontiguousarray(rows).view(">u2").astype(np.uint16).reshape(len(rows), width, channels)
    if bits == 8:
        return rows.reshape(len(rows), width, channels)
    each = np.unpackbits(rows, axis=1)[:, : width * channels * bits].reshape(len(rows), width, channels, bits)
    return (each @ (2 ** np.arange(bits - 1, -1, -1))).astype(np.uint8)


def _orientation(block: bytes) -> int:
    place = block.find(b"\x01\x12\x00\x03")
    return struct.unpack_from(">H", block, place + 8)[0] if place >= 0 else 1


def _tiff(path: Path, stored: np.ndarray, encoding: Encoding) -> None:
    colors = encoding.mode.removesuffix("A")
    extra = {"extrasamples": ["assocalpha" if encoding.premultiplied else "unassalpha"]} if "A" in encoding.mode else {}
    data = stored.astype(np.uint16 if encoding.bits > 8 else np.uint8)
    if encoding.white_is_zero:
        data[..., :1] = 2**encoding.bits - 1 - data[..., :1]
    arranged = data[..., 0] if data.shape[-1] == 1 else np.moveaxis(data, -1, 0) if encoding.planar else data
    tifffile.imwrite(
        path, arranged,
        photometric={"RGB": "rgb", "L": "miniswhite" if encoding.white_is_zero else "minisblack"}[colors],
        planarconfig=None if data.shape[-1] == 1 else "separate" if encoding.planar else "contig",
        compression="zlib" if encoding.deflated else None, tile=(16, 16) if encoding.tiled else None, metadata=None,
        extratags=[(274, 3, 1, encoding.orientation, True)], **extra,
    )  # fmt: skip


def _read_tiff(path: Path) -> Picture:
    with tifffile.TiffFile(path) as opened:
        page = opened.pages[0]
        samples = page.asarray()
        if samples.ndim == 2:
            samples = samples[..., None]
        elif page.planarconfig == 2:
            samples = np.moveaxis(samples, 0, -1)
        extra = tuple(int(value) for value in page.extrasamples or ())
        orientation = page.tags[274].value if 274 in page.tags else 1
        white_is_zero = page.photometric == 0
        bits = page.bitspersample
    shown = show(samples, orientation)
    colors = shown[..., : shown.shape[-1] - len(extra)]
    if white_is_zero:
        colors = 2**bits - 1 - colors
    return Picture(colors, shown[..., -1] if extra else None, bits, extra == (1,))


def with_alpha(picture: Picture) -> Picture:
    """The picture with an alpha channel, opaque if it has none."""
    if picture.alpha is not None:
        return picture
    return replace(picture, alpha=np.full(picture.colors.shape[:2], 2**picture.bits - 1))
