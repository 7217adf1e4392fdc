"""Image files: uint8 HWC RGB in memory, masks uint8 HW1 with 1 = hole. Pillow reads what people have."""

import io
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from glcic_jax.atomic import atomic_file, require_parent
from glcic_jax.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm",
            ".jp2", ".avif")  # fmt: skip
"""File names that are taken for images when a folder or an archive is searched."""


_ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")


class ImageError(ValueError):
    """Bytes that are no readable image; the message is the reason."""


def decode(data: bytes) -> Image.Image:
    """Upright 8-bit RGB image from the bytes of a file. Raises: ImageError with the reason."""
    return _upright_rgb(open_image(data))


def is_image_name(name: str) -> bool:
    """Whether a file of that name is taken for an image."""
    return name.lower().endswith(SUFFIXES)


class Record(NamedTuple):
    """An image as shards keep it."""

    jpeg: bytes
    height_px: int
    width_px: int
    pixel_sum: tuple[int, int, int]  # of the 8-bit values, exact


def encode_record(data: bytes, max_short_side_px: int, min_short_side_px: int = 1) -> Record:
    """Proves that an image can be decoded, and makes it an upright 8-bit RGB JPEG of limited size.

    The bytes of JPEGs that are so already are kept; everything else is encoded at quality 95 without chroma
    subsampling.

    Raises: ImageError with the reason.
    """
    source = open_image(data, draft_px=2 * max_short_side_px)
    # A JPEG may hold more pictures and a TIFF more pages, of which the first counts.
    if source.format in _ANIMATED and getattr(source, "is_animated", False):
        raise ImageError(f"an animation of {source.n_frames} pictures")  # type: ignore[attr-defined]
    if min(source.size) < min_short_side_px:
        raise ImageError(f"only {source.width} x {source.height} px, which is below {min_short_side_px}")
    try:
        untouched = source.format == "JPEG" and source.mode == "RGB" and source.getexif().get(0x0112, 1) == 1
        image = source if untouched else _upright_rgb(source)
        scale = max_short_side_px / min(image.size)
        if scale < 1:
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            image, untouched = image.resize(size, Image.Resampling.LANCZOS), False
        if not untouched:
            buffer = io.BytesIO()
            image.info = {}  # comments and profiles may not fit into a JPEG
            image.save(buffer, "JPEG", quality=95, subsampling=0)
            data = buffer.getvalue()
    except Exception as error:  # a side too long for a JPEG, a broken EXIF block, ...
        raise ImageError(str(error) or type(error).__name__) from error
    return Record(data, image.height, image.width, _pixel_sum(image))


def _pixel_sum(image: Image.Image) -> tuple[int, int, int]:
    counts = np.array(image.histogram()).reshape(3, 256)  # much faster than adding the pixels up, and as exact
    red, green, blue = (counts @ np.arange(256)).tolist()
    return red, green, blue


def read_image(path: Path) -> np.ndarray:
    """uint8 (H, W, 3) upright RGB. Raises: UserError naming the file."""
    try:
        return np.array(decode(read_file(path)))
    except ImageError as error:
        raise UserError(f"cannot read the image {path}: {error}; give another file") from error


def read_mask(path: Path) -> np.ndarray:
    """uint8 (H, W, 1), 1 where the file is lighter than mid-grey (above 127). Raises: UserError naming the file."""
    try:
        image = open_image(read_file(path))
        if _transparent(image):  # painted on a transparent layer: only what was painted counts
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
        grey = np.array(_upright_rgb(image).convert("L"))
    except ImageError as error:
        raise UserError(f"cannot read the mask {path}: {error}; give another file") from error
    return (grey > 127).astype(np.uint8)[..., None]


def require_writable(path: Path) -> None:
    """Raises UserError if `write_image` could not write there: before the work, not after it."""
    if path.suffix.lower() not in _WRITE_OPTIONS:
        raise UserError(
            f"cannot write {path}: unknown image type {path.suffix!r}; use one of "
            f"{', '.join(_WRITE_OPTIONS)} (.png keeps every bit)"
        )
    require_parent(path)
    if path.is_dir():
        raise UserError(f"cannot write {path}: it is a folder; give the name of a file")


def write_image(path: Path, image: np.ndarray) -> None:
    """Writes uint8 (H, W, 3) RGB in the format of the name, whole or not at all. Raises: UserError."""
    require_writable(path)
    with atomic_file(path) as partial:
        Image.fromarray(image).save(partial, **_WRITE_OPTIONS[path.suffix.lower()])


_JPEG: dict[str, Any] = {"quality": 95, "subsampling": 0}
_WRITE_OPTIONS: dict[str, dict[str, Any]] = {
    ".png": {},
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": {"lossless": True},
    ".tif": {},
    ".tiff": {},
    ".bmp": {},
}


def read_file(path: Path) -> bytes:
    """The bytes of a file. Raises: ImageError with the reason."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(error.strerror or str(error)) from error


def open_image(data: bytes, draft_px: int | None = None) -> Image.Image:
    """Decoded; a JPEG at a reduced scale whose short side still has `draft_px` or more, if that is given.

    Raises: ImageError with the reason.
    """
    if not data:
        raise ImageError("the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of harmless oddities; what matters raises
            image = Image.open(io.BytesIO(data))
            if draft_px and isinstance(image, JpegImageFile):
                image.draft(None, (draft_px, draft_px))  # every byte is read all the same, and the eighths are cheap
            image.load()
    except UnidentifiedImageError as error:
        raise ImageError("not an image, or of an unknown kind") from error
    except Exception as error:  # damaged files raise almost anything in the decoders
        raise ImageError(str(error) or type(error).__name__) from error
    return image


def _transparent(image: Image.Image) -> bool:
    return "A" in image.getbands() or "transparency" in image.info


def _upright_rgb(image: Image.Image) -> Image.Image:
    try:
        upright = ImageOps.exif_transpose(image)
        if upright.mode == "F":
            raise ImageError("floating-point pixels, whose range is not known")
        if upright.mode.startswith("I"):  # 16-bit grey: keep its high byte
            values = np.asarray(upright, np.float64) / 257
            upright = Image.fromarray(values.round().clip(0, 255).astype(np.uint8))
        if _transparent(upright):
            upright = upright.convert("RGBA")
            page = Image.new("RGBA", upright.size, "white")  # transparent means white, as on paper
            upright = Image.alpha_composite(page, upright)
        return upright.convert("RGB")
    except Exception as error:  # as above: a broken EXIF block, say
        raise ImageError(str(error) or type(error).__name__) from error


def contact_sheet(rows: list[list[np.ndarray]], gap_px: int = 4) -> np.ndarray:
    """Lays images of one size out in rows on white: uint8 (h, w, 3) each -> uint8 (H, W, 3)."""
    h, w, _ = rows[0][0].shape
    columns = max(len(row) for row in rows)
    sheet_shape = (len(rows) * (h + gap_px) + gap_px, columns * (w + gap_px) + gap_px, 3)
    sheet = np.full(sheet_shape, 255, np.uint8)
    for r, row in enumerate(rows):
        for c, image in enumerate(row):
            y, x = gap_px + r * (h + gap_px), gap_px + c * (w + gap_px)
            sheet[y : y + h, x : x + w] = image
    return sheet
