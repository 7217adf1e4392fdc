"""Holes and windows: properties over many draws."""

import hashlib

import cv2
import numpy as np
import pytest

from glcic_jax.data.holes import centre_window, draw_hole, mask_of, random_window, rectangle
from glcic_jax.errors import UserError
from glcic_jax.recipes import load_recipe
from tests.support.paths import ROOT

HOLES = load_recipe(ROOT / "configs" / "places2.py", []).holes.to_dict()
FREE_FORM = ("brush", "thin", "medium", "thick")
SIZES = {"size_px": 256, "window_px": 128, "hole_px": (96, 128)}

# SHA-256, shortened, of the first ten masks and windows from seed 0. Another value means that every run sees other
# holes than those before: if that is wanted, renew it.
FIRST_TEN = {
    ("rectangles", True): "db78b67d7e3ee323",
    ("brush", True): "6cc6f7b7043e33de",
    ("brush", False): "bc1e0f21002f5b08",
    ("thin", True): "f8219a1fa15637fa",
    ("thin", False): "4f1319635b2c5cc8",
    ("medium", True): "3b6b5647de601b91",
    ("medium", False): "7a5009c9227ca1ca",
    ("thick", True): "9353f0b35fa07c95",
    ("thick", False): "9720f517eaf66c38",
}


@pytest.mark.parametrize(("size", "hole", "window"), [(256, (96, 128), 128), (64, (24, 32), 32), (32, (32, 32), 32)])
def test_properties(size, hole, window):
    rng = np.random.default_rng(0)
    sides, tops = [], []
    for _ in range(2_000):
        y, x, h, w = rectangle(rng, size, hole)
        assert hole[0] <= h <= hole[1] and hole[0] <= w <= hole[1]
        assert 0 <= y <= size - h and 0 <= x <= size - w
        mask = mask_of((y, x, h, w), size)
        assert mask.dtype == np.uint8 and mask.shape == (size, size, 1) and mask.sum() == h * w
        top, left = centre_window((y, x, h, w), size, window)
        assert 0 <= top <= size - window and 0 <= left <= size - window
        assert top <= y and y + h <= top + window  # the hole fits, so the window holds all of it
        assert left <= x and x + w <= left + window
        if 0 < top < size - window:
            assert abs((top + window / 2) - (y + h / 2)) <= 1
        real = random_window(rng, size, window)
        assert real.dtype == np.int32 and (real >= 0).all() and (real <= size - window).all()
        sides += [h, w]
        tops.append(y)
    assert {min(sides), max(sides)} == set(hole)  # both ends are drawn
    assert min(tops) == 0 and max(tops) >= size - hole[1]


def only(kind: str, **changes) -> dict:
    """The paper's recipe with one kind alone."""
    return {kind: HOLES[kind] | {"share": 1.0} | changes}


def draws(number: int, seed: int = 0, **options) -> list[tuple[np.ndarray, np.ndarray]]:
    """Masks and windows one after the other, checked for what holds of all of them."""
    rng = np.random.default_rng(seed)
    options = SIZES | {"in_window": True} | options
    size, last = options["size_px"], options["size_px"] - options["window_px"]
    found = [draw_hole(rng, **options) for _ in range(number)]
    for mask, window in found:
        assert mask.dtype == np.uint8 and mask.shape == (size, size, 1)
        assert set(np.unique(mask)) == {0, 1}, "a hole and something known"
        assert window.dtype == np.int32 and window.shape == (2,) and (window >= 0).all() and (window <= last).all()
    return found


