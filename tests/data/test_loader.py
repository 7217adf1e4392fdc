"""The data order: a pure function of (seed, global sample index)."""

import numpy as np
import pytest
from PIL import Image

from glcic_jax.cli.recipes import load_recipe
from glcic_jax.data.batch import Batch
from glcic_jax.data.loader import batches, crop, fixed_samples, stack, training_samples
from tests.conftest import ROOT, encoded, photograph

HOLES = {"holes": {"rectangles": {"share": 1.0, "count": (1, 1)}}, "holes_in_window": True}
OPTIONS = {"short_side_px": (40, 60), "crop_px": 32, "flip": True, "hole_px": (8, 16), "window_px": 16} | HOLES


@pytest.fixture(scope="module")
def records():
    return [encoded(photograph(i)) for i in range(10)]


def equal(a: Batch, b: Batch) -> bool:
    return all(np.array_equal(x, y) and x.dtype == y.dtype for x, y in zip(a, b, strict=True))


def test_shapes(records):
    batch = next(batches(training_samples(records, seed=0, **OPTIONS), batch_size=6, start_step=0, stop_step=1))
    assert [(f.shape, f.dtype.name) for f in batch] == [
        ((6, 32, 32, 3), "uint8"),
        ((6, 32, 32, 1), "uint8"),
        ((6, 2), "int32"),
        ((6, 2), "int32"),
    ]


def test_global_batches_do_not_depend_on_processes_or_start(records):
    samples = training_samples(records, seed=3, **OPTIONS)
    whole = list(batches(samples, batch_size=8, start_step=0, stop_step=5))
    assert len(whole) == 5
    again = training_samples(records, seed=3, **OPTIONS)
    late = list(batches(again, batch_size=8, start_step=3, stop_step=5))
    assert equal(late[0], whole[3]) and equal(late[1], whole[4])
    for count in (2, 4):
        shares = [
            list(batches(again, batch_size=8, start_step=0, stop_step=5, process_index=i, process_count=count))
            for i in range(count)
        ]
        for step in range(5):
            joined = Batch(*(np.concatenate(fields) for fields in zip(*(s[step] for s in shares), strict=True)))
            assert equal(joined, whole[step])


def test_samples_are_fixed_by_seed_and_index_in_any_order(records):
    samples = training_samples(records, seed=1, **OPTIONS)
    forward = [samples[i] for i in range(25)]
    again = training_samples(records, seed=1, **OPTIONS)
    for i in reversed(range(25)):
        assert equal(again[i], forward[i])
    other = training_samples(records, seed=2, **OPTIONS)
    assert not equal(stack(forward), stack([other[i] for i in range(25)]))


def test_every_epoch_is_a_fresh_permutation():
    colours = np.arange(10, 250, 24)
    records = [encoded(np.full((40, 40, 3), c, np.uint8)) for c in colours]
    samples = training_samples(records, seed=0, **OPTIONS)
    epochs = [[round((int(samples[e * 10 + i].image.mean()) - 10) / 24) for i in range(10)] for e in range(3)]
    assert all(sorted(order) == list(range(10)) for order in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_crop_of_the_original_size_is_a_slice():
    image = photograph(0, 50, 70)
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


def test_flip_happens_to_half(records):
    left = np.zeros((40, 40, 3), np.uint8)
    left[:, :20] = 255
    record = [encoded(left)]
    options = OPTIONS | {"short_side_px": (40, 40), "crop_px": 40}
    samples = training_samples(record, seed=0, **options)
    flipped = [bool(samples[i].image[0, 0, 0] < 128) for i in range(100)]
    assert 30 < sum(flipped) < 70
    unflipped = training_samples(record, seed=0, **options | {"flip": False})
    assert not any(unflipped[i].image[0, 0, 0] < 128 for i in range(20))


def test_fixed_samples_never_change(records):
    options = {"count": 4, "short_side_px": 40, "crop_px": 32, "hole_px": (8, 16), "window_px": 16} | HOLES
    first, second = (fixed_samples(records, **options) for _ in range(2))
    assert equal(first, second)
    assert len(first.image) == 4
    assert len(fixed_samples(records, **options | {"count": 99}).image) == 10


def test_holes_are_the_recipes(records):
    """Rectangles fill their box, strokes do not; both in training and in validation."""
    kinds = load_recipe(ROOT / "configs" / "places2.py", []).holes.to_dict()
    for kind, full in (("rectangles", True), ("brush", False)):
        options = OPTIONS | {"holes": {kind: kinds[kind] | {"share": 1.0}}, "crop_px": 40, "window_px": 40}
        samples = training_samples(records, seed=0, **options)
        short_sides = {"short_side_px": 40, "count": 10}
        fixed = fixed_samples(records, **{k: v for k, v in (options | short_sides).items() if k != "flip"})
        for mask in [*(samples[i].mask for i in range(10)), *fixed.mask]:
            rows, columns = (mask[..., 0].any(axis=axis).sum() for axis in (1, 0))
            assert (mask.sum() == rows * columns) == full
