"""Where the hole is, and what people are warned of."""

import numpy as np
import pytest
from PIL import Image

from glcic_jax.errors import UserError
from glcic_jax.inference.masks import HoleSource, concerns, overlay, parse_color, parse_rectangle, thickness_px
from tests.conftest import photograph

PIXELS = photograph(0, 40, 60)
EXPECTED = np.zeros((40, 60), bool)
EXPECTED[10:20, 30:50] = True


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
def test_mask_files(tmp_path, suffix):
    path = tmp_path / f"mask{suffix}"
    Image.fromarray(EXPECTED.astype(np.uint8) * 255).save(path)
    np.testing.assert_array_equal(HoleSource(path).hole(PIXELS, None), EXPECTED)
    np.testing.assert_array_equal(HoleSource(path, invert=True).hole(PIXELS, None), ~EXPECTED)
    grown = HoleSource(path, dilate_px=3).hole(PIXELS, None)
    assert grown[7:23, 35:45].all() and grown.sum() < 16 * 26 and not grown[6].any()


def test_resized_masks(tmp_path):
    Image.fromarray(EXPECTED[::2, ::2].astype(np.uint8) * 255).save(tmp_path / "m.png")
    with pytest.raises(UserError, match=r"photograph is 60 x 40 px and the mask .*m.png 30 x 20 px"):
        HoleSource(tmp_path / "m.png").hole(PIXELS, None)
    np.testing.assert_array_equal(HoleSource(tmp_path / "m.png", resize=True).hole(PIXELS, None), EXPECTED)


def test_alpha_color_and_rectangle():
    alpha = np.where(EXPECTED, 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(HoleSource(alpha=True).hole(PIXELS, alpha), EXPECTED)
    deep = alpha.astype(np.uint16) * 257
    np.testing.assert_array_equal(HoleSource(alpha=True).hole(PIXELS, deep), EXPECTED)
    marked = np.where(EXPECTED[..., None], np.uint8([250, 3, 250]), PIXELS // 2)
    color = parse_color("#FF00ff")
    np.testing.assert_array_equal(HoleSource(color=color).hole(marked, None), EXPECTED)
    deep = marked.astype(np.uint16) * 257
    np.testing.assert_array_equal(HoleSource(color=color).hole(deep, None), EXPECTED)
    np.testing.assert_array_equal(HoleSource(rectangle=parse_rectangle("30,10,20,10")).hole(PIXELS, None), EXPECTED)
    cut = HoleSource(rectangle=parse_rectangle("-5,30,10,99")).hole(PIXELS, None)
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
            source.hole(PIXELS, None)
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
    card = {"trained": {"hole_px": [10, 20]}}
    hole = np.zeros((100, 100), bool)
    hole[40:60, 40:60] = True
    assert concerns(hole, card, True) == []
    hole[30:80, 40:70] = True
    assert concerns(hole, {}, True) == []
    (large,) = concerns(hole, card, True)
    assert "29 px thick" in large and "up to 20 px; completed at a lower scale first" in large
    assert "--nocoarse" in concerns(hole, card, False)[0]
    hole[:, 5:] = True
    assert "border" in concerns(hole, {}, True)[0] and "covers 95%" in concerns(hole, {}, True)[1]


def test_overlay():
    for pixels in (PIXELS, PIXELS.astype(np.uint16) * 257):
        picture = overlay(pixels, EXPECTED)
        np.testing.assert_array_equal(picture[~EXPECTED], PIXELS[~EXPECTED])
        assert (picture[EXPECTED][:, 0] >= 127).all() and (picture[EXPECTED][:, 1:] < 128).all()
