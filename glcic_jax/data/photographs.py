"""Photographs that are changed in one place only: all other samples, and what the file says beside them, stay."""

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from glcic_jax.atomic import atomic_file
from glcic_jax.data.encoding import encode, on_white, upright
from glcic_jax.data.images import ImageError, open_image, read_file, require_writable
from glcic_jax.errors import UserError

_MODES = ("L", "LA", "RGB", "RGBA", "CMYK")
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Photograph:
    """A photograph as its file keeps it.

    Fields:
        data: the file's bytes. source: Pillow's image of them, for what they say beside the pixels.
        samples: uint8 or uint16 (H, W, C), as stored, `mode` naming the channels as Pillow does.
        orientation: EXIF's, 1 = upright.
        notes: what of the file cannot be kept, for people.
    """

    path: Path
    data: bytes
    source: Image.Image
    samples: np.ndarray
    mode: str
    orientation: int
    notes: list[str] = field(default_factory=list)

    @property
    def alpha(self) -> np.ndarray | None:
        """(H, W), upright, as `samples`; None if there is no alpha channel."""
        return upright(self.samples, self.orientation)[..., -1] if self.mode.endswith("A") else None

    @property
    def pixels(self) -> np.ndarray:
        """Upright RGB (H, W, 3), as deep as `samples`; what is transparent shows white, as on paper."""
        samples = upright(self.samples, self.orientation)
        if self.mode == "CMYK":
            return np.array(Image.fromarray(np.ascontiguousarray(samples), "CMYK").convert("RGB"))
        colors = samples[..., :3] if self.mode.startswith("RGB") else samples[..., :1].repeat(3, -1)
        return colors if (alpha := self.alpha) is None else on_white(colors, alpha)

    def save(self, path: Path, painted: np.ndarray, hole: np.ndarray, opaque: bool = False) -> None:
        """Writes the photograph with other pixels in the hole, in the format of the name, whole or not at all.

        In the file's own format all is kept as it was stored, the orientation too; in another one the picture is
        turned upright, and EXIF, profile and resolution go along.

        Args:
            painted: (H, W, 3) RGB, as `pixels`.
            hole: bool (H, W).
            opaque: whether the hole's alpha is made opaque rather than left as it is.

        Raises: UserError.

        """
        require_writable(path)
        samples = self.samples.copy()
        shown = upright(samples, self.orientation)
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        colors = _from_rgb(painted[box], self.mode)
        part, inside = shown[box], hole[box]
        part[..., : colors.shape[-1]][inside] = colors[inside]
        if opaque and self.mode.endswith("A"):
            part[..., -1][inside] = np.iinfo(samples.dtype).max
        with atomic_file(path) as partial:
            partial.write_bytes(encode(samples, self.mode, self.orientation, path.suffix, self.source, self.data))


def read_photograph(path: Path) -> Photograph:
    """Opens a photograph of any kind. Raises: UserError naming the file."""
    try:
        data = read_file(path)
        source = open_image(data)
        samples, mode = _samples(source, data)
        orientation = source.getexif().get(0x0112, 1)
    except Exception as error:  # damaged files raise almost anything, from Pillow's parsers too
        raise UserError(f"cannot read the photograph {path}: {error}; give another file") from error
    frames = getattr(source, "n_frames", 1)
    notes = [f"{path} holds {frames} pictures; only the first is completed and kept"] if frames > 1 else []
    return Photograph(path, data, source, samples, mode, orientation if orientation in range(1, 9) else 1, notes)


def _samples(source: Image.Image, data: bytes) -> tuple[np.ndarray, str]:
    """The stored samples (H, W, C) and the names of their channels."""
    mode = source.mode
    if mode == "F":
        raise ImageError("floating-point pixels, whose range is not known")
    if mode.startswith("I"):
        grey = np.asarray(source)
        if grey.min() < 0 or grey.max() > 65535:
            raise ImageError("pixels of more than 16 bits")
        return grey.astype(np.uint16)[..., None], "L"
    if _is_deep(source, data):  # Pillow gives the high bytes only
        deep = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
        if deep is None or deep.dtype != np.uint16 or deep.ndim != 3 or deep.shape[:2] != source.size[::-1]:
            raise ImageError("16-bit pixels of a kind that OpenCV cannot decode")
        return deep[..., [2, 1, 0, 3][: deep.shape[-1]]], "RGBA" if deep.shape[-1] == 4 else "RGB"
    transparent = "A" in source.getbands() or "a" in source.getbands() or "transparency" in source.info
    if mode not in _MODES or (transparent and not mode.endswith("A")):
        grey_only = mode in ("1", "L", "La")
        source = source.convert(("L" if grey_only else "RGB") + ("A" if transparent else ""))
    samples = np.asarray(source)
    return samples.reshape(*samples.shape[:2], -1), source.mode


def _is_deep(source: Image.Image, data: bytes) -> bool:
    if source.format == "PNG":
        return data[24] == 16  # the header's bit depth
    return source.format == "TIFF" and max(source.tag_v2.get(258, (8,))) == 16  # type: ignore[attr-defined]


def _from_rgb(pixels: np.ndarray, mode: str) -> np.ndarray:
    """RGB (H, W, 3) in the colours of `mode`, without alpha."""
    if mode.startswith("RGB"):
        return pixels
    if mode == "CMYK":
        return np.asarray(Image.fromarray(pixels).convert("CMYK"))
    return (pixels @ _LUMA).round().astype(pixels.dtype)[..., None]
