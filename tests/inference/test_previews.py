"""What still shows the photograph as it was goes; everything else beside the pixels stays, byte by byte."""

import base64
import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from glcic_jax.inference.photograph import read_photograph
from glcic_jax.inference.previews import clear_exif, clear_jpegs, clear_photoshop, clear_xmp
from tests.support.pictures import encoded, photograph

PICTURE = photograph(1, 60, 44)
HOLE = np.zeros((60, 44), bool)
HOLE[20:33, 10:30] = True
THUMBNAIL = encoded(photograph(1, 30, 22))
MAKER_NOTE = b"MAKER\0\1\2\3" + THUMBNAIL + b"serial 0815"


def exif_with_thumbnail() -> bytes:
    """Two directories: the photograph's, with a maker's note, and the thumbnail's."""
    head = b"MM\0*" + struct.pack(">I", 8)
    first = struct.pack(">H", 3)
    size = 8 + 2 + 3 * 12 + 4
    note, text = size, size + len(MAKER_NOTE)
    second = text + 8
    first += struct.pack(">HHII", 0x010F, 2, 8, text)
    first += struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    first += struct.pack(">HHII", 0x927C, 7, len(MAKER_NOTE), note)
    first += struct.pack(">I", second)
    thumbnail = second + 2 + 2 * 12 + 4
    last = struct.pack(">HHHII", 2, 0x0201, 4, 1, thumbnail) + struct.pack(">HHII", 0x0202, 4, 1, len(THUMBNAIL))
    return head + first + MAKER_NOTE + b"a maker\0" + last + struct.pack(">I", 0) + THUMBNAIL


def test_exif():
    block = exif_with_thumbnail()
    assert Image.open(io.BytesIO(block[-len(THUMBNAIL) :])).size == (22, 30)
    for head in (b"", b"Exif\0\0"):
        cleared = clear_exif(head + block)
        assert len(cleared) == len(head + block) and b"\xff\xd8\xff" not in cleared
        exif = Image.Exif()
        exif.load(b"Exif\0\0" + cleared.removeprefix(b"Exif\0\0"))
        assert exif[0x010F] == "a maker" and exif[0x0112] == 6
        assert exif[0x927C].startswith(b"MAKER\0\1\2\3") and exif[0x927C].endswith(b"serial 0815")
        assert clear_exif(cleared) == cleared
    plain = Image.Exif()
    plain[0x010F] = "a maker"
    assert clear_exif(plain.tobytes()) == plain.tobytes()


def test_damaged_blocks_are_left_as_they_are():
    rng = np.random.default_rng(0)
    block = exif_with_thumbnail()
    for _ in range(2000):
        changed = bytearray(block[: rng.integers(0, len(block))])
        for _ in range(rng.integers(0, 8)):
            if changed:
                changed[rng.integers(0, min(len(changed), 120))] = rng.integers(0, 256)
        assert len(clear_exif(bytes(changed))) == len(changed)
        clear_photoshop(bytes(changed))


def resource(number: int, data: bytes) -> bytes:
    return b"8BIM" + struct.pack(">HHI", number, 0, len(data)) + data + bytes(len(data) % 2)


def test_photoshop():
    kept = resource(1005, b"\0\1\2") + resource(1028, b"IPTC")
    assert clear_photoshop(kept + resource(1036, THUMBNAIL)) == kept
    assert clear_photoshop(kept) == kept and clear_photoshop(b"8BIM") == b""


def test_xmp():
    picture = base64.b64encode(THUMBNAIL)
    packet = (
        b'<x:xmpmeta><rdf:Description dc:title="t" xmpNote:HasExtendedXMP="77" GImage:Data="' + picture + b'">'
        b"<xmp:Thumbnails><rdf:Alt><rdf:li><xmpGImg:image>" + picture + b"</xmpGImg:image></rdf:li></rdf:Alt>"
        b"</xmp:Thumbnails><dc:creator>me</dc:creator></rdf:Description></x:xmpmeta>"
    )
    assert clear_xmp(packet) == (
        b'<x:xmpmeta><rdf:Description dc:title="t"><dc:creator>me</dc:creator></rdf:Description></x:xmpmeta>'
    )


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 255, marker, len(body) + 2) + body


def save(path, out) -> list[str]:
    opened = read_photograph(path)
    notes = opened.save(out, 255 - opened.pixels, HOLE if opened.pixels.shape[0] == 60 else HOLE.T)
    return [note.partition(": ")[2] for note in notes]


