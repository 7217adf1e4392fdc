"""Samples into the bytes of an image file, together with what another file says beside its pixels."""

import io
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np
from PIL import Image

from glcic_jax.data.orientation import turn_upright
from glcic_jax.data.pixels import Pixels, on_paper, rescale
from glcic_jax.errors import UserError
from glcic_jax.inference import metadata
from glcic_jax.inference.previews import clear_exif, clear_xmp

FORMATS = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF",
    ".tiff": "TIFF", ".bmp": "BMP",
}  # fmt: skip
"""Pillow's name of the format, by the ending of the file's name."""

_LONGEST_PX = {"JPEG": 65500, "WEBP": 16383}
_PROFILE_STAYS = ("", "P", "PA", "1", "L", "La", "RGB", "RGBX", "RGBa")  # modes whose colours are as in the new file
_PNG_COLOR_TYPES = {"L": 0, "LA": 4, "RGB": 2, "RGBA": 6}
_PILLOW_SAMPLINGS = {((1, 1), (1, 1), (1, 1)): 0, ((2, 1), (1, 1), (1, 1)): 1, ((2, 2), (1, 1), (1, 1)): 2}


class _SaveOptions(TypedDict, total=False):
    """Pillow's, of all formats."""

    quality: int
    subsampling: int
    lossless: bool
    exact: bool
    compress_level: int
    progressive: bool
    keep_rgb: bool
    qtables: list[list[int]]
    dpi: tuple[float, float]
    icc_profile: bytes
    xmp: bytes
    exif: bytes


_QUALITY: dict[str, _SaveOptions] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True, "exact": True},
}


class Encoded(NamedTuple):
    """The bytes of a file, and what of the other file it lacks, in words."""

    data: bytes
    notes: list[str]


def encode(stored: Pixels, suffix: str, data: bytes) -> Encoded:
    """Encodes samples in the format of a name, with what the file that they come from says beside them.

    In that file's own format everything beside the pixels is kept verbatim, but for small copies of the picture. In
    another one the picture is turned upright, and EXIF, colour profile and resolution go along.

    Args:
        stored: samples, changed or not, and the image that they come from.
        suffix: the ending of the file's name. data: the bytes of the file that the samples come from.

    Raises: UserError if the format cannot hold the picture.

    """
    kind = FORMATS[suffix.lower()]
    same = kind == format_of(stored.source)
    fitting = _fit(stored, kind, same)
    longest = max(fitting.samples.shape[:2])
    if longest > (most := _LONGEST_PX.get(kind, longest)):
        raise UserError(f"a side has {longest:,} px, and {kind} holds up to {most:,}; give --format png or tif")
    try:
        if kind == "TIFF":
            return Encoded(*metadata.write_tiff(fitting, same))
        if kind == "JPEG" and same:
            return _encode_as(stored.source, fitting, data)
        if kind == "PNG":
            return _encode_png(fitting, data if same else None)
        beside, notes = _options_beside(fitting, same)
        return Encoded(_save(fitting, kind, _QUALITY.get(kind, _SaveOptions()) | beside), notes)
    except (OSError, ValueError, OverflowError) as error:  # what a format's limits make libraries raise
        raise UserError(f"the result cannot be written as {kind} ({error}); give --format png") from error


def require_encodable(path: Path) -> None:
    """Raises UserError if no picture could be written there: before the work, not after it."""
    if path.suffix.lower() not in FORMATS:
        raise UserError(
            f"cannot write {path}: unknown image type {path.suffix!r}; use one of {', '.join(FORMATS)} "
            "(.png keeps every bit)"
        )
    if path.is_dir():
        raise UserError(f"cannot write {path}: it is a folder; give the name of a file")


def format_of(source: Image.Image) -> str:
    """Pillow's name of a file's format."""
    return "JPEG" if source.format == "MPO" else str(source.format)  # cameras hang further pictures behind a JPEG


def _fit(stored: Pixels, kind: str, same: bool) -> Pixels:
    """What the format can hold of depth, alpha and colours, upright unless it is the file's own."""
    samples, mode, white = stored.samples, stored.mode, stored.white
    top = int(np.iinfo(samples.dtype).max)
    orientation = stored.orientation
    if not same:
        samples, orientation = turn_upright(samples, orientation), 1
    if samples.dtype == np.uint16 and kind not in ("PNG", "TIFF"):
        samples, white = rescale(samples, white, 255), 255
    elif white != top and (not same or _is_packed(stored.source)):  # no other program would know what is white
        samples, white = rescale(samples, white, top), top
    premultiplied = stored.premultiplied
    if premultiplied and kind != "TIFF":
        samples, premultiplied = _unmultiply(samples), False
    if mode.endswith("A") and kind in ("JPEG", "BMP"):
        samples, mode = (
            on_paper(samples[..., :-1], samples[..., -1], False, int(np.iinfo(samples.dtype).max)),
            mode[:-1],
        )
    if mode == "CMYK" and kind not in ("JPEG", "TIFF"):
        samples, mode = replace(stored, samples=samples, orientation=1).rgb(), "RGB"
    return replace(
        stored, samples=np.ascontiguousarray(samples), mode=mode, orientation=orientation, white=white,
        premultiplied=premultiplied,
    )  # fmt: skip


def _is_packed(source: Image.Image) -> bool:
    """Whether a TIFF has between 8 and 16 bits a sample, which are written as 16."""
    return max(getattr(source, "tag_v2", {}).get(258, (8,))) not in (8, 16)


