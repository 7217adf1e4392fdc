"""Samples into the bytes of an image file, together with what another file says beside its pixels."""

import io
from typing import Any

import cv2
import numpy as np
from PIL import Image, JpegImagePlugin

from glcic_jax.data import metadata

KINDS = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP",
}  # fmt: skip
"""Pillow's name of the format, by the ending of the file's name."""


def encode(samples: np.ndarray, mode: str, orientation: int, suffix: str, source: Image.Image, data: bytes) -> bytes:
    """The bytes of a file.

    In the format of the source everything beside the pixels is kept verbatim. In another one the picture is turned
    upright, and EXIF, colour profile and resolution go along.

    Args:
        samples: uint8 or uint16 (H, W, C); mode: its channels as Pillow names them; orientation: EXIF's.
        suffix: the ending of the file's name.
        source, data: Pillow's image of the file that the samples come from, and its bytes.

    """
    kind = KINDS[suffix.lower()]
    same = kind == format_of(source)
    if not same:
        samples = upright(samples, orientation)
    samples, mode = _fitting(samples, mode, kind)
    samples = np.ascontiguousarray(samples)
    if kind == "TIFF":
        return metadata.tiff(samples, mode, source, same and source.info.get("compression", "raw") != "raw")
    grafted = same and kind in ("JPEG", "PNG")
    beside = {} if grafted else _beside(source, same, source.mode == "CMYK" and mode != "CMYK")
    if samples.dtype == np.uint16:
        encoded = _deep_png(samples, mode)
        return metadata.graft_png(encoded, data if same else _pillow(np.zeros((1, 1, 1), np.uint8), "L", kind, beside))
    encoded = _pillow(samples, mode, kind, beside | _pixel_options(kind, source if same else None))
    if not grafted:
        return encoded
    return metadata.graft_jpeg(encoded, data) if kind == "JPEG" else metadata.graft_png(encoded, data)


def format_of(source: Image.Image) -> str:
    """Pillow's name of a file's format."""
    return "JPEG" if source.format == "MPO" else str(source.format)  # cameras hang further pictures behind a JPEG


def upright(samples: np.ndarray, orientation: int) -> np.ndarray:
    """A view of (H, W, ...) turned as EXIF's orientation (1 to 8) says; writing to it writes to `samples`."""
    if orientation in (5, 6, 7, 8):
        samples = samples.swapaxes(0, 1)
    down, right = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}.get(orientation, (1, 1))
    return samples[::down, ::right]


def on_white(colors: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Colours (H, W, C) as they look on white paper under an alpha (H, W)."""
    top = np.iinfo(alpha.dtype).max
    seen_through = alpha < top
    share = alpha[seen_through, None].astype(np.float32) / top
    colors = colors.copy()
    colors[seen_through] = (colors[seen_through] * share + top * (1 - share)).round()
    return colors


def _fitting(samples: np.ndarray, mode: str, kind: str) -> tuple[np.ndarray, str]:
    """What the format can hold of depth, alpha and colours."""
    if samples.dtype == np.uint16 and kind not in ("PNG", "TIFF"):
        samples = (samples / 257).round().astype(np.uint8)
    if mode.endswith("A") and kind in ("JPEG", "BMP"):
        samples, mode = on_white(samples[..., :-1], samples[..., -1]), mode[:-1]
    if mode == "CMYK" and kind not in ("JPEG", "TIFF"):
        samples, mode = np.asarray(Image.fromarray(np.ascontiguousarray(samples), mode).convert("RGB")), "RGB"
    return samples, mode


def _beside(source: Image.Image, same: bool, other_colors: bool) -> dict[str, Any]:
    """Pillow's options for EXIF, profile and resolution."""
    options: dict[str, Any] = {key: source.info[key] for key in ("dpi", "icc_profile", "xmp") if key in source.info}
    if other_colors:
        options.pop("icc_profile", None)
    if same:
        return options | ({"exif": source.info["exif"]} if "exif" in source.info else {})
    exif = source.getexif()
    if len(exif):
        exif.pop(0x0112, None)  # the picture is upright now
        options["exif"] = exif.tobytes()
    return options


def _pixel_options(kind: str, source: Image.Image | None) -> dict[str, Any]:
    """How Pillow encodes pixels; source: a file of the same kind, whose ways are kept."""
    if kind == "PNG":
        return {"compress_level": 1}  # 24 megapixels: 2 s, a sixth larger than with level 6, which takes 9 s
    if kind == "WEBP":
        return {"lossless": True, "exact": True}
    if kind != "JPEG":
        return {}
    if source is None or not getattr(source, "quantization", None):
        return {"quality": 95, "subsampling": 0}
    # With the tables and the subsampling of the source, blocks without a hole lose next to nothing a second time.
    subsampling = JpegImagePlugin.get_sampling(source)
    options = {"qtables": source.quantization, "progressive": bool(source.info.get("progressive"))}  # type: ignore[attr-defined]
    return options | ({"subsampling": subsampling} if subsampling >= 0 else {})


def _pillow(samples: np.ndarray, mode: str, kind: str, options: dict[str, Any]) -> bytes:
    image = Image.frombytes(mode, samples.shape[1::-1], samples.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _deep_png(samples: np.ndarray, mode: str) -> bytes:
    """Pillow writes 16-bit grey only."""
    channels = {"L": [0], "LA": [0, 0, 0, 1], "RGB": [2, 1, 0], "RGBA": [2, 1, 0, 3]}[mode]
    done, encoded = cv2.imencode(".png", np.ascontiguousarray(samples[..., channels]))
    assert done
    return encoded.tobytes()