def test_jpeg(tmp_path):
    data = encoded(PICTURE)
    jfif = data.index(b"JFIF\0")
    kept = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>words</x:xmpmeta>") + segment(0xFE, b"a comment")
    extra = [
        segment(0xE0, b"JFXX\0\x10" + THUMBNAIL), segment(0xE1, b"Exif\0\0" + exif_with_thumbnail()),
        segment(0xED, b"Photoshop 3.0\0" + resource(1036, THUMBNAIL) + resource(1028, b"IPTC")),
        segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + THUMBNAIL), segment(0xEB, b"JP" + THUMBNAIL),
        segment(0xE3, b"Meta\0" + THUMBNAIL), kept,
    ]  # fmt: skip
    small = photograph(1, 8, 8)
    header = data[jfif : jfif + 12] + b"\x08\x08" + small.tobytes()
    (tmp_path / "a.jpg").write_bytes(data[:2] + segment(0xE0, header) + b"".join(extra) + data[jfif + 14 :])
    notes = save(tmp_path / "a.jpg", tmp_path / "b.jpg")
    result = (tmp_path / "b.jpg").read_bytes()
    assert result.count(b"\xff\xd8\xff") == 1 and small.tobytes() not in result
    assert kept in result and b"IPTC" in result and b"a maker" in result and b"serial 0815" in result
    assert [note.partition(" shows")[0] for note in notes] == [
        "JFIF's thumbnail", "EXIF's thumbnail", "pictures in its XMP", "content credentials", "a preview",
        "Photoshop's thumbnail",
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_into_other_formats(tmp_path, suffix):
    data = encoded(PICTURE)
    (tmp_path / "a.jpg").write_bytes(data[:2] + segment(0xE1, b"Exif\0\0" + exif_with_thumbnail()) + data[2:])
    save(tmp_path / "a.jpg", tmp_path / f"b{suffix}")
    result = (tmp_path / f"b{suffix}").read_bytes()
    assert b"\xff\xd8\xff" not in result and b"a maker" in result and b"serial 0815" in result


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_png(tmp_path):
    data = encoded(PICTURE, "PNG")
    raw = b"Raw profile type exif\0" + b"\nexif\n  99\n" + THUMBNAIL.hex().encode()
    kept = chunk(b"tEXt", b"Title\0a title") + chunk(b"prIv", b"words")
    extra = [chunk(b"eXIf", exif_with_thumbnail()), chunk(b"prVW", THUMBNAIL), chunk(b"mkBT", b"layers"), kept]
    (tmp_path / "a.png").write_bytes(data[:33] + b"".join([*extra, chunk(b"tEXt", raw)]) + data[33:])
    assert len(save(tmp_path / "a.png", tmp_path / "b.png")) == 4
    result = (tmp_path / "b.png").read_bytes()
    assert kept in result and THUMBNAIL not in result and THUMBNAIL.hex().encode() not in result
    assert b"layers" not in result and b"a maker" in result


def test_tiff(tmp_path):
    photoshop = resource(1036, THUMBNAIL) + resource(1028, b"IPTC")
    xmp = b"<a>words</a><xmpGImg:image>AAAA</xmpGImg:image>"
    tags = [(code, 1, len(value), value, True) for code, value in (
        (37724, b"Adobe Photos"), (34377, photoshop), (700, xmp)
    )]  # fmt: skip
    tags.append((270, 2, None, "what it shows", True))
    tifffile.imwrite(tmp_path / "a.tif", PICTURE, photometric="rgb", metadata=None, extratags=tags)
    notes = save(tmp_path / "a.tif", tmp_path / "b.tif")
    assert len(notes) == 3
    with Image.open(tmp_path / "b.tif") as opened:
        assert 37724 not in opened.tag_v2 and opened.tag_v2[270] == "what it shows"
        assert opened.tag_v2[34377] == resource(1028, b"IPTC") and opened.tag_v2[700] == b"<a>words</a>"


def test_embedded_jpegs_are_zeroed_in_place():
    data = b"x" * 10 + THUMBNAIL + b"y" * 10
    assert clear_jpegs(data) == b"x" * 10 + bytes(len(THUMBNAIL)) + b"y" * 10
    assert clear_jpegs(b"\xff\xd8\xff\xe0 but no end") == b"\xff\xd8\xff\xe0 but no end"