def _unmultiply(samples: np.ndarray) -> np.ndarray:
    top = int(np.iinfo(samples.dtype).max)
    alpha = samples[..., -1:].astype(np.uint64)
    colors = samples[..., :-1].astype(np.uint64)
    plain = np.minimum((colors * top + alpha // 2) // np.maximum(alpha, 1), top).astype(samples.dtype)
    return np.concatenate([np.where(alpha > 0, plain, samples[..., :-1]), samples[..., -1:]], axis=-1)


def _encode_png(fitting: Pixels, source_data: bytes | None) -> Encoded:
    if fitting.samples.dtype == np.uint16:
        encoded = _deep_png(fitting.samples, fitting.mode)
    else:
        encoded = _save(fitting, "PNG", {"compress_level": 1})  # 24 megapixels: 2 s, a sixth larger than with level 6
    if source_data is None:
        beside, notes = _options_beside(fitting, False)
        small = replace(fitting, samples=np.zeros((1, 1, 1), np.uint8), mode="L")
        return Encoded(metadata.graft_png(encoded, _save(small, "PNG", beside), True)[0], notes)
    return Encoded(*metadata.graft_png(encoded, source_data, fitting.converted_from in _PROFILE_STAYS))


def _deep_png(samples: np.ndarray, mode: str) -> bytes:
    """Pillow writes 16-bit grey only."""
    height, width, _ = samples.shape
    rows = samples.astype(">u2").reshape(height, -1).view(np.uint8)
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = 2  # each row as its difference to the one above
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = b"".join(side.to_bytes(4) for side in (width, height)) + bytes((16, _PNG_COLOR_TYPES[mode], 0, 0, 0))
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.data, 3)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(metadata.png_chunk(kind, body) for kind, body in chunks)


def _encode_as(source: Image.Image, fitting: Pixels, data: bytes) -> Encoded:
    """As the JPEG that it comes from: with its tables and sampling, blocks without a hole lose next to nothing."""
    tables: dict[int, list[int]] = getattr(source, "quantization", {})
    layer: list[tuple[int, int, int, int]] = getattr(source, "layer", [])
    channels = fitting.samples.shape[-1]
    options: _SaveOptions = {"progressive": bool(source.info.get("progressive"))}
    notes: list[str] = []
    if len(layer) != channels or any(table not in tables for *_, table in layer):
        return Encoded(metadata.graft_jpeg(_save(fitting, "JPEG", _QUALITY["JPEG"]), data)[0], notes)
    own = [tables[table] for *_, table in layer]
    if channels == 3:
        # Pillow gives the last table to all channels that are left.
        sampling = tuple((h, v) for _, h, v, _ in layer)
        options["keep_rgb"] = _stores_rgb(source)
        if sampling in _PILLOW_SAMPLINGS:
            options["subsampling"] = _PILLOW_SAMPLINGS[sampling]
        elif len(set(sampling)) == 1:
            options["subsampling"] = 0
        else:  # unknown to the encoder: colour is stored in full, and as fine as can be
            options["subsampling"] = 0
            own[1:] = [[1] * 64] * 2
            notes.append("its rare sampling of colours is written as 4:4:4, with finer steps")
    if channels == 3 and own[1] == own[2]:
        own = own[:2]
    encoded = _save(fitting, "JPEG", options | {"qtables": own})
    grafted, grafting_notes = metadata.graft_jpeg(encoded, data)
    return Encoded(grafted, notes + grafting_notes)


def _stores_rgb(source: Image.Image) -> bool:
    """Whether a JPEG of three channels stores RGB, by the rules of libjpeg."""
    if "jfif" in source.info:
        return False
    if "adobe_transform" in source.info:
        return bool(source.info["adobe_transform"] == 0)
    return [number for number, *_ in getattr(source, "layer", [])] == [*b"RGB"]


def _options_beside(fitting: Pixels, same: bool) -> tuple[_SaveOptions, list[str]]:
    """Pillow's options for EXIF, profile, resolution and XMP; and what cannot be taken along."""
    source, notes, options = fitting.source, list[str](), _SaveOptions()
    if dpi := metadata.resolution_of(source):
        options["dpi"] = dpi
    if profile := metadata.profile_of(source):
        if fitting.converted_from in _PROFILE_STAYS and (source.mode == "CMYK") == (fitting.mode == "CMYK"):
            options["icc_profile"] = profile
        else:
            notes.append("its colour profile, which is of other colours, was left out")
    if xmp := source.info.get("xmp"):
        if isinstance(xmp, bytes):
            xmp = _clear_noted(clear_xmp, xmp, "pictures in its XMP were left out", notes)
        options["xmp"] = xmp
    exif = source.info.get("exif") if same else metadata.exif_of_upright(source, notes)
    if exif:
        options["exif"] = _clear_noted(clear_exif, exif, "EXIF's thumbnail was left out", notes)
    return options, notes


def _clear_noted(clear: Callable[[bytes], bytes], block: bytes, note: str, notes: list[str]) -> bytes:
    cleared = clear(block)
    if cleared != block:
        notes.append(note)
    return cleared


def _save(fitting: Pixels, kind: str, options: _SaveOptions) -> bytes:
    samples = np.ascontiguousarray(fitting.samples)
    size = (samples.shape[1], samples.shape[0])
    image = Image.frombuffer(fitting.mode, size, samples.reshape(-1), "raw", fitting.mode, 0, 1)
    buffer = io.BytesIO()
    try:
        image.save(buffer, kind, **options)
    except OSError:
        if not options.get("progressive"):
            raise
        # A progressive file has to fit into Pillow's buffer, and that of a noisy picture does not.
        buffer = io.BytesIO()
        image.save(buffer, kind, **{**options, "progressive": False})
    return buffer.getvalue()
