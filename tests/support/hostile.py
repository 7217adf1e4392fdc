"""Files as one meets them: good images of every kind, and everything that is wrong with the others."""

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from tests.support.pictures import encoded, photograph


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def picture(seed: int, **size) -> Image.Image:
    return Image.fromarray(photograph(1000 + seed, **size))


def png_header(width: int, height: int) -> bytes:
    """The beginning of a PNG of that size, and no pixels behind it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b""))


def huge_jpeg_header() -> bytes:
    data = saved(picture(0), "JPEG")
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", 50_000, 50_000) + data[at + 4 : 700]


def animation(kind: str) -> bytes:
    return saved(picture(1), kind, save_all=True, append_images=[picture(2)], duration=100)


def with_exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(picture(20 + orientation), "JPEG", exif=exif)


def good_files() -> dict[str, bytes]:
    grey16 = np.arange(80 * 96, dtype=np.uint16).reshape(80, 96) * 8
    files = {
        "plain.jpg": saved(picture(0), "JPEG"),
        "progressive.jpg": saved(picture(3), "JPEG", progressive=True),
        "grey.jpg": saved(picture(4).convert("L"), "JPEG"),
        "cmyk.jpg": saved(picture(5).convert("CMYK"), "JPEG"),
        "large.jpg": saved(picture(6, height=1500, width=1300), "JPEG"),
        "wide.jpg": saved(picture(7, height=40, width=900), "JPEG"),
        "capitals.JPEG": saved(picture(8), "JPEG"),
        "really a png.jpg": saved(picture(9), "PNG"),
        "with comment.jpg": saved(picture(10), "JPEG", comment=b"\xff\x00 not text \xfe"),
        "trailing bytes.jpg": saved(picture(11), "JPEG") + bytes(1000),
        "rgb.png": saved(picture(12), "PNG"),
        "palette.png": saved(picture(13).convert("P"), "PNG"),
        "one bit.png": saved(picture(14).convert("1"), "PNG"),
        "alpha.png": saved(picture(15).convert("RGBA"), "PNG"),
        "grey alpha.png": saved(picture(16).convert("LA"), "PNG"),
        "colour 16.png": cv2.imencode(".png", photograph(1050).astype(np.uint16) * 257)[1].tobytes(),
        "colour 16.tiff": cv2.imencode(".tiff", photograph(1051).astype(np.uint16) * 257)[1].tobytes(),
        "grey 16.png": saved(Image.fromarray(grey16), "PNG"),
        "still.webp": saved(picture(17), "WEBP"),
        "still.gif": saved(picture(18), "GIF"),
        "a.bmp": saved(picture(19), "BMP"),
        "a.tiff": saved(picture(20), "TIFF"),
        "two pages.tif": saved(picture(21), "TIFF", save_all=True, append_images=[picture(22)]),
        "newline\nin name.jpg": saved(picture(30), "JPEG"),
        "名前 имя.jpg": saved(picture(31), "JPEG"),
        "-rf.jpg": saved(picture(32), "JPEG"),
        "deep/er/and/deeper/a.jpg": saved(picture(33), "JPEG"),
    }
    return files | {f"orientation {n}.jpg": with_exif(n) for n in range(2, 9)}


def bad_files() -> dict[str, tuple[bytes, str]]:
    """Bytes of each, and a part of the reason to be given."""
    jpeg, png = saved(picture(40), "JPEG"), saved(picture(41), "PNG")
    flipped = bytearray(png)
    flipped[len(png) // 2] ^= 255
    return {
        "empty.jpg": (b"", "empty"),
        "cut.jpg": (jpeg[: len(jpeg) // 2], "truncated"),
        "cut early.jpg": (jpeg[:20], ""),
        "cut.png": (png[: len(png) // 2], ""),
        "flipped.png": (bytes(flipped), ""),
        "cut.webp": (saved(picture(42), "WEBP")[:200], ""),
        "cut.gif": (saved(picture(43), "GIF")[:900], ""),
        "cut.bmp": (saved(picture(44), "BMP")[:3000], "truncated"),
        "cut.tiff": (saved(picture(45), "TIFF")[:3000], ""),
        "page.jpg": (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "not an image"),
        "zeros.jpg": (bytes(5000), "not an image"),
        "noise.png": (np.random.default_rng(0).bytes(5000), "not an image"),
        "huge.png": (png_header(50_000, 50_000), "more than 268 megapixels"),
        "huge.jpg": (huge_jpeg_header(), "more than 268 megapixels"),
        "nothing behind the header.png": (png_header(100, 100), ""),
        "animated.gif": (animation("GIF"), "animation of 2"),
        "animated.webp": (animation("WEBP"), "animation of 2"),
        "animated.png": (animation("PNG"), "animation of 2"),
        "1 px.png": (saved(picture(46, height=1, width=1), "PNG"), "only 1 x 1 px"),
        "narrow.jpg": (saved(picture(47, height=300, width=20), "JPEG"), "only 20 x 300 px"),
        "float.tiff": (saved(Image.fromarray(np.ones((50, 50), np.float32)), "TIFF"), "floating-point"),
        "notes.txt": (b"some text", "not named like an image"),
        "Thumbs.db": (b"\xd0\xcf\x11\xe0", "not named like an image"),
        "no suffix": (jpeg, "not named like an image"),
        "copy of plain.jpg.jpg": (good_files()["plain.jpg"], "same bytes as copy of plain.jpg.jpg"),
    }


def make_folder(folder: Path) -> tuple[set[str], dict[str, str]]:
    """All of them and more below `folder`; returns the names of the good ones, and the bad ones' reasons."""
    good = set(good_files())
    bad = {name: reason for name, (_, reason) in bad_files().items()}
    # Of equal files the one with the smaller path stays.
    good = good - {"plain.jpg"} | {"copy of plain.jpg.jpg"}
    bad["plain.jpg"] = bad.pop("copy of plain.jpg.jpg")
    for name, data in [*good_files().items(), *((name, data) for name, (data, _) in bad_files().items())]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "loop").symlink_to(folder)
    (folder / "deep" / "self").symlink_to("self")
    (folder / "nowhere.jpg").symlink_to(folder / "gone.jpg")
    os.mkfifo(folder / "pipe.jpg")
    not_text = os.fsencode(folder) + b"/caf\xe9.jpg"
    with open(not_text, "wb") as file:  # noqa: PTH123 (no Path has such a name)
        file.write(encoded(photograph(1034)))
    good.add("caf\\xe9.jpg")
    bad |= {
        "loop": "a link to a folder that is read under another name",
        "deep/self": "",
        "nowhere.jpg": "No such file",
        "pipe.jpg": "a pipe, socket or device",
    }
    return good, bad
