"""The pixels of image files of every kind, as exact as the file stores them: one reader for all commands.

Pillow reads what has 8 bits a channel and 16-bit grey, OpenCV 16-bit PNGs in colour, `tiff` the TIFFs that Pillow
would round.
"""

import contextlib
import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import (  # noqa: F401 (each registers its format)
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    MpoImagePlugin,
    PcxImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    PsdImagePlugin,
    QoiImagePlugin,
    SgiImagePlugin,
    TgaImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from glcic_jax.data import tiff
from glcic_jax.data.orientation import exif_orientation, turn_upright

MAX_PIXELS = 2**28
"""More are refused unless asked for: phones take 200 million, and files of a few bytes claim far more."""

# Those that photographs come in. Left out are what other programs would have to be started for, and what has no
# signature; TGA, which has hardly any, is the last to be tried.
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "DIB", "PPM", "JPEG2000", "AVIF", "HEIF", "PSD", "PCX", "SGI",
            "QOI", "TGA")  # fmt: skip

_MODES = ("L", "LA", "RGB", "RGBA", "CMYK")


class ImageError(ValueError):
    """Bytes that are no readable image; the message is the reason."""


@dataclass(frozen=True)
class Pixels:
    """The pixels of an image file.

    samples: uint8 or uint16 (H, W, C), as stored; those of TIFF files upright.
    mode: the channels as Pillow names them: L, LA, RGB, RGBA or CMYK.
    orientation: EXIF's, by which `samples` are to be turned; 1 = upright.
    white: the sample that means white: 255 or 65535, but 4095 where 16 bits hold 12.
    premultiplied: whether the alpha channel is multiplied into the colours, as a TIFF may have it.
    converted_from: the mode of the file where `mode` is another one (P, LAB, ...): its colour profile says nothing of
        these samples. Empty where they are the file's own.
    source: Pillow's image of the file, for what it says beside the pixels.
    """

    samples: np.ndarray
    mode: str
    orientation: int
    white: int
    premultiplied: bool
    converted_from: str
    source: Image.Image

    @property
    def upright(self) -> np.ndarray:
        """A view of the samples, turned upright."""
        return turn_upright(self.samples, self.orientation)

    def rgb(self, white_paper: bool = True) -> np.ndarray:
        """Upright RGB (H, W, 3) as deep as the samples, with white at the top of their range.

        What is transparent shows the paper behind it, white or black.
        """
        top = int(np.iinfo(self.samples.dtype).max)
        samples = self.upright
        if self.white != top:
            samples = rescale(samples, self.white, top)
        if self.mode == "CMYK":
            return _rgb_of_cmyk(samples)
        colors = samples[..., :3] if self.mode.startswith("RGB") else samples[..., :1].repeat(3, -1)
        if not self.mode.endswith("A"):
            return colors
        return on_paper(colors, samples[..., -1], self.premultiplied, top if white_paper else 0)

    def rgb8(self, white_paper: bool = True) -> np.ndarray:
        """That as uint8."""
        rgb = self.rgb(white_paper)
        return np.ascontiguousarray(rgb if rgb.dtype == np.uint8 else rescale(rgb, 65535, 255))


def read_pixels(data: bytes, max_pixels: int = MAX_PIXELS) -> Pixels:
    """The pixels in the bytes of a file. Raises: ImageError with the reason."""
    return decode_pixels(open_image(data, max_pixels), data)


