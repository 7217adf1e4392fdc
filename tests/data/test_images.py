"""Image files of many kinds become upright 8-bit RGB, and unreadable ones say why."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from glcic_jax.data.images import (
    ImageError,
    contact_sheet,
    decode,
    encode_record,
    read_image,
    read_mask,
    write_image,
)
from glcic_jax.errors import UserError
from tests.support.pictures import encoded, photograph


def bytes_of(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_upright_rgb_jpegs_keep_their_bytes():
    data = encoded(photograph(0))
    record = encode_record(data, 512)
    assert record.jpeg == data
    assert (record.height_px, record.width_px) == (80, 96)
    np.testing.assert_array_equal(record.pixel_sum, np.array(decode(data)).sum((0, 1), dtype=np.int64))


SECRET = b"52.5200 N 13.4050 E"


def hidden_in(jpeg: bytes) -> list[bytes]:
    """The JPEG with something beside its pixels, in each of the places where there may be something."""
    exif = Image.Exif()
    exif.get_ifd(0x8825)[29] = SECRET.decode()
    thumbnail = jpeg[:6] + b"JFIF\0\1\2\0\0\1\0\1\2\2" + SECRET[:12] + jpeg[20:]
    segments = {0xE1: b"Exif\0\0" + exif.tobytes(), 0xE2: b"MPF\0" + SECRET, 0xED: b"Photoshop 3.0\0" + SECRET}
    segments |= {0xFE: SECRET, 0xE0: b"JFXX\0\x10" + SECRET}
    files = [
        jpeg[:20] + b"\xff" + bytes([marker]) + (len(body) + 2).to_bytes(2) + body + jpeg[20:]
        for marker, body in segments.items()
    ]
    files += [jpeg + SECRET, jpeg + b"\0\0\0\x18ftypmp42" + SECRET, jpeg[:20] + b"\xff\xff\xff" + jpeg[20:] + SECRET]
    return [*files, thumbnail[:4] + (16 + 12).to_bytes(2) + thumbnail[6:]]


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 1}, {"comment": SECRET}])
def test_records_keep_the_pixels_and_nothing_else(options):
    picture = Image.fromarray(photograph(6))
    jpeg = bytes_of(picture, "JPEG", **options)
    for data in [jpeg, *hidden_in(jpeg)]:
        record = encode_record(data, 512)
        assert SECRET[:8] not in record.jpeg
        np.testing.assert_array_equal(np.array(decode(record.jpeg)), np.array(decode(jpeg)))
        assert len(record.jpeg) <= len(jpeg)
    with_adobe = bytes_of(picture, "JPEG", keep_rgb=True)
    np.testing.assert_array_equal(decode(encode_record(with_adobe, 512).jpeg), decode(with_adobe))


def test_orientation_is_applied():
    upright = photograph(1)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown rotated by 90 degrees
    data = bytes_of(Image.fromarray(np.rot90(upright)), "JPEG", exif=exif, quality=100, subsampling=0)
    record = encode_record(data, 512)
    assert record.jpeg != data and (record.height_px, record.width_px) == (80, 96)
    assert np.abs(np.array(decode(record.jpeg)).astype(int) - upright).mean() < 3


def test_large_images_are_scaled_down():
    record = encode_record(encoded(photograph(2, 200, 300)), 100)
    assert (record.height_px, record.width_px) == (100, 150)
    assert decode(record.jpeg).size == (150, 100)


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "LA", "RGBA", "I;16"])
def test_other_modes_become_rgb(mode):
    picture = Image.fromarray(photograph(3))
    if mode == "I;16":
        picture = Image.fromarray(np.array(picture.convert("L")).astype(np.uint16) * 257)
        expected = np.array(picture, np.float64)[..., None].repeat(3, 2) / 257
    else:
        picture = picture.convert("L").convert("LA") if mode == "LA" else picture.convert(mode)
        expected = np.array(picture.convert("RGB"), np.float64)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    found = decode(bytes_of(picture, kind))
    assert found.mode == "RGB"
    np.testing.assert_allclose(np.array(found, np.float64), expected, atol=1)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bit_colour_becomes_8_bit(suffix):
    image = photograph(5)
    data = cv2.imencode(suffix, image[..., ::-1].astype(np.uint16) * 257)[1].tobytes()
    np.testing.assert_array_equal(np.array(decode(data)), image)


def test_transparency_means_white():
    clear = Image.new("RGBA", (4, 4), (10, 20, 30, 0))
    assert np.array(decode(bytes_of(clear, "PNG"))).min() == 255


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<html>not found</html>", "not an image"),
        (encoded(photograph(4))[:700], "truncated"),
        (encoded(photograph(4), "PNG")[:700], "truncated"),
    ],
)
def test_unreadable_bytes(data, reason):
    with pytest.raises(ImageError, match=reason):
        encode_record(data, 512)


def test_png_files_come_back_bit_for_bit(tmp_path):
    image = photograph(5)
    for suffix in (".png", ".webp", ".tif", ".bmp"):
        write_image(tmp_path / f"x{suffix}", image)
        np.testing.assert_array_equal(read_image(tmp_path / f"x{suffix}"), image)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".partial")]


def test_masks_are_white_on_black(tmp_path):
    grey = np.array([[0, 127], [128, 255]], np.uint8)
    write_image(tmp_path / "mask.png", grey[..., None].repeat(3, 2))
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png")[..., 0], [[0, 0], [1, 1]])


def test_masks_painted_on_a_transparent_layer(tmp_path):
    layer = np.zeros((4, 4, 4), np.uint8)
    layer[1:3, 1:3] = 255
    Image.fromarray(layer).save(tmp_path / "layer.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "layer.png")[..., 0], layer[..., 3] > 0)


def test_images_that_no_jpeg_can_hold():
    grey = np.random.default_rng(0).random((4, 4)).astype(np.float32)
    for image in (Image.new("RGB", (70_000, 2)), Image.fromarray(grey)):
        with pytest.raises(ImageError):
            encode_record(bytes_of(image, "TIFF"), 512)


def test_long_comments_do_not_matter():
    data = bytes_of(Image.fromarray(photograph(0)).convert("P"), "GIF", comment=b"x" * 70_000)
    assert decode(encode_record(data, 512).jpeg).size == (96, 80)


def test_errors_name_the_file(tmp_path):
    with pytest.raises(UserError, match="gone"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(UserError, match="does not exist"):
        write_image(tmp_path / "nowhere" / "x.png", photograph(0))
    with pytest.raises(UserError, match=r"unknown image type '.xyz'"):
        write_image(tmp_path / "x.xyz", photograph(0))
    assert list(tmp_path.iterdir()) == []


def test_contact_sheet():
    tile = np.full((2, 3, 3), 7, np.uint8)
    sheet = contact_sheet([[tile, tile], [tile]], gap_px=1)
    assert sheet.shape == (7, 9, 3)
    assert (sheet[1:3, 1:4] == 7).all() and (sheet[4:6, 1:4] == 7).all() and (sheet[4:6, 5:8] == 255).all()
