"""Where the hole is, and what people are warned of."""

import time

import numpy as np
import pytest
from PIL import Image

from glcic_jax.errors import UserError
from glcic_jax.inference.masks import (
    HoleSource,
    draw_overlay,
    grow,
    list_concerns,
    mark_erased,
    parse_color,
    parse_rectangle,
    resize_mask,
    thickness_px,
)
from glcic_jax.models.card import Card, Trained
from tests.support.pictures import photograph

PIXELS = photograph(0, 40, 60)
EXPECTED = np.zeros((40, 60), bool)
EXPECTED[10:20, 30:50] = True


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
def test_mask_files(tmp_path, suffix):
    path = tmp_path / f"mask{suffix}"
    Image.fromarray(EXPECTED.astype(np.uint8) * 255).save(path)
    np.testing.assert_array_equal(HoleSource(path).find_hole(PIXELS).mask, EXPECTED)
    np.testing.assert_array_equal(HoleSource(path, invert=True).find_hole(PIXELS).mask, ~EXPECTED)
    grown = HoleSource(path, dilate_px=3).find_hole(PIXELS).mask
    assert grown[7:23, 35:45].all() and grown.sum() < 16 * 26 and not grown[6].any()


def test_resized_masks(tmp_path):
    Image.fromarray(EXPECTED[::2, ::2].astype(np.uint8) * 255).save(tmp_path / "m.png")
    with pytest.raises(UserError, match=r"photograph is 60 x 40 px and the mask .*m.png 30 x 20 px"):
        HoleSource(tmp_path / "m.png").find_hole(PIXELS)
    np.testing.assert_array_equal(HoleSource(tmp_path / "m.png", resize=True).find_hole(PIXELS).mask, EXPECTED)


def test_thin_strokes_survive_a_smaller_size():
    """A stroke of one pixel in a mask three times as large; and every pixel that is hole was hole."""
    large = np.zeros((120, 180), bool)
    large[31], large[:, 77] = True, True
    small = resize_mask(large, (40, 60))
    expected = np.zeros((40, 60), bool)
    expected[10], expected[:, 25] = True, True
    np.testing.assert_array_equal(small, expected)
    rng = np.random.default_rng(0)
    for _ in range(50):
        mask = rng.random(rng.integers(1, 60, 2)) < 0.1
        size = tuple(rng.integers(1, 60, 2).tolist())
        resized = resize_mask(mask, size)
        assert resized.shape == size and resized.any() == mask.any()


def test_masks_of_another_shape(tmp_path):
    Image.fromarray(EXPECTED.T.astype(np.uint8) * 255).save(tmp_path / "turned.png")
    for resize in (False, True):
        with pytest.raises(UserError, match="seems to be turned by a quarter; turn it back"):
            HoleSource(tmp_path / "turned.png", resize=resize).find_hole(PIXELS)
    hole, notes = HoleSource(tmp_path / "turned.png").find_hole(PIXELS, orientation=6)
    np.testing.assert_array_equal(hole, np.rot90(EXPECTED.T, -1))
    assert "turned as its EXIF says" in notes[0]
    Image.fromarray(EXPECTED.astype(np.uint8)[:, :50] * 255).save(tmp_path / "wide.png")
    with pytest.raises(UserError, match=r"give them the same size$"):
        HoleSource(tmp_path / "wide.png").find_hole(PIXELS)
    assert "squeezed to fit" in HoleSource(tmp_path / "wide.png", resize=True).find_hole(PIXELS).notes[0]


def test_growing_against_a_walk_and_in_time():
    rng = np.random.default_rng(1)
    hole = rng.random((40, 50)) < 0.01
    ys, xs = np.nonzero(hole)
    y, x = np.indices(hole.shape)
    for px in (1, 3, 7):
        near = (((y[..., None] - ys) ** 2 + (x[..., None] - xs) ** 2) <= px * px).any(-1)
        np.testing.assert_array_equal(grow(hole, px), near)
    large = np.zeros((3000, 4000), bool)
    large[1500, 2000] = True
    began = time.perf_counter()
    assert grow(large, 1000).sum() == pytest.approx(np.pi * 1e6, rel=1e-3)
    assert time.perf_counter() - began < 5  # with the kernel of before: minutes
    assert grow(large, 10**6).all()


