"""Pixels of files in every encoding, as written by other programs, against what was put in."""

import io
import struct
import sys
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from glcic_jax.data.images import decode, encode_record, read_mask
from glcic_jax.data.orientation import turn_upright
from glcic_jax.data.pixels import ImageError, open_image, read_pixels
from tests.support.encodings import Encoding, store, write
from tests.support.pictures import encoded, photograph

RNG = np.random.default_rng(0)
HEIGHT, WIDTH = 37, 53


def noise(channels, bits=16):
    samples = RNG.integers(0, 2**bits, (HEIGHT, WIDTH, channels), dtype=np.uint16 if bits > 8 else np.uint8)
    samples[0, 0] = 2**bits - 1  # so that white is known
    return samples


def written_tiff(samples, planar=False, **options):
    buffer = io.BytesIO()
    if planar:
        samples, options = samples.transpose(2, 0, 1), options | {"planarconfig": "separate"}
    tifffile.imwrite(buffer, samples, metadata=None, **options)
    return buffer.getvalue()


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunk(png, kind, body):
    """A PNG with another chunk behind its header."""
    return png[:33] + chunk(kind, body) + png[33:]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("tile", [None, (16, 32)])
@pytest.mark.parametrize("packed", ["raw", "zlib", "zlib and differences"])
@pytest.mark.parametrize("alpha", [None, "unassalpha", "assocalpha", "unspecified"])
def test_deep_tiff_colours(order, planar, tile, packed, alpha):
    samples = noise(3 if alpha is None else 4)
    options = {"byteorder": order, "photometric": "rgb", "tile": tile}
    options |= {"extrasamples": [alpha]} if alpha else {}
    options |= {"compression": "zlib"} if "zlib" in packed else {}
    options |= {"predictor": True} if "differences" in packed else {}
    pixels = read_pixels(written_tiff(samples, planar, **options))
    mode = "RGBA" if alpha in ("unassalpha", "assocalpha") else "RGB"
    assert (pixels.mode, pixels.white, pixels.premultiplied) == (mode, 65535, alpha == "assocalpha")
    np.testing.assert_array_equal(pixels.samples, samples[..., : len(mode)])


def test_other_writers_tiffs():
    """LZW and strips as OpenCV writes them, BigTIFF, strips of a few rows, ink, 8 bits multiplied with alpha."""
    samples = noise(3)
    by_opencv = cv2.imencode(".tiff", samples[..., ::-1])[1].tobytes()
    np.testing.assert_array_equal(read_pixels(by_opencv).samples, samples)
    for options in ({"bigtiff": True}, {"rowsperstrip": 5}, {"rowsperstrip": 5, "byteorder": ">"}):
        for planar in (False, True):
            data = written_tiff(samples, planar, photometric="rgb", **options)
            np.testing.assert_array_equal(read_pixels(data).samples, samples)
    ink = noise(4)
    pixels = read_pixels(written_tiff(ink, photometric="separated"))
    assert pixels.mode == "CMYK"
    np.testing.assert_array_equal(pixels.samples, ink)
    expected = (65535 - ink[..., :3].astype(float)) * (65535 - ink[..., 3:].astype(float)) / 65535
    assert np.abs(pixels.rgb() - expected).max() <= 0.5
    flat = noise(4, bits=8)
    pixels = read_pixels(written_tiff(flat, photometric="rgb", extrasamples=["assocalpha"]))
    assert pixels.premultiplied
    np.testing.assert_array_equal(pixels.samples, flat)


@pytest.mark.parametrize("bits", [8, 16])
def test_white_may_be_zero(bits):
    grey = noise(1, bits)[..., 0]
    pixels = read_pixels(written_tiff(grey, photometric="miniswhite"))
    np.testing.assert_array_equal(pixels.samples[..., 0], 2**bits - 1 - grey)


@pytest.mark.parametrize(("top", "white"), [(255, 255), (256, 4095), (4095, 4095), (4096, 65535), (65535, 65535)])
@pytest.mark.parametrize("kind", ["TIFF", "PNG"])
def test_twelve_bits_in_sixteen(top, white, kind):
    grey = np.linspace(0, top, HEIGHT * WIDTH).round().astype(np.uint16).reshape(HEIGHT, WIDTH)
    pixels = read_pixels(saved(Image.fromarray(grey), kind))
    assert pixels.white == white
    np.testing.assert_array_equal(pixels.samples[..., 0], grey)
    assert np.abs(pixels.rgb8()[..., 0] - grey / white * 255).max() <= 0.5


