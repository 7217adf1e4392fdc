"""Image files: uint8 HWC RGB in memory, masks uint8 HW1 with 1 = hole; and images as records of a data set."""

import io
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from glcic_jax.data.jpeg_segments import bare_jpeg
from glcic_jax.data.mask_files import read_marks
from glcic_jax.data.pixels import ImageError, decode_pixels, open_image, read_pixels
from glcic_jax.errors import UserError
from glcic_jax.system.atomic import atomic_file, require_parent

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif", ".ppm", ".pgm",
            ".pbm", ".pnm", ".jp2", ".j2k", ".avif", ".heic", ".heif", ".hif", ".tga", ".jxl", ".dng", ".cr2", ".nef",
            ".arw", ".orf", ".rw2", ".raf")  # fmt: skip
"""File names that are taken for images when a folder or an archive is searched; not all of them can be read."""

_ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")


def decode(data: bytes) -> Image.Image:
    """Upright 8-bit RGB image from the bytes of a file. Raises: ImageError with the reason."""
    return Image.fromarray(read_pixels(data).rgb8())


def is_image_name(name: str) -> bool:
    """Whether a file of that name is taken for an image."""
    return name.lower().endswith(SUFFIXES)


class Record(NamedTuple):
    """An image as shards keep it.

    pixel_sum: of the 8-bit values, exact.
    white: which sample of the file was taken for white; see `Pixels`.
    """

    jpeg: bytes
    height_px: int
    width_px: int
    pixel_sum: tuple[int, int, int]
    white: int = 255


def encode_record(data: bytes, max_short_side_px: int, min_short_side_px: int = 1) -> Record:
    """Proves that an image can be decoded, and makes it an upright 8-bit RGB JPEG of limited size.

    JPEGs that are so already keep their pixels bit by bit, but nothing that is beside them: no place, no thumbnail,
    no video behind the picture. Everything else is encoded at quality 95 without chroma subsampling.

    Raises: ImageError with the reason.
    """
    source = open_image(data)
    # A JPEG may hold more pictures and a TIFF more pages, of which the first counts.
    if source.format in _ANIMATED and getattr(source, "is_animated", False):
        raise ImageError(f"an animation of {source.n_frames} pictures")  # type: ignore[attr-defined]
    if min(source.size) < min_short_side_px:
        raise ImageError(f"only {source.width} x {source.height} px, less than min_short_side_px={min_short_side_px}")
    if is_jpeg := isinstance(source, JpegImageFile):
        side = 2 * max_short_side_px
        source.draft(None, (side, side))  # every byte is read all the same, and eighths of the size are cheap
    pixels = decode_pixels(source, data)
    scale = max_short_side_px / min(pixels.samples.shape[:2])
    try:
        if is_jpeg and scale >= 1 and pixels.orientation == 1 and pixels.mode == "RGB":
            try:
                return Record(bare_jpeg(data), source.height, source.width, _pixel_sum(source))
            except ValueError:  # more between its segments than decoders need: encoded anew
                pass
        image = Image.fromarray(pixels.rgb8())
        if scale < 1:
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            image = image.resize(size, Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=95, subsampling=0)
    except Exception as error:  # a side too long for a JPEG, say
        raise ImageError(str(error) or type(error).__name__) from error
    return Record(buffer.getvalue(), image.height, image.width, _pixel_sum(image), pixels.white)


def _pixel_sum(image: Image.Image) -> tuple[int, int, int]:
    counts = np.array(image.histogram()).reshape(3, 256)  # much faster than adding the pixels up, and as exact
    red, green, blue = (counts @ np.arange(256)).tolist()
    return red, green, blue


def read_image(path: Path) -> np.ndarray:
    """uint8 (H, W, 3) upright RGB. Raises: UserError naming the file."""
    try:
        return read_pixels(read_file(path)).rgb8()
    except ImageError as error:
        raise UserError(f"cannot read the image {path}: {error}; give another file") from error


def read_mask(path: Path) -> np.ndarray:
    """uint8 (H, W, 1), 1 = hole: what is lighter than half the file's range; see `mask_files` for what else is read.

    Raises: UserError naming the file, what was found in it and the option of `complete` that reads it.
    """
    return read_marks(path).marked.astype(np.uint8)[..., None]


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


class _WriteOptions(TypedDict, total=False):
    """Pillow's, of one format."""

    quality: int
    subsampling: int
    lossless: bool


_JPEG: _WriteOptions = {"quality": 95, "subsampling": 0}
_WRITE_OPTIONS: dict[str, _WriteOptions] = {
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
