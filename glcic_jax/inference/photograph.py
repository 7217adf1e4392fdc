"""Photographs that are changed in one place only: all other samples, and what the file says beside them, stay."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from glcic_jax.data.images import read_file
from glcic_jax.data.orientation import turn_upright
from glcic_jax.data.pixels import MAX_PIXELS, ImageError, Pixels, read_pixels, rescale
from glcic_jax.errors import UserError
from glcic_jax.inference.encoding import Encoded, encode, require_encodable
from glcic_jax.system.atomic import atomic_file

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Photograph:
    """A photograph as its file keeps it.

    Fields:
        data: the file's bytes. stored: the samples in them.
        notes: what of the file cannot be kept, for people.
    """

    path: Path
    data: bytes
    stored: Pixels
    notes: list[str] = field(default_factory=list)

    @property
    def alpha(self) -> np.ndarray | None:
        """(H, W), upright, as deep as the samples; None if there is no alpha channel."""
        if not self.stored.mode.endswith("A"):
            return None
        alpha = self.stored.upright[..., -1]
        top = int(np.iinfo(alpha.dtype).max)
        return alpha if self.stored.white == top else rescale(alpha, self.stored.white, top)

    @property
    def pixels(self) -> np.ndarray:
        """Upright RGB (H, W, 3), as deep as the samples; what is transparent shows white, as on paper."""
        return self.stored.rgb()

    def save(self, path: Path, painted: np.ndarray, hole: np.ndarray, opaque: bool = False) -> list[str]:
        """Writes the photograph with other pixels in the hole, in the format of the name, whole or not at all.

        In the file's own format all is kept as it was stored, the orientation too; in another one the picture is
        turned upright, and EXIF, profile and resolution go along.

        Args:
            painted: (H, W, 3) RGB, as `pixels`.
            hole: bool (H, W).
            opaque: whether the hole's alpha is made opaque rather than left as it is.

        Returns: what of the file was left out, for people.
        Raises: UserError.

        """
        require_encodable(path)
        encoded = self.encode(path.suffix, painted, hole, opaque)
        with atomic_file(path, readable_like=self.path) as partial:
            partial.write_bytes(encoded.data)
        return [f"{self.path}: {note}" for note in encoded.notes]

    def encode(self, suffix: str, painted: np.ndarray, hole: np.ndarray, opaque: bool = False) -> Encoded:
        """What `save` writes to a name that ends so. Raises: UserError if the format cannot hold the picture."""
        samples = self.stored.samples.copy()
        _paint(replace(self.stored, samples=samples), painted, hole, opaque)
        return encode(replace(self.stored, samples=samples), suffix, self.data)


def read_photograph(path: Path, max_pixels: int = MAX_PIXELS) -> Photograph:
    """Opens a photograph of any kind. Raises: UserError naming the file."""
    try:
        return parse_photograph(read_file(path), path, max_pixels)
    except ImageError as error:
        raise UserError(f"cannot read the photograph {path}: {error}; give another file") from error


def parse_photograph(data: bytes, path: Path, max_pixels: int = MAX_PIXELS) -> Photograph:
    """The same from the bytes of a file, of which `path` is only the name. Raises: ImageError with the reason."""
    stored = read_pixels(data, max_pixels)
    frames = _count_pictures(stored.source)
    notes = [f"{path} holds {frames} pictures; only the first is completed and kept"] if frames > 1 else []
    if stored.converted_from in ("LAB", "HSV", "YCbCr"):
        notes.append(f"{path} holds {stored.converted_from} colours; the result holds RGB")
    return Photograph(path, data, stored, notes)


def _count_pictures(source: Image.Image) -> int:
    try:
        return int(getattr(source, "n_frames", 1))
    except Exception:  # whatever a damaged later picture raises: the first one is there
        return 1


def _paint(stored: Pixels, painted: np.ndarray, hole: np.ndarray, opaque: bool) -> None:
    """Puts RGB (H, W, 3) into the samples where the hole is."""
    shown = turn_upright(stored.samples, stored.orientation)
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    part, inside = shown[box], hole[box]
    colors = _from_rgb(painted[box][inside], stored.mode)
    top = int(np.iinfo(stored.samples.dtype).max)
    if stored.white != top:
        colors = rescale(colors, top, stored.white)
    if stored.mode.endswith("A"):
        alpha = part[..., -1]
        if opaque:
            alpha[inside] = stored.white
        else:
            colors = _under_alpha(colors, alpha[inside][:, None], stored.white, stored.premultiplied)
    part[..., : colors.shape[-1]][inside] = colors


def _under_alpha(shown: np.ndarray, alpha: np.ndarray, top: int, premultiplied: bool) -> np.ndarray:
    """Colours (N, C) that look as `shown` on white paper under an alpha (N, 1), as nearly as that can be."""
    opacity = alpha.astype(np.int64)
    through = (shown.astype(np.int64) - (top - opacity)).clip(0, opacity)  # what is left once the paper shows through
    if not premultiplied:
        through = np.where(opacity > 0, (through * top + opacity // 2) // np.maximum(opacity, 1), shown)
    return through.astype(shown.dtype)


def _from_rgb(pixels: np.ndarray, mode: str) -> np.ndarray:
    """RGB (N, 3) in the colours of `mode`, without alpha: (N, C)."""
    if mode.startswith("RGB"):
        return pixels
    if mode == "CMYK":
        levels = pixels if pixels.dtype == np.uint8 else rescale(pixels, 65535, 255)
        inks = np.asarray(Image.fromarray(np.ascontiguousarray(levels[None])).convert("CMYK"))[0]
        return inks if pixels.dtype == np.uint8 else rescale(inks, 255, 65535)
    return np.asarray((pixels @ _LUMA).round().astype(pixels.dtype)[..., None])