def test_a_file_may_say_what_is_white():
    grey = np.full((8, 8), 900, np.uint16)
    data = written_tiff(grey, photometric="minisblack", extratags=[(281, "H", 1, 1023, True)])
    assert read_pixels(data).white == 1023
    packed = np.full((8, 8), 900)
    bits = "".join(f"{value:012b}" for value in packed.ravel())
    body = int(bits, 2).to_bytes(len(bits) // 8)
    tags = {256: 8, 257: 8, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 8, 279: len(body)}
    start = 8 + len(body)
    data = b"II*\0" + struct.pack("<I", start) + body + struct.pack("<H", len(tags))
    data += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items()) + bytes(4)
    pixels = read_pixels(data)
    assert pixels.white == 4095 and (pixels.samples == 900).all()


def test_integers_of_unknown_range_are_refused():
    for values in (np.array([[0, 70_000]], np.int32), np.array([[-1, 5]], np.int32)):
        data = saved(Image.fromarray(values), "TIFF")
        for read in (read_pixels, lambda data: encode_record(data, 512)):
            with pytest.raises(ImageError, match=r"integers from .* nobody knows what is white"):
                read(data)
    pixels = read_pixels(saved(Image.fromarray(np.array([[0, 65535]], np.int32)), "TIFF"))
    np.testing.assert_array_equal(pixels.samples[..., 0], [[0, 65535]])


def test_deep_pngs():
    grey = noise(1)
    for colour, samples in ((0, grey), (2, noise(3)), (4, noise(2)), (6, noise(4))):
        head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, colour, 0, 0, 0)
        rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
        data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
        pixels = read_pixels(data)
        assert pixels.mode == {0: "L", 2: "RGB", 4: "LA", 6: "RGBA"}[colour]
        np.testing.assert_array_equal(pixels.samples, samples)
        if colour in (0, 2):  # the level of the first pixel is the transparent one
            level = samples[0, 0].astype(">u2").tobytes()
            pixels = read_pixels(with_chunk(data, b"tRNS", level))
            assert pixels.mode == {0: "LA", 2: "RGBA"}[colour]
            clear = (samples == samples[0, 0]).all(-1)
            np.testing.assert_array_equal(pixels.samples[..., -1], np.where(clear, 0, 65535))
            np.testing.assert_array_equal(pixels.samples[..., :-1], samples)


def test_lab_has_no_alpha():
    lab = np.zeros((8, 8, 3), np.uint8)
    lab[..., 0] = 128
    pixels = read_pixels(written_tiff(lab, photometric=8))
    assert (pixels.mode, pixels.converted_from) == ("RGB", "LAB")
    assert np.ptp(pixels.samples) <= 1 and 110 < pixels.samples.mean() < 130  # mid-grey


def test_alpha_on_paper():
    straight = noise(4)
    pixels = read_pixels(written_tiff(straight, photometric="rgb", extrasamples=["unassalpha"]))
    share = straight[..., 3:] / 65535
    over = straight[..., :3] * share
    assert np.abs(pixels.rgb() - (over + 65535 * (1 - share))).max() <= 0.5001
    assert np.abs(pixels.rgb(white_paper=False) - over).max() <= 0.5001
    multiplied = straight.copy()
    multiplied[..., :3] = over.round()
    pixels = read_pixels(written_tiff(multiplied, photometric="rgb", extrasamples=["assocalpha"]))
    assert np.abs(pixels.rgb() - (over + 65535 * (1 - share))).max() <= 1


# What undoes the turn that a viewer makes.
STORED_AS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}  # fmt: skip


