"""What image files carry beside pixels, taken over verbatim: JPEG segments, PNG chunks, TIFF tags.

What is taken out is said: small copies of the photograph, which show what was removed, and what libraries cannot read.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin, TiffTags

from glcic_jax.data.pixels import Pixels
from glcic_jax.inference.previews import clear_exif, clear_jpeg_segments, clear_jpegs, clear_photoshop, clear_xmp

# Of PNG's own chunks these describe colours and survive a change of pixels. For others the fourth letter decides:
# lower case means that an editor may copy the chunk without knowing it (PNG specification, 5.4).
_PNG_COLOR = {b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"mDCV", b"cLLI"}
_PNG_SAME_SAMPLES = {b"sBIT", b"bKGD"}
_PNG_TEXT = {b"tEXt", b"zTXt", b"iTXt"}
_PNG_PICTURES = {b"prVW", b"mkBF", b"mkBS", b"mkBT", b"mkTS"}  # Fireworks keeps a preview and all layers in these
_HEX_JPEG = (b"ffd8ff", b"FFD8FF")
# TIFF tags that say how pixels are laid out; a new file has its own.
_TIFF_LAYOUT = {
    254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 280, 281, 284, 290, 291, 292, 293, 301, 317, 318,
    319, 320, 321, 322, 323, 324, 325, 330, 338, 339, 340, 341, 347, *range(512, 522), 529, 530, 531, 532,
}  # fmt: skip
_TIFF_PHOTOMETRIC = {"L": 1, "LA": 1, "RGB": 2, "RGBA": 2, "CMYK": 5}
_XMP, _IPTC, _PHOTOSHOP, _ICC, _LAYERS, _LAYERS_ANNOTATIONS = 700, 33723, 34377, 34675, 37724, 50255
_MAKER_NOTE, _EXIF_DIRECTORY, _ORIENTATION = 37500, 34665, 274
_TYPE_UNDEFINED = 7


def graft_jpeg(encoded: bytes, source: bytes) -> tuple[bytes, list[str]]:
    """A JPEG with the application segments (EXIF, ICC, XMP, IPTC, JFIF) and comments of another one; and notes."""

    def describes(marker: int) -> bool:  # 0xEE is how the colours are stored, which belongs to the pixels
        return (0xE0 <= marker <= 0xEF and marker != 0xEE) or marker == 0xFE

    kept, removed = clear_jpeg_segments([s for s in _segments(source) if describes(s[0])])
    own = list(_segments(encoded))
    head = [s for s in own if not describes(s[0])]
    scan = 2 + sum(4 + len(body) for _, body in own)
    parts = [struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in kept + head]
    return b"".join([encoded[:2], *parts, encoded[scan:]]), [_say_left_out(name) for name in removed]


def _say_left_out(name: str) -> str:
    return f"{name} shows it as it was, and was left out"


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and body of each segment in front of the compressed pixels."""
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0xDA:
        if data[place + 1] == 0xFF:  # a fill byte
            place += 1
            continue
        (length,) = struct.unpack_from(">H", data, place + 2)
        yield data[place + 1], data[place + 4 : place + 2 + length]
        place += 2 + max(length, 2)


def graft_png(encoded: bytes, source: bytes, keep_profile: bool) -> tuple[bytes, list[str]]:
    """A PNG with the colour, resolution, EXIF, text and private chunks of another one; and notes."""
    own = list(_chunks(encoded))
    same_samples = own[0][1][8:10] == next(_chunks(source))[1][8:10]  # bit depth and colour type
    kept, notes = [], []
    for kind, body in _chunks(source):
        if kind in _PNG_PICTURES:
            notes.append(_say_left_out(f"its {kind.decode()}"))
            continue
        copied = kind[:1].islower() and (
            kind[3:].islower() or (kind in _PNG_COLOR and keep_profile) or (same_samples and kind in _PNG_SAME_SAMPLES)
        )
        if not copied:
            continue
        cleared = _clear_chunk(kind, body)
        if cleared != body:
            notes.append(_say_left_out({b"eXIf": "EXIF's thumbnail"}.get(kind, f"a picture in its {kind.decode()}")))
        if cleared is not None:
            kept.append((kind, cleared))
    return b"".join([encoded[:8], *(png_chunk(*chunk) for chunk in [own[0], *kept, *own[1:]])]), notes


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk as it stands in a file."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _clear_chunk(kind: bytes, body: bytes) -> bytes | None:
    """A chunk without small copies of the picture; None if it is one."""
    if kind == b"eXIf":
        return clear_exif(body)
    if kind in _PNG_TEXT:
        keyword = body.partition(b"\0")[0]
        if keyword.startswith(b"Raw profile type ") and any(start in _text_of(kind, body) for start in _HEX_JPEG):
            return None
        return clear_xmp(body) if keyword == b"XML:com.adobe.xmp" else body
    return clear_jpegs(body)


def _text_of(kind: bytes, body: bytes) -> bytes:
    """The text of a raw profile, without the line breaks that could part what is looked for; at most 16 MiB."""
    text = body.partition(b"\0")[2]
    if kind == b"zTXt":
        try:
            text = zlib.decompressobj().decompress(text[1:], 1 << 24)
        except zlib.error:
            return b""
    return text.replace(b"\n", b"")


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 8
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        yield data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        place += 12 + length


