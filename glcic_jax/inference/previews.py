"""Small copies of a photograph inside its own metadata: taken out, since they still show what was removed.

EXIF keeps its length and every other byte its place, because makers' notes point to bytes by their distance.
"""

import re
import struct

_PHOTOSHOP = b"Photoshop 3.0\0"
_PHOTOSHOP_SIGNATURES = (b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR")
_PHOTOSHOP_THUMBNAILS = (1033, 1036)
_XMP_PICTURES = re.compile(
    rb"<(\w+:Thumbnails|xmpGImg:image|G(?:Image|Depth|Audio):Data)\b[^>]*?(?:/>|>.*?</\1\s*>)"
    rb"|\s(?:xmpGImg:image|G(?:Image|Depth|Audio):Data|xmpNote:HasExtendedXMP)=(?:\"[^\"]*\"|'[^']*')",
    re.DOTALL,
)
_JPEG_START = re.compile(rb"\xff\xd8\xff[\xc0-\xc4\xdb\xdd\xe0-\xef\xfe]")
_JPEG_END = b"\xff\xd9"
_FIRST_STRIP, _STRIP_BYTES, _JPEG_PLACE, _JPEG_BYTES = 273, 279, 513, 514


def clear_exif(block: bytes) -> bytes:
    """An EXIF block, with or without its "Exif" head, without its thumbnail and the pictures in makers' notes."""
    head = 6 if block[:6] == b"Exif\0\0" else 0
    cleared = bytearray(block)
    order = {b"II": "<", b"MM": ">"}.get(block[head : head + 2])
    if order is not None:
        _clear_second_directory(cleared, head, order)
    return clear_jpegs(bytes(cleared))


def clear_jpegs(data: bytes) -> bytes:
    """The bytes with zeros in place of every JPEG in them."""
    cleared, place = bytearray(data), 0
    while (start := _JPEG_START.search(data, place)) is not None:
        end = data.find(_JPEG_END, start.end())
        if end < 0:
            break
        place = end + 2
        cleared[start.start() : place] = bytes(place - start.start())
    return bytes(cleared)


def clear_photoshop(resources: bytes) -> bytes:
    """Photoshop's image resources without the thumbnails; damaged ones end where they break off."""
    kept, place = [], 0
    while place + 12 <= len(resources) and resources[place : place + 4] in _PHOTOSHOP_SIGNATURES:
        (number,) = struct.unpack_from(">H", resources, place + 4)
        name = 1 + resources[place + 6]
        start = place + 6 + name + name % 2
        if start + 4 > len(resources):
            break
        (size,) = struct.unpack_from(">I", resources, start)
        end = start + 4 + size + size % 2
        if number not in _PHOTOSHOP_THUMBNAILS:
            kept.append(resources[place:end])
        place = end
    return b"".join(kept)


def clear_xmp(packet: bytes) -> bytes:
    """An XMP packet without thumbnails and without the pictures that phones hide in it."""
    return _XMP_PICTURES.sub(b"", packet)


def clear_jpeg_segments(segments: list[tuple[int, bytes]]) -> tuple[list[tuple[int, bytes]], list[str]]:
    """A JPEG's application segments without pictures; and what was taken out, in words."""
    kept: list[tuple[int, bytes]] = []
    removed: dict[str, None] = {}
    for marker, body in segments:
        cleared = _clear_segment(marker, body)
        if cleared != body:
            removed[_name_of(marker, body)] = None
        if cleared is not None:
            kept.append((marker, cleared))
    photoshop = b"".join(body[len(_PHOTOSHOP) :] for marker, body in kept if _is_photoshop(marker, body))
    if photoshop != (cleared_photoshop := clear_photoshop(photoshop)):
        removed["Photoshop's thumbnail"] = None
        kept = [(marker, body) for marker, body in kept if not _is_photoshop(marker, body)]
        most = 65533 - len(_PHOTOSHOP)
        parts = [cleared_photoshop[at : at + most] for at in range(0, len(cleared_photoshop), most)]
        kept += [(0xED, _PHOTOSHOP + part) for part in parts]
    return kept, list(removed)


def _clear_segment(marker: int, body: bytes) -> bytes | None:
    if marker == 0xE0 and body.startswith(b"JFIF\0"):
        return body if len(body) <= 14 else body[:12] + b"\0\0"
    if marker == 0xE0 and body.startswith(b"JFXX\0"):  # nothing but a thumbnail
        return None
    if marker == 0xE1 and body.startswith(b"Exif\0"):
        return clear_exif(body)
    if marker == 0xE1 and body.startswith(b"http://ns.adobe.com/xmp/extension/"):  # pieces of a packet, pictures mostly
        return None
    if marker == 0xE1 and body.startswith(b"http://ns.adobe.com/xap/"):
        return clear_xmp(body)
    if marker == 0xE2 and body.startswith((b"FPXR\0", b"MPF\0")):
        return None
    if marker == 0xEB and body.startswith(b"JP"):  # JUMBF: content credentials, with a thumbnail, of the old pixels
        return None
    return body if marker == 0xE2 or _is_photoshop(marker, body) else clear_jpegs(body)


def _name_of(marker: int, body: bytes) -> str:
    if marker == 0xE0:
        return "JFIF's thumbnail"
    if body.startswith(b"Exif\0"):
        return "EXIF's thumbnail"
    if marker == 0xEB:
        return "content credentials"
    return "pictures in its XMP" if b"ns.adobe.com" in body[:40] else "a preview"


def _is_photoshop(marker: int, body: bytes) -> bool:
    return marker == 0xED and body.startswith(_PHOTOSHOP)


def _clear_second_directory(block: bytearray, head: int, order: str) -> None:
    """Unlinks the directory that describes the thumbnail, and zeroes it with what it points to."""
    link = _link_after(block, head, order, head + 4)
    if link is None:
        return
    (start,) = struct.unpack_from(order + "I", block, link)
    block[link : link + 4] = bytes(4)
    place = head + start
    if not start or place + 2 > len(block):
        return
    (count,) = struct.unpack_from(order + "H", block, place)
    values: dict[int, int] = {}
    for entry in range(place + 2, min(place + 2 + 12 * count, len(block) - 11), 12):
        tag, kind = struct.unpack_from(order + "HH", block, entry)
        (values[tag],) = struct.unpack_from(order + ("H" if kind == 3 else "I"), block, entry + 8)
    for where, length in ((_JPEG_PLACE, _JPEG_BYTES), (_FIRST_STRIP, _STRIP_BYTES)):
        if where in values and length in values:
            first = min(head + values[where], len(block))
            last = min(first + values[length], len(block))
            block[first:last] = bytes(last - first)
    end = min(place + 2 + 12 * count + 4, len(block))
    block[place:end] = bytes(end - place)


def _link_after(block: bytearray, head: int, order: str, pointer: int) -> int | None:
    """Where the first directory, to which `pointer` leads, says where the second one begins."""
    if pointer + 4 > len(block):
        return None
    (start,) = struct.unpack_from(order + "I", block, pointer)
    place = head + start
    if place + 2 > len(block):
        return None
    (count,) = struct.unpack_from(order + "H", block, place)
    link = place + 2 + 12 * count
    return link if link + 4 <= len(block) else None
