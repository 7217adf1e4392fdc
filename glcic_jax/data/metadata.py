"""What image files carry beside pixels, taken over verbatim: JPEG segments, PNG chunks, TIFF tags."""

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin, TiffTags

# Of PNG's own chunks these describe colours and survive a change of pixels. For others the fourth letter decides:
# lower case means that an editor may copy the chunk without knowing it (PNG specification, 5.4).
_PNG_COLOR = {b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP"}
_PNG_SAME_SAMPLES = {b"sBIT", b"bKGD"}
# TIFF tags that say how pixels are laid out; a new file has its own.
_TIFF_LAYOUT = {
    254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 280, 281, 284, 290, 291, 292, 293, 301, 317, 318,
    319, 320, 321, 322, 323, 324, 325, 330, 338, 339, 340, 341, 347, *range(512, 522), 529, 530, 531, 532,
}  # fmt: skip
_TIFF_PHOTOMETRIC = {"L": 1, "LA": 1, "RGB": 2, "RGBA": 2, "CMYK": 5}


def graft_jpeg(encoded: bytes, source: bytes) -> bytes:
    """A JPEG with the application segments (EXIF, ICC, XMP, IPTC, JFIF) and comments of another one."""

    def belongs_to_pixels(marker: int, body: bytes) -> bool:
        return marker == 0xEE or body.startswith(b"MPF\0")  # Adobe's colour transform; a list of further pictures

    def describes(marker: int) -> bool:
        return 0xE0 <= marker <= 0xEF or marker == 0xFE

    kept = [s for s in _segments(source) if describes(s[0]) and not belongs_to_pixels(*s)]
    own = list(_segments(encoded))
    head = [s for s in own if not describes(s[0]) or s[0] == 0xEE]
    scan = 2 + sum(4 + len(body) for _, body in own)
    parts = [struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in kept + head]
    return b"".join([encoded[:2], *parts, encoded[scan:]])


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and body of each segment in front of the compressed pixels."""
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0xDA:
        if data[place + 1] == 0xFF:  # a fill byte
            place += 1
            continue
        (length,) = struct.unpack_from(">H", data, place + 2)
        yield data[place + 1], data[place + 4 : place + 2 + length]
        place += 2 + length


def graft_png(encoded: bytes, source: bytes) -> bytes:
    """A PNG with the colour, resolution, EXIF, text and private chunks of another one."""
    own = list(_chunks(encoded))
    same_samples = own[0][1][8:10] == next(_chunks(source))[1][8:10]  # bit depth and colour type
    kept = [
        (kind, body)
        for kind, body in _chunks(source)
        if kind[:1].islower()
        and (kind[3:].islower() or kind in _PNG_COLOR or (same_samples and kind in _PNG_SAME_SAMPLES))
    ]
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in [own[0], *kept, *own[1:]]
    ]
    return b"".join([encoded[:8], *parts])


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 8
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        yield data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        place += 12 + length


def tiff(samples: np.ndarray, mode: str, source: Image.Image, compress: bool) -> bytes:
    """A TIFF file of uint8 or uint16 samples (H, W, C), with the tags of another image where it has such.

    Pillow writes 16-bit grey only, hence this one: a single strip, uncompressed or deflated (differences along rows).
    """
    height, width, channels = samples.shape
    tags: dict[int, Any] = dict(_described(source))
    little = samples.astype(samples.dtype.newbyteorder("<"))
    if compress:
        little[:, 1:] -= samples[:, :-1].astype(little.dtype)
        data = zlib.compress(little.tobytes(), 6)
        tags[317] = 2
    else:
        data = little.tobytes()
    tags |= {
        256: width, 257: height, 258: (samples.itemsize * 8,) * channels, 259: 8 if compress else 1,
        262: _TIFF_PHOTOMETRIC[mode], 277: channels, 278: height, 284: 1, 339: (1,) * channels,
    }  # fmt: skip
    if mode.endswith("A"):
        tags[338] = 2  # alpha, not multiplied into the colours
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    known_types = getattr(getattr(source, "tag_v2", None), "tagtype", {})
    for tag, value in sorted(tags.items()):
        directory[tag] = value
        if tag in known_types and tag not in _TIFF_LAYOUT:
            directory.tagtype[tag] = known_types[tag]
    directory[TiffImagePlugin.STRIPBYTECOUNTS] = len(data)
    directory[TiffImagePlugin.STRIPOFFSETS] = 0  # Pillow adds where the directory ends
    head = b"II\x2a\0\x08\0\0\0"
    return head + directory.tobytes(len(head)) + data


def _described(source: Image.Image) -> Iterator[tuple[int, Any]]:
    """Tags of a TIFF's directory, or of another file's EXIF block, resolution and profile."""
    exif = source.getexif()
    for tag in exif:
        if tag in TiffTags.TAGS_V2_GROUPS:
            if directory := dict(exif.get_ifd(tag)):
                yield tag, directory
        elif tag not in _TIFF_LAYOUT:
            yield tag, exif[tag]
    if dpi := source.info.get("dpi"):
        yield from ((282, dpi[0]), (283, dpi[1]), (296, 2))
    if profile := source.info.get("icc_profile"):
        yield 34675, profile