def exif_of_upright(source: Image.Image, notes: list[str]) -> bytes:
    """The EXIF block for the picture turned upright, empty if there is none; adds what is lost to `notes`."""
    try:
        exif = source.getexif()
        exif.pop(_ORIENTATION, None)
        return exif.tobytes() if len(exif) else b""
    except Exception as error:  # odd values raise almost anything in Pillow
        notes.append(f"its EXIF cannot be read ({error}) and was left out")
        return b""


def resolution_of(source: Image.Image) -> tuple[float, float] | None:
    """Pixels per inch across and down; None where the file does not tell, or tells nonsense."""
    try:
        across, down = (float(value) for value in source.info.get("dpi", ()))
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        return None
    return (across, down) if 0 < across < 1e6 and 0 < down < 1e6 else None


def profile_of(source: Image.Image) -> bytes | None:
    """The colour profile, if there is one."""
    profile = source.info.get("icc_profile")
    return profile if isinstance(profile, bytes) and profile else None


def write_tiff(stored: Pixels, same: bool) -> tuple[bytes, list[str]]:
    """A TIFF file of uint8 or uint16 samples, with the tags of the image that they come from; and notes.

    Pillow writes 16-bit grey only, hence this one: a single strip, uncompressed or, if the other file was a compressed
    TIFF, deflated (differences along rows).
    """
    source, samples = stored.source, stored.samples
    height, width, channels = samples.shape
    compress = same and source.info.get("compression", "raw") != "raw"
    little = samples.astype(samples.dtype.newbyteorder("<"))
    tags: dict[int, Any] = {}
    if compress:
        little[:, 1:] -= samples[:, :-1].astype(little.dtype)
        data = zlib.compress(little.tobytes(), 6)
        tags[317] = 2
    else:
        data = little.tobytes()
    tags |= {
        256: width, 257: height, 258: (samples.itemsize * 8,) * channels, 259: 8 if compress else 1,
        262: _TIFF_PHOTOMETRIC[stored.mode], 277: channels, 278: height, 284: 1, 339: (1,) * channels,
    }  # fmt: skip
    if stored.white != np.iinfo(samples.dtype).max:
        tags[281] = (stored.white,) * channels
    if stored.mode.endswith("A"):
        tags[338] = 1 if stored.premultiplied else 2
    directory, notes = TiffImagePlugin.ImageFileDirectory_v2(), list[str]()
    for tag, value in sorted((_describe(stored, notes) | tags).items()):
        _set_tag(directory, tag, value, source, notes)
    directory[TiffImagePlugin.STRIPBYTECOUNTS] = len(data)
    directory[TiffImagePlugin.STRIPOFFSETS] = 0  # Pillow adds where the directory ends
    head = b"II\x2a\0\x08\0\0\0"
    return head + directory.tobytes(len(head)) + data, notes


def _set_tag(
    directory: TiffImagePlugin.ImageFileDirectory_v2, tag: int, value: Any, source: Image.Image, notes: list[str]
) -> None:
    """Adds a tag if it can be written: odd values raise almost anything in Pillow."""
    known_types = getattr(getattr(source, "tag_v2", None), "tagtype", {})
    for target in (TiffImagePlugin.ImageFileDirectory_v2(), directory):  # first where it can do no harm
        try:
            target[tag] = value
            if tag in known_types and tag not in _TIFF_LAYOUT:
                target.tagtype[tag] = known_types[tag]
            if target is not directory:
                target.tobytes(8)
        except Exception as error:
            notes.append(f"its tag {tag} cannot be written ({error or type(error).__name__}) and was left out")
            return


def _describe(stored: Pixels, notes: list[str]) -> dict[int, Any]:
    """Tags of a TIFF's directory, or of another file's EXIF block, resolution and profile."""
    source, tags = stored.source, dict[int, Any]()
    try:
        exif = source.getexif()
        names = list(exif)
    except Exception as error:
        notes.append(f"its EXIF cannot be read ({error}) and was left out")
        names = []
    for tag in names:
        if tag in (_LAYERS, _LAYERS_ANNOTATIONS):
            notes.append(_say_left_out("its layers of Photoshop" if tag == _LAYERS else "a layer of Photoshop"))
            continue
        if tag in _TIFF_LAYOUT:
            continue
        try:
            value = dict(exif.get_ifd(tag)) if tag in TiffTags.TAGS_V2_GROUPS else exif[tag]
        except Exception as error:
            notes.append(f"its tag {tag} cannot be read ({error}) and was left out")
            continue
        if value != {}:
            tags[tag] = _clear_tag(tag, value, notes)
    if dpi := resolution_of(source):
        tags |= {282: dpi[0], 283: dpi[1], 296: 2}
    if profile := profile_of(source):
        tags[_ICC] = profile
    other_colors = stored.converted_from == "LAB" or (source.mode == "CMYK") != (stored.mode == "CMYK")
    if other_colors and tags.pop(_ICC, None):
        notes.append("its colour profile, which is of other colours, was left out")
    return tags


def _clear_tag(tag: int, value: Any, notes: list[str]) -> Any:
    """A tag's value without small copies of the picture."""
    if isinstance(value, dict):
        return {inner: _clear_tag(inner, one, notes) for inner, one in value.items()}
    if not isinstance(value, bytes):
        return value
    clear = {_XMP: clear_xmp, _PHOTOSHOP: clear_photoshop, _MAKER_NOTE: clear_jpegs}.get(tag)
    if clear is None or (cleared := clear(value)) == value:
        return value
    name = {_XMP: "a picture in its XMP", _PHOTOSHOP: "Photoshop's thumbnail"}.get(tag, "a picture in its maker's note")
    notes.append(_say_left_out(name))
    return cleared