@pytest.mark.parametrize("orientation", [*range(1, 9)])
def test_every_orientation(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    shown = photograph(1)
    picture = Image.fromarray(shown)
    if orientation != 1:
        picture = picture.transpose(STORED_AS[orientation])
    for kind in ("PNG", "WEBP", "TIFF"):
        options = {"lossless": True} if kind == "WEBP" else {}
        pixels = read_pixels(saved(picture, kind, exif=exif, **options))
        np.testing.assert_array_equal(pixels.rgb8(), shown)
        assert pixels.orientation == (1 if kind == "TIFF" else orientation)
    deep = np.asarray(picture).astype(np.uint16) * 257
    data = written_tiff(deep, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    np.testing.assert_array_equal(read_pixels(data).samples, shown.astype(np.uint16) * 257)
    record = encode_record(saved(picture, "JPEG", exif=exif), 512)
    assert (record.height_px, record.width_px) == shown.shape[:2]
    assert np.abs(np.array(decode(record.jpeg)).astype(int) - shown).mean() < 3


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


def test_xmp_does_not_turn_pictures():
    picture = Image.fromarray(photograph(2))
    files = {
        "JPEG": saved(picture, "JPEG", xmp=XMP),
        "PNG": with_chunk(saved(picture, "PNG"), b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
        "WEBP": saved(picture, "WEBP", xmp=XMP),
        "TIFF": written_tiff(np.asarray(picture), photometric="rgb", extratags=[(700, "B", len(XMP), XMP, True)]),
    }
    for kind, data in files.items():
        with Image.open(io.BytesIO(data)) as image:
            assert XMP in str(image.info).encode() or kind in ("PNG", "TIFF"), kind
        assert read_pixels(data).rgb8().shape == (80, 96, 3), kind


@pytest.mark.parametrize(
    "exif", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"XXXX"]
)
def test_odd_exif_is_no_reason_to_refuse_a_picture(exif):
    png = with_chunk(encoded(photograph(0), "PNG"), b"eXIf", exif)
    np.testing.assert_array_equal(read_pixels(png).rgb8(), photograph(0))
    jpeg = encoded(photograph(0))
    jpeg = jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2) + exif + jpeg[2:]
    assert read_pixels(jpeg).rgb8().shape == (80, 96, 3)


def test_masks_with_alpha_or_a_transparent_level_are_turned_too(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    mask = np.zeros((20, 30), np.uint8)
    mask[2:6, 3:9] = 255
    expected = turn_upright(mask, 6) > 127
    layer = np.dstack([mask, mask, mask, np.where(mask, 255, 0).astype(np.uint8)])
    Image.fromarray(layer).save(tmp_path / "alpha.png", exif=exif)
    Image.fromarray(mask).save(tmp_path / "level.png", exif=exif, transparency=0)
    for name in ("alpha.png", "level.png"):
        np.testing.assert_array_equal(read_mask(tmp_path / name)[..., 0], expected)


def test_limits_and_kinds():
    data = encoded(photograph(0), "PNG")
    with pytest.raises(ImageError, match=r"96 x 80 px, more than 0 megapixels"):
        open_image(data, max_pixels=96 * 80 - 1)
    open_image(data, max_pixels=96 * 80)
    with pytest.raises(ImageError, match="HEIC photograph"):
        open_image(b"\0\0\0\x18ftypheic" + bytes(100))
    with pytest.raises(ImageError, match="JPEG XL"):
        open_image(b"\xff\x0a" + bytes(100))
    preview = written_tiff(np.asarray(photograph(0)), photometric="rgb", extratags=[(50706, "B", 4, b"\1\4\0\0", True)])
    with pytest.raises(ImageError, match="raw file, which has to be developed"):
        open_image(preview)
    with pytest.raises(ImageError, match="not an image"):  # which would have Ghostscript started
        open_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")


def test_heic_without_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    with pytest.raises(ImageError, match="HEIC photograph, as iPhones take them; pip install pillow-heif"):
        open_image(b"\0\0\0\x18ftypheic" + bytes(100))


@pytest.mark.parametrize("orientation", [1, 6, 8])
def test_heic(orientation):
    """As iPhones write it: turned by what stands beside the pixels, which readers obey."""
    pillow_heif = pytest.importorskip("pillow_heif", reason="of the extra `heif`")
    pillow_heif.register_heif_opener()
    upright, exif, buffer = photograph(1, 60, 80), Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    Image.fromarray(store(upright, orientation)).save(buffer, "HEIF", quality=90, exif=exif.tobytes())
    found = read_pixels(buffer.getvalue()).rgb()
    assert found.shape == upright.shape
    assert np.abs(found.astype(int) - upright).mean() < 5


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_transparent_level_of_few_bits(tmp_path, bits):
    samples = np.arange(2**bits, dtype=np.uint16)[::-1].repeat(6).reshape(-1, 6, 1)
    write(tmp_path / "level.png", samples, Encoding("png", "L", bits, clear_level=True))
    found = read_pixels((tmp_path / "level.png").read_bytes())
    assert found.mode == "LA"
    np.testing.assert_array_equal(found.samples[..., 0], samples[..., 0] * (255 // (2**bits - 1)))
    np.testing.assert_array_equal(found.samples[..., 1] == 0, samples[..., 0] == 2**bits - 1)
