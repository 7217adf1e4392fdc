"""Mask files of all kinds: understood, or refused with what was found and the option that reads it."""

import numpy as np
import pytest
from PIL import Image

from glcic_jax.data.mask_files import MaskReading, read_marks
from glcic_jax.errors import UserError
from tests.support.encodings import Encoding, write
from tests.support.pictures import photograph

HOLE = np.zeros((40, 60), bool)
HOLE[10:20, 30:50] = True
LEVEL = HOLE.astype(np.uint8)[..., None]


def saved(tmp_path, samples, encoding=None, palette=None):
    path = tmp_path / "mask.png"
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[samples.shape[-1]]
    write(path, samples, encoding or Encoding("png", mode), palette)
    return path


def rgb(color) -> np.ndarray:
    return LEVEL * np.array(color, np.uint8)


LAYER = np.concatenate([LEVEL * 0 + 255] * 3 + [LEVEL * 255], axis=-1)
PALETTE = np.array([(0, 0, 0), (128, 0, 0), (0, 128, 0), (224, 224, 192)], np.uint8)
UNDERSTOOD = {
    "white": (LEVEL * 255, None, None),
    "white on black in colour": (rgb((255, 255, 255)), None, None),
    "0 and 1": (LEVEL, None, "holds the values 0 and 1; 1 is taken for the hole"),
    "0 and 1 in 16 bits": (LEVEL.astype(np.uint16), Encoding("png", "L", 16), "holds the values 0 and 1"),
    "16 bits": (LEVEL.astype(np.uint16) * 65535, Encoding("png", "L", 16), None),
    "one bit": (LEVEL, Encoding("png", "L", 1), None),
    "a label of a palette": (LEVEL, Encoding("png", "P"), "has a palette; what has its label 1 is taken for the hole"),
    "a palette of greys": (LEVEL * 2, Encoding("png", "P"), None),
    "red": (rgb((255, 0, 0)), None, "is painted in #FF0000 on black"),
    "magenta": (rgb((255, 0, 255)), None, "is painted in #FF00FF on black"),
    "dark grey": (LEVEL * 90, None, "holds levels 0 and 90 of 255; 90 is taken for the hole"),
    "white on a layer": (LAYER, None, None),
    "red on a layer": (LAYER * np.array([1, 0, 0, 1], np.uint8), None, None),
    "turned": (LEVEL * 255, Encoding("png", "L", orientation=6), None),
    "turned, with alpha": (LAYER, Encoding("png", "RGBA", orientation=8), None),
    "turned, with a transparent level": (LEVEL * 255, Encoding("png", "L", orientation=5, clear_level=True), None),
}
GREYS = np.array([(0, 0, 0), (3, 3, 3), (250, 250, 252), (9, 9, 9)], np.uint8)


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_understood(tmp_path, name):
    samples, encoding, note = UNDERSTOOD[name]
    path = saved(tmp_path, samples, encoding, GREYS if "greys" in name else PALETTE)
    marks = read_marks(path)
    np.testing.assert_array_equal(marks.marked, HOLE)
    assert (marks.notes == []) == (note is None) and (note or "") in "".join(marks.notes)
    assert marks.turned == ("turned" in name)


SECOND = LEVEL * 255
SECOND = np.where(np.roll(HOLE, 15, 0)[..., None], np.uint8(100), SECOND)
LABELS = LEVEL + 2 * np.roll(LEVEL, 15, 0)
REFUSED = {
    "a second object": (SECOND, None, MaskReading(level=100), "marks of level 100 of 255 (200 px) beside lighter ones"),
    "several labels": (
        LABELS,
        Encoding("png", "P"),
        MaskReading(labels=(1, 2)),
        "has a palette with the labels 0, 1, 2",
    ),
    "several small values": (LABELS * 20, None, MaskReading(level=20), "its lightest value is 40 of 255"),
    "erased white": (
        LAYER ^ np.uint8([0, 0, 0, 255]),
        None,
        MaskReading(transparent=True),
        "only its transparency has",
    ),
    "black on a layer": (LAYER * np.uint8([0, 0, 0, 1]), None, None, "one colour everywhere"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_option_that_reads_it(tmp_path, name):
    samples, encoding, reading, message = REFUSED[name]
    path = saved(tmp_path, samples, encoding, PALETTE)
    with pytest.raises(UserError) as caught:
        read_marks(path)
    assert message in str(caught.value) and "--mask_" in str(caught.value) and str(path) in str(caught.value)
    if reading is not None:
        both = HOLE | np.roll(HOLE, 15, 0) if name[0] in "as" else HOLE
        np.testing.assert_array_equal(read_marks(path, reading).marked, both)


def test_paint_on_a_photograph(tmp_path):
    picture = np.array(Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 9, 3), np.uint8)).resize((60, 40)))
    picture = np.where(LEVEL > 0, np.uint8([255, 0, 0]), np.maximum(picture, 60)).astype(np.uint8)
    path = saved(tmp_path, picture)
    with pytest.raises(UserError, match=r"looks like a photograph: .* --mask_paint='#FF0000'"):
        read_marks(path)
    np.testing.assert_array_equal(read_marks(path, MaskReading(paint=(255, 0, 0))).marked, HOLE)


def test_soft_edges_and_the_noise_of_jpegs_are_no_second_object(tmp_path):
    soft = Image.fromarray(np.kron(LEVEL[..., 0] * 255, np.ones((8, 8), np.uint8))).resize(
        (300, 200), Image.Resampling.BICUBIC
    )
    soft.save(tmp_path / "m.jpg", quality=40)
    marked = read_marks(tmp_path / "m.jpg").marked
    expected = np.kron(HOLE, np.ones((5, 5), bool))
    assert (marked != expected).mean() < 0.01


def test_options_that_do_not_fit(tmp_path):
    path = saved(tmp_path, LEVEL * 255)
    for reading, message in (
        (MaskReading(transparent=True), "has no transparent part"),
        (MaskReading(labels=(7,)), r"has no label 7; it holds 0, 255"),
    ):
        with pytest.raises(UserError, match=message):
            read_marks(path, reading)
    path = saved(tmp_path, photograph(0, 40, 60))
    with pytest.raises(UserError, match="has colours, not labels; give --mask_paint"):
        read_marks(path, MaskReading(labels=(1,)))