def open_image(data: bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Pillow's image of the bytes of a file, of which only the beginning has been read.

    Raises: ImageError with the reason, also where its header claims more than `max_pixels`.
    """
    if not data:
        raise ImageError("the file is empty")
    with _as_image_errors():
        image = _identified(data)
        if _is_raw_photograph(image, data):
            raise ImageError("a camera's raw file, which has to be developed first; export it as JPEG, PNG or TIFF")
        if image is None:
            raise ImageError(_why_unknown(data))
        width, height = image.size
        if width * height > max_pixels:
            raise ImageError(f"{width} x {height} px, more than {max_pixels / 1e6:,.0f} megapixels")
        return image


def decode_pixels(image: Image.Image, data: bytes) -> Pixels:
    """The pixels of what `open_image` made of `data`. Raises: ImageError with the reason."""
    with _as_image_errors():
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            return _tiff_pixels(image, data)
        image.load()
        if image.format == "PNG" and image.mode in ("1", "L") and _has_level(image):
            # Pillow scales samples of 2 and 4 bits to 8, but not the level that is transparent. That of one bit it
            # scales since version 12.1.
            level = image.info["transparency"]
            image.info["transparency"] = 255 * (level > 0) if image.mode == "1" else level * 255 // (2 ** data[24] - 1)
        orientation = exif_orientation(image.info)
        if image.format == "PNG" and data[24] == 16 and not image.mode.startswith("I"):  # Pillow gives the high bytes
            return _pixels(image, *_deep_png(data, image), orientation=orientation)
        return _pixels(image, *_of_pillow(image), orientation=orientation)


def rescale(samples: np.ndarray, white: int, top: int) -> np.ndarray:
    """Samples whose white is `white`, in a range whose white is `top`, rounded to the nearest; uint8 up to 255."""
    wide = np.minimum(samples, white).astype(np.uint32)
    wide = (wide * np.uint32(top) + np.uint32(white // 2)) // np.uint32(white)
    narrow: np.ndarray = wide.astype(np.uint8 if top <= 255 else np.uint16)
    return narrow


def on_paper(colors: np.ndarray, alpha: np.ndarray, premultiplied: bool, paper: int) -> np.ndarray:
    """Colours (H, W, C) as they look under their alpha (H, W), on paper of the level `paper`."""
    top = int(np.iinfo(alpha.dtype).max)
    seen_through = alpha < top
    share = alpha[seen_through, None].astype(np.uint64)
    over = colors[seen_through].astype(np.uint64)
    mixed = np.minimum(over, share) * top if premultiplied else over * share
    colors = colors.copy()
    colors[seen_through] = (mixed + paper * (top - share) + top // 2) // top
    return colors


@contextlib.contextmanager
def _as_image_errors() -> Iterator[None]:
    """Turns whatever damaged files raise, which is almost anything, into ImageError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of harmless oddities; what matters raises
            yield
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(str(error) or type(error).__name__) from error


def _identified(data: bytes) -> Image.Image | None:
    """By the signatures of known formats; `Image.open` would refuse what phones take, by a limit of all programs."""
    if _is_heif(data):
        _register_heif()
    for name in _FORMATS:
        factory, accept = Image.OPEN.get(name, (None, None))
        if name == "TIFF":
            factory = tiff.TiffFile
        if factory is not None and (accept is None or accept(data[:16]) is True):
            try:
                return factory(io.BytesIO(data), "")
            except (SyntaxError, IndexError, TypeError, KeyError):  # how Pillow says: not of this format
                continue
    return None


def _is_heif(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:12] in (
        b"heic",
        b"heix",
        b"heim",
        b"heis",
        b"hevc",
        b"hevx",
        b"mif1",
        b"msf1",
    )


def _register_heif() -> None:
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()


def _is_raw_photograph(image: Image.Image | None, data: bytes) -> bool:
    """Whether it is a camera's raw file: the first picture in those, which readers of TIFF would take, is a preview."""
    if data[8:10] == b"CR" or data[:4] in (b"IIRO", b"IIRS", b"IIU\0") or data[:15] == b"FUJIFILMCCD-RAW":
        return True
    return isinstance(image, TiffImagePlugin.TiffImageFile) and tiff.is_raw(image.tag_v2)


def _why_unknown(data: bytes) -> str:
    if _is_heif(data) and "HEIF" in Image.OPEN:
        return "a HEIC photograph that cannot be decoded; save it as JPEG"
    if _is_heif(data):
        return "a HEIC photograph, as iPhones take them; pip install pillow-heif to have it read, or save it as JPEG"
    if data[:2] == b"\xff\x0a" or data[4:8] == b"JXL ":
        return "a JPEG XL image, which is not read here; save it as JPEG, PNG or TIFF"
    return "not an image, or of an unknown kind"


def _tiff_pixels(image: TiffImagePlugin.TiffImageFile, data: bytes) -> Pixels:
    directory = image.tag_v2
    orientation = directory.get(274, 1)
    orientation = orientation if orientation in range(1, 9) else 1
    if layout := tiff.layout_of(directory):
        samples = turn_upright(tiff.read_samples(data, directory, layout), orientation)
        return _pixels(image, samples, layout.mode, premultiplied=layout.premultiplied)
    image.getexif()[274] = orientation  # which Pillow would else look for in XMP, unlike all viewers
    image.load()  # turns it upright, too
    samples, mode = _of_pillow(image)
    white = tiff.white_level(directory)
    if white is None or samples.max(initial=0) > white:
        white = _white_of(samples)
    if samples.dtype == np.uint16 and directory.get(262) == 0:  # 0 is white; of 8 bits Pillow itself turns it round
        samples = white - samples
    return _pixels(image, samples, mode, white=white)


def _of_pillow(image: Image.Image) -> tuple[np.ndarray, str]:
    """Samples and their mode, of an image that is loaded."""
    mode = image.mode
    if mode == "F":
        raise ImageError("floating-point pixels, whose range is not known; save it with 16 bits a channel")
    if mode.startswith("I"):
        return _deep_grey(image)
    transparent = image.has_transparency_data
    if mode not in _MODES or (transparent and not mode.endswith("A")):
        grey_only = mode in ("1", "L", "La")
        image = image.convert(("L" if grey_only else "RGB") + ("A" if transparent else ""))
    samples = np.array(image)
    return samples.reshape(*samples.shape[:2], -1), image.mode


def _deep_grey(image: Image.Image) -> tuple[np.ndarray, str]:
    grey = np.asarray(image)
    low, high = int(grey.min(initial=0)), int(grey.max(initial=0))
    if low < 0 or high > 65535:
        raise ImageError(f"integers from {low} to {high}, of which nobody knows what is white; save it with 16 bits")
    samples = grey.astype(np.uint16)[..., None]
    return _with_clear_level(samples, [image.info["transparency"]], "L") if _has_level(image) else (samples, "L")


def _has_level(image: Image.Image) -> bool:
    return isinstance(image.info.get("transparency"), int | tuple)


def _with_clear_level(samples: np.ndarray, level: Sequence[int], mode: str) -> tuple[np.ndarray, str]:
    """With an alpha channel, 0 where the samples are of the level that the file calls transparent."""
    alpha = np.where((samples == np.array(level)).all(-1, keepdims=True), 0, 65535).astype(np.uint16)
    return np.concatenate([samples, alpha], -1), mode + "A"


def _deep_png(data: bytes, image: Image.Image) -> tuple[np.ndarray, str]:
    """16-bit colour, or grey with alpha."""
    deep = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if deep is None or deep.dtype != np.uint16 or deep.ndim != 3 or deep.shape[:2] != image.size[::-1]:
        raise ImageError("16-bit pixels of a kind that OpenCV cannot decode")
    if deep.shape[-1] == 4:
        return (deep[..., [0, 3]], "LA") if data[25] == 4 else (deep[..., [2, 1, 0, 3]], "RGBA")
    samples = deep[..., ::-1]
    return _with_clear_level(samples, image.info["transparency"], "RGB") if _has_level(image) else (samples, "RGB")


def _rgb_of_cmyk(samples: np.ndarray) -> np.ndarray:
    """Without a profile, as Pillow does it: what neither ink covers."""
    top = np.uint32(np.iinfo(samples.dtype).max)
    paper = top - samples.astype(np.uint32)
    return ((paper[..., :3] * paper[..., 3:] + top // 2) // top).astype(samples.dtype)


def _pixels(
    image: Image.Image,
    samples: np.ndarray,
    mode: str,
    orientation: int = 1,
    white: int | None = None,
    premultiplied: bool = False,
) -> Pixels:
    own = mode == image.mode or samples.dtype == np.uint16
    if white is None:
        white = _white_of(samples)
    return Pixels(samples, mode, orientation, white, premultiplied, "" if own else image.mode, image)


def _white_of(samples: np.ndarray) -> int:
    """What means white among samples (..., uint8 or uint16) of which no file says it.

    No photograph in 16 bits stays below a sixteenth of white: that is a camera's or scanner's 12 bits, or a picture of
    8 bits that was only stored in 16.
    """
    if samples.dtype == np.uint8:
        return 255
    highest = samples.max(initial=0)
    return next(white for white in (255, 4095, 65535) if highest <= white) if highest else 65535
