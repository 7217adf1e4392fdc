"""Texture copied from the photograph into what a network painted."""

import sys

import cv2
import numpy as np
import pytest

from glcic_jax.cli import complete
from glcic_jax.errors import UserError
from glcic_jax.inference.completer import Completer
from glcic_jax.inference.texture import copy_texture, list_texture_concerns, plan_pieces
from glcic_jax.models.card import Card
from glcic_jax.models.completion import CompletionNetwork
from tests.support.networks import calm


def whole(hole: np.ndarray):
    (piece,) = plan_pieces(hole)
    return piece


@pytest.fixture(scope="module")
def halves():
    """Fine stripes: dark and bluish above, light and reddish below."""
    rng = np.random.default_rng(0)
    image = np.zeros((96, 96, 3), np.float32)
    image[:48], image[48:] = (40, 60, 90), (200, 160, 120)
    image += np.where(np.indices((96, 96))[1] % 4 < 2, 25, -25)[..., None]
    return (image + rng.normal(0, 3, image.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def completer():
    network = CompletionNetwork(width_multiplier=1 / 16)
    return Completer((network, calm(network), Card()))


def test_painted_colours_choose_the_texture(halves):
    """Between both halves either would fit: what was painted there decides, and the stripes are the photograph's."""
    hole = np.zeros((96, 96), bool)
    hole[36:60, 30:66] = True
    means = {}
    for color in ((40, 60, 90), (200, 160, 120)):
        painted = np.where(hole[..., None], np.uint8(color), halves)
        filled = copy_texture(painted, whole(hole))
        np.testing.assert_array_equal(filled[~hole], halves[~hole])
        inside = filled[39:57, 33:63].astype(float)
        stripes = np.abs(np.diff(inside, axis=1)).mean()
        assert stripes > 0.8 * np.abs(np.diff(halves.astype(float), axis=1)).mean()
        np.testing.assert_array_equal(copy_texture(painted, whole(hole)), filled)  # the same every time
        means[color] = inside.mean((0, 1))
    dark, light = means.values()
    assert light[0] - dark[0] > 60  # of 160 between the two


def test_colours_come_from_the_known_part(halves):
    """What was painted is a guide alone: a colour that the surroundings lack does not come through."""
    hole = np.zeros((96, 96), bool)
    hole[30:50, 30:50] = True
    painted = np.where(hole[..., None], np.uint8((255, 0, 255)), halves)
    filled = copy_texture(painted, whole(hole))[hole].astype(int)
    assert np.abs(filled - (255, 0, 255)).max(-1).min() > 60


def test_holes_apart_are_filled_one_by_one():
    hole = np.zeros((400, 400), bool)
    hole[20:40, 20:40] = hole[80:90, 60:90] = hole[300:310, 350:380] = True
    pieces = plan_pieces(hole)
    assert len(pieces) == 3
    assert pieces[0].box == np.s_[0:104, 0:104]
    assert pieces[0].other.sum() == 300 and pieces[2].other.sum() == 0
    total = np.zeros_like(hole, int)
    for piece in pieces:
        total[piece.box] += piece.hole
    np.testing.assert_array_equal(total, hole)


def test_other_holes_are_no_source(halves):
    hole = np.zeros((96, 96), bool)
    hole[10:30, 10:30] = hole[60:80, 50:70] = True
    painted = halves.copy()
    painted[60:80, 50:70] = (255, 0, 255)
    first, _ = plan_pieces(hole)
    filled = copy_texture(painted[first.box], first)
    assert not (filled[first.hole] == (255, 0, 255)).all(-1).any()
    np.testing.assert_array_equal(filled[first.other], painted[first.box][first.other])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_completer(completer, halves, dtype):
    top = 1 if dtype == np.float32 else np.iinfo(dtype).max
    image = (halves.astype(np.float64) / 255 * top).astype(dtype)
    image[0, 0] = image[0, 0] * 0.999  # not all known pixels have 8 bits
    mask = np.zeros((96, 96, 1), np.uint8)
    mask[40:60, 40:60] = mask[80:, 10:20] = 1
    plain, copied = completer(image, mask), completer(image, mask, copy_texture=True)
    assert copied.dtype == dtype
    known = mask[..., 0] == 0
    np.testing.assert_array_equal(copied[known], image[known])
    detail = [np.abs(np.diff(result[40:60, 40:60].astype(float), axis=1)).mean() / top for result in (plain, copied)]
    assert detail[1] > 0.1 and (copied != plain)[~known].mean() > 0.9


@pytest.mark.parametrize("seed", range(20))
def test_any_hole(completer, seed):
    """Black is what the library leaves where it finds nothing to copy."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(side) for side in rng.integers(16, 70, 2))
    image = rng.integers(60, 200, (*shape, 3)).astype(np.uint8)
    field = cv2.GaussianBlur(rng.random(shape), (0, 0), rng.uniform(0.5, 8))
    hole = field < np.quantile(field, rng.choice([0.02, 0.3, 0.8, 0.98]))
    result = completer(image, hole[..., None], copy_texture=True)
    np.testing.assert_array_equal(result[~hole], image[~hole])
    for piece in plan_pieces(hole):
        assert result[piece.box][piece.hole].max(-1).min() > 30


def test_nothing_to_copy_from(completer):
    """No whole patch is known: what was painted stays."""
    rng = np.random.default_rng(0)
    image, hole = rng.integers(0, 256, (32, 32, 3)).astype(np.uint8), np.ones((32, 32, 1), np.uint8)
    hole[::6] = 0
    assert plan_pieces(hole[..., 0] > 0) == []
    (said,) = list_texture_concerns(image, hole[..., 0] > 0)
    assert "not one whole patch" in said
    assert "8 bits" in list_texture_concerns(image.astype(np.uint16), np.eye(32, dtype=bool))[0]
    np.testing.assert_array_equal(completer(image, hole, copy_texture=True), completer(image, hole))


def test_without_the_library(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "patchmatch", None)
    piece = whole(np.eye(40, dtype=bool))
    with pytest.raises(UserError, match=r"needs PyPatchMatch; install it: pip install 'glcic-jax\[texture\]'"):
        copy_texture(np.zeros((40, 40, 3), np.uint8), piece)
    with pytest.raises(UserError, match="needs PyPatchMatch"):  # said before the photograph is missed
        complete.main([str(tmp_path / "absent.png"), "--rectangle", "1,1,5,5", "--copy_texture"])