def test_what_a_soft_eraser_leaves():
    """Its rim belongs to the hole; what is a little transparent elsewhere does not."""
    alpha = np.full((40, 60), 255, np.uint8)
    alpha[8:22, 28:52] = 200
    alpha[10:20, 30:50] = 0
    alpha[30:35, 5:9] = 250
    expected = np.zeros((40, 60), bool)
    expected[8:22, 28:52] = True
    np.testing.assert_array_equal(mark_erased(alpha), expected)
    np.testing.assert_array_equal(HoleSource(alpha=True).find_hole(PIXELS, alpha).mask, expected)


def test_alpha_color_and_rectangle():
    alpha = np.where(EXPECTED, 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(HoleSource(alpha=True).find_hole(PIXELS, alpha).mask, EXPECTED)
    deep = alpha.astype(np.uint16) * 257
    np.testing.assert_array_equal(HoleSource(alpha=True).find_hole(PIXELS, deep).mask, EXPECTED)
    marked = np.where(EXPECTED[..., None], np.uint8([250, 3, 250]), PIXELS // 2)
    color = parse_color("#FF00ff")
    np.testing.assert_array_equal(HoleSource(color=color).find_hole(marked).mask, EXPECTED)
    deep = marked.astype(np.uint16) * 257
    np.testing.assert_array_equal(HoleSource(color=color).find_hole(deep).mask, EXPECTED)
    np.testing.assert_array_equal(HoleSource(rectangle=parse_rectangle("30,10,20,10")).find_hole(PIXELS).mask, EXPECTED)
    cut = HoleSource(rectangle=parse_rectangle("-5,30,10,99")).find_hole(PIXELS).mask
    assert cut.sum() == 50 and cut[30:, :5].all()


def test_holes_that_cannot_be(tmp_path):
    Image.new("L", (60, 40), 127).save(tmp_path / "dark.png")
    Image.new("L", (60, 40), 128).save(tmp_path / "light.png")
    for source, message in (
        (HoleSource(tmp_path / "dark.png"), r"dark.png is empty"),
        (HoleSource(tmp_path / "light.png"), r"light.png covers the whole photograph"),
        (HoleSource(tmp_path / "gone.png"), r"cannot read the mask .*gone.png"),
        (HoleSource(alpha=True), "no alpha channel"),
        (HoleSource(color=(255, 0, 255)), "the hole is empty; no pixel of the photograph is marked"),
        (HoleSource(rectangle=(60, 0, 5, 5)), "no pixel of the rectangle 60,0,5,5 is in the 60 x 40 px"),
        (HoleSource(rectangle=(0, 0, 5, 5), dilate_px=-1), "dilate_px is -1"),
    ):
        with pytest.raises(UserError, match=message):
            source.find_hole(PIXELS)
    for text in ("", "#ff00f", "#ff00zz", "red"):
        with pytest.raises(UserError, match="mask_color"):
            parse_color(text)
    for text in ("1,2,3", "1,2,3,-4", "a,b,c,d"):
        with pytest.raises(UserError, match="rectangle"):
            parse_rectangle(text)


def test_thickness():
    hole = np.zeros((200, 300), bool)
    hole[50:150:1, 100:107] = True
    assert thickness_px(hole) == 7  # a wire is as thick as it is wide
    hole[20:61, 200:261] = True
    assert thickness_px(hole) == 41
    corner = np.zeros((200, 300), bool)
    corner[:21, :30] = True
    assert thickness_px(corner) == 41  # known on one side only


def test_concerns():
    card = Card(trained=Trained(crop_px=100, hole_px=(10, 20)))
    hole = np.zeros((100, 100), bool)
    hole[40:60, 40:60] = True
    assert list_concerns(hole, card, True) == []
    hole[30:80, 40:70] = True
    assert list_concerns(hole, Card(), True) == []
    (large,) = list_concerns(hole, card, True)
    assert "29 px thick" in large and "up to 20 px; completed at a lower scale first" in large
    assert "--nocoarse" in list_concerns(hole, card, False)[0]
    hole[:, 5:] = True
    assert "border" in list_concerns(hole, Card(), True)[0] and "covers 95%" in list_concerns(hole, Card(), True)[1]


def test_overlay():
    for pixels in (PIXELS, PIXELS.astype(np.uint16) * 257):
        picture = draw_overlay(pixels, EXPECTED)
        np.testing.assert_array_equal(picture[~EXPECTED], PIXELS[~EXPECTED])
        assert (picture[EXPECTED][:, 0] >= 127).all() and (picture[EXPECTED][:, 1:] < 128).all()
