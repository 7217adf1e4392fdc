"""From records to squares, against Pillow and slices."""

import io

import numpy as np
import pytest
from PIL import Image

from glcic_jax.data.decoding import crop, decode_jpeg, jpeg_size
from tests.support.hostile import good_files, picture, saved
from tests.support.pictures import encoded, photograph


def test_crop_of_the_original_size_is_a_slice():
    image = photograph(0, 50, 70)
    np.testing.assert_array_equal(crop(image, 50, 32, (0.5, 0.5), True), image[9:41, 19:51][:, ::-1])
    np.testing.assert_array_equal(crop(image, 50, 32, (0.5, 0.5)), image[9:41, 19:51])
    np.testing.assert_array_equal(crop(image, 50, 32, (0.0, 0.0)), image[:32, :32])
    np.testing.assert_array_equal(crop(image, 50, 32, (0.999999, 0.999999)), image[-32:, -32:])


@pytest.mark.parametrize("short_side", [80, 128, 200, 400])
def test_crop_is_that_of_the_whole_scaled_image(short_side):
    """Scaling only the square gives what scaling everything and then cutting gives, within a pixel."""
    image = photograph(1, 200, 280)
    whole = Image.fromarray(image).resize((round(280 * short_side / 200), short_side), Image.Resampling.BICUBIC)
    y, x = (int(p * (full - 64 + 1)) for p, full in zip((0.3, 0.8), (whole.height, whole.width), strict=True))
    expected = np.array(whole)[y : y + 64, x : x + 64].astype(int)
    found = crop(image, short_side, 64, (0.3, 0.8)).astype(int)
    shifted = [np.roll(found, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    assert min(np.abs(s - expected)[2:-2, 2:-2].mean() for s in shifted) < 2


def test_decoding_is_pillows():
    jpeg = encoded(photograph(3, 100, 140))
    expected = np.array(Image.open(io.BytesIO(jpeg))).astype(int)
    assert np.abs(decode_jpeg(jpeg).astype(int) - expected).max() <= 3


@pytest.mark.parametrize(("short_side", "factor"), [(96, 1), (49, 1), (48, 2), (25, 2), (24, 4), (12, 8), (1, 8)])
def test_jpegs_are_decoded_no_larger_than_needed(short_side, factor):
    image = photograph(4, 96, 136)
    found = decode_jpeg(encoded(image), short_side)
    assert found.shape == (96 // factor, 136 // factor, 3)
    whole = np.array(Image.fromarray(image).resize(found.shape[1::-1], Image.Resampling.BOX))
    assert np.abs(found.astype(int) - whole).mean() < 4


def test_sizes_are_pillows():
    for name, data in good_files().items():
        if data.startswith(b"\xff\xd8"):
            with Image.open(io.BytesIO(data)) as image:
                assert jpeg_size(data) == image.size[::-1], name
    with_metadata = saved(picture(1), "JPEG", icc_profile=bytes(70_000), comment=b"\xff\xc0 no frame")
    assert jpeg_size(with_metadata) == (80, 96)


@pytest.mark.parametrize("damage", [b"", b"<html>", b"\xff\xd8", b"\xff\xd8\xff\xe0\xff\xff"])
def test_what_is_no_jpeg_says_so(damage):
    with pytest.raises(ValueError, match="JPEG"):
        decode_jpeg(damage, 32)
    with pytest.raises(ValueError, match="readable JPEG"):
        decode_jpeg(encoded(photograph(1))[:400], 32)
