"""What a JPEG carries beside its pixels, taken away without touching them."""

import re

_SCAN, _END = 0xDA, 0xD9
_ADOBE = 0xEE  # how the colours are stored: belongs to the pixels
_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)


def bare_jpeg(data: bytes) -> bytes:
    """A JPEG of the same pixels without EXIF (places, names, thumbnails), comments, profiles, and what follows its end.

    Cameras hang videos and further pictures behind the end. JFIF's own header stays, without a thumbnail.

    Raises: ValueError if the bytes are no whole JPEG.
    """
    parts, place = [data[:2]], 2
    while True:
        marker, start = _next_marker(data, place)
        if marker == _END:
            parts.append(data[start : start + 2])
            return b"".join(parts)
        if marker in _ALONE:
            place = start + 2
            continue
        end = start + 2 + int.from_bytes(data[start + 2 : start + 4])
        if end > len(data):
            raise ValueError("the JPEG breaks off in a segment")
        segment = data[start:end]
        if marker == _SCAN:
            place = _end_of_scan(data, end)
            parts.append(data[start:place])
            continue
        place = end
        if marker == 0xE0 and segment[4:9] == b"JFIF\0":
            parts.append(segment[:2] + (16).to_bytes(2) + segment[4:16] + b"\0\0")
        elif marker == _ADOBE or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            parts.append(segment)


def _next_marker(data: bytes, place: int) -> tuple[int, int]:
    """The next marker and where it begins; it may be preceded by any number of 0xFF."""
    if place + 1 >= len(data) or data[place] != 0xFF:
        raise ValueError("the JPEG breaks off between two segments")
    while data[place + 1] == 0xFF:
        place += 1
        if place + 1 >= len(data):
            raise ValueError("the JPEG breaks off between two segments")
    return data[place + 1], place


def _end_of_scan(data: bytes, place: int) -> int:
    """Where the compressed data end that begin at `place`: at the next marker that is no restart."""
    if found := _MARKER.search(data, place):
        return found.start()
    raise ValueError("the JPEG breaks off in its pixels")