def rectangle_around(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Box (y, x, h, w) of all holes."""
    rows, columns = (np.flatnonzero(mask[..., 0].any(axis=axis)) for axis in (1, 0))
    return int(rows[0]), int(columns[0]), int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def test_one_rectangle_as_in_the_paper():
    for mask, window in draws(300, holes=only("rectangles")):
        y, x, h, w = rectangle_around(mask)
        assert 96 <= h <= 128 and 96 <= w <= 128 and mask.sum() == h * w
        np.testing.assert_array_equal(window, centre_window((y, x, h, w), 256, 128))


def test_several_rectangles():
    single = draws(300, holes=only("rectangles"), hole_px=(20, 30))
    several = draws(300, holes=only("rectangles", count=(4, 4)), hole_px=(20, 30))
    sums = [[int(mask.sum()) for mask, _ in found] for found in (single, several)]
    assert 3 * np.mean(sums[0]) < np.mean(sums[1]) < 4 * np.mean(sums[0])  # some overlap
    assert max(sums[1]) <= 4 * 30 * 30
    outside = 0
    for mask, (top, left) in several:
        inner = mask[top : top + 128, left : left + 128]
        outside += inner.sum() < mask.sum()
        if 0 < top < 128 and 0 < left < 128:
            assert inner[64, 64] == 1  # the window's centre lies on a hole
    assert outside > 250, "they are not held together by the window"


@pytest.mark.parametrize("kind", FREE_FORM)
def test_strokes_stay_inside_the_window(kind):
    tops = []
    for mask, (top, left) in draws(300, holes=only(kind)):
        inner = mask[top : top + 128, left : left + 128]
        assert inner.sum() == mask.sum()
        assert inner[64, 64] == 1  # centred on a pixel of the hole
        tops.append(top)
    assert min(tops) < 5 and max(tops) > 123  # windows lie anywhere


@pytest.mark.parametrize("kind", FREE_FORM)
def test_strokes_over_the_whole_image(kind):
    reached = np.zeros((256, 256), bool)
    for mask, (top, left) in draws(300, holes=only(kind), in_window=False):
        if 0 < top < 128 and 0 < left < 128:
            assert mask[top + 64, left + 64] == 1
        reached |= mask[..., 0] > 0
    assert reached.all()


def test_thin_medium_and_thick_are_so():
    """How far a hole's pixels are from what is known: about a quarter of the strokes' width."""
    depth = {}
    for kind in ("thin", "medium", "thick"):
        holes = only(kind) if kind == "thin" else only(kind, box_share=0.0)
        masks = [mask for mask, _ in draws(100, holes=holes, in_window=False)]
        depths = [cv2.distanceTransform(mask, cv2.DIST_L2, 5)[mask[..., 0] > 0] for mask in masks]
        depth[kind] = np.median([np.median(of_pixels) for of_pixels in depths])
    assert 2 < depth["thin"] < 5 < depth["medium"] < 14 < depth["thick"] < 28


@pytest.mark.parametrize("in_window", [True, False])
@pytest.mark.parametrize(
    ("kind", "smallest", "largest"), [("brush", 0.01, 0.6), ("thin", 0.01, 0.75), ("medium", 0.002, 0.75)]
)
def test_coverage(kind, smallest, largest, in_window):
    """Bounds far enough that only another generator would cross them; inside the window at most its quarter."""
    found = [float(mask.mean()) for mask, _ in draws(300, holes=only(kind), in_window=in_window)]
    assert smallest <= min(found) and max(found) <= (0.25 if in_window else largest)
    assert max(found) > 3 * min(found)


@pytest.mark.parametrize(("kind", "in_window"), FIRST_TEN)
def test_a_seed_always_gives_the_same_masks(kind, in_window):
    found = [draws(10, seed, holes=only(kind), in_window=in_window) for seed in (0, 0, 1)]
    digests = [hashlib.sha256(b"".join(m.tobytes() + w.tobytes() for m, w in drawn)).hexdigest() for drawn in found]
    assert digests[0] == digests[1] != digests[2]
    assert digests[0][:16] == FIRST_TEN[kind, in_window]


def test_kinds_come_as_often_as_their_shares_say():
    """Told apart by what they cover, at sizes that do not overlap."""
    holes = {
        "rectangles": {"share": 1.0, "count": (1, 1)},  # 100 pixels
        "dots": HOLES["brush"] | {"share": 2.5, "count": (1, 1), "length_px": (1, 1), "width_px": (3, 3)},
        "slabs": HOLES["thin"] | {"share": 0.5, "box_share": 1.0, "box_count": (1, 1), "box_px": (20, 20)},
        "never": HOLES["thick"] | {"share": 0.0},
    }
    sums = np.array([mask.sum() for mask, _ in draws(3_000, holes=holes, hole_px=(10, 10), size_px=64, window_px=32)])
    for share, of_kind in ((1.0, sums == 100), (2.5, sums < 100), (0.5, sums == 400)):
        assert of_kind.mean() == pytest.approx(share / 4, abs=0.027)  # 3 standard deviations
    in_another_order = dict(reversed(holes.items()))
    options = {"hole_px": (10, 10), "size_px": 64, "window_px": 32}
    for a, b in zip(draws(50, holes=holes, **options), draws(50, holes=in_another_order, **options), strict=True):
        np.testing.assert_array_equal(a[0], b[0])


def test_a_mask_never_covers_everything():
    """Where the window is the image, masks that cover it are drawn anew; where none can be left, that is said."""
    sizes = {"size_px": 32, "window_px": 32}
    found = draws(300, holes=only("thin", count=(1, 9), width_px=(5, 30)), hole_px=(8, 16), **sizes)
    assert max(float(mask.mean()) for mask, _ in found) > 0.9
    draws(50, holes=only("rectangles"), hole_px=(31, 32), **sizes)
    with pytest.raises(UserError, match=r"config.holes.rectangles left no pixel of 32 x 32 px known"):
        draws(1, holes=only("rectangles"), hole_px=(32, 32), **sizes)
