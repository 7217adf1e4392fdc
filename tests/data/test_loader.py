"""The data order: a pure function of (seed, global sample index)."""

import functools

import numpy as np
import pytest

from glcic_jax.data import loader
from glcic_jax.data.batch import Batch
from glcic_jax.data.holes import draw_hole
from glcic_jax.data.loader import batches, stack
from glcic_jax.data.reading import Reader
from glcic_jax.errors import UserError
from glcic_jax.recipes import load_recipe
from tests.support.paths import ROOT
from tests.support.pictures import encoded, photograph

RECTANGLES = {"rectangles": {"share": 1.0, "count": (1, 1)}}


def drawer(holes=RECTANGLES, size_px=32, window_px=16):
    return functools.partial(
        draw_hole, size_px=size_px, window_px=window_px, hole_px=(8, 16), holes=holes, in_window=True
    )


def training_samples(records, **changes):
    options = {"seed": 0, "short_side_px": (40, 60), "crop_px": 32, "flip": True, "window_px": 16}
    reader = records if isinstance(records, Reader) else Reader(records, 0.0)
    return loader.training_samples(reader, **options | {"draw_hole": drawer()} | changes)


def fixed_samples(records, **changes):
    options = {"count": 4, "short_side_px": 40, "crop_px": 32, "draw_hole": drawer()}
    return loader.fixed_samples(Reader(records, 0.0), **options | changes)


@pytest.fixture(scope="module")
def records():
    return [encoded(photograph(i)) for i in range(10)]


def equal(a: Batch, b: Batch) -> bool:
    return all(np.array_equal(x, y) and x.dtype == y.dtype for x, y in zip(a, b, strict=True))


def test_shapes(records):
    batch = next(batches(training_samples(records, seed=0), batch_size=6, start_step=0, stop_step=1))
    assert [(f.shape, f.dtype.name) for f in batch] == [
        ((6, 32, 32, 3), "uint8"),
        ((6, 32, 32, 1), "uint8"),
        ((6, 2), "int32"),
        ((6, 2), "int32"),
    ]


def test_global_batches_over_three_epochs(records):
    """Whatever the processes, the threads and the step at which one begins; and each record once an epoch."""
    samples = training_samples(records, seed=3)
    whole = list(batches(samples, batch_size=8, start_step=0, stop_step=4, threads=1))
    assert len(whole) == 4  # 32 samples of 10 records: three epochs and a bit
    again = training_samples(records, seed=3)
    for count, threads, start in ((1, 4, 0), (1, 4, 3), (2, 1, 0), (2, 4, 1), (4, 4, 0), (4, 1, 2)):
        shares = [
            list(
                batches(
                    again, batch_size=8, start_step=start, stop_step=4,
                    process_index=index, process_count=count, threads=threads,
                )
            )
            for index in range(count)
        ]  # fmt: skip
        for step in range(start, 4):
            of_step = (share[step - start] for share in shares)
            joined = Batch(*(np.concatenate(fields) for fields in zip(*of_step, strict=True)))
            assert equal(joined, whole[step])


def test_samples_are_fixed_by_seed_and_index_in_any_order(records):
    samples = training_samples(records, seed=1)
    forward = [samples[i] for i in range(25)]
    again = training_samples(records, seed=1)
    for i in reversed(range(25)):
        assert equal(again[i], forward[i])
    other = training_samples(records, seed=2)
    assert not equal(stack(forward), stack([other[i] for i in range(25)]))


def test_every_epoch_is_a_fresh_permutation():
    colours = np.arange(10, 250, 24)
    records = [encoded(np.full((40, 40, 3), c, np.uint8)) for c in colours]
    samples = training_samples(records, seed=0)
    epochs = [[round((int(samples[e * 10 + i].image.mean()) - 10) / 24) for i in range(10)] for e in range(3)]
    assert all(sorted(order) == list(range(10)) for order in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_flip_happens_to_half(records):
    left = np.zeros((40, 40, 3), np.uint8)
    left[:, :20] = 255
    record = [encoded(left)]
    options = {"short_side_px": (40, 40), "crop_px": 40, "draw_hole": drawer(size_px=40)}
    samples = training_samples(record, **options)
    flipped = [bool(samples[i].image[0, 0, 0] < 128) for i in range(100)]
    assert 30 < sum(flipped) < 70
    unflipped = training_samples(record, **options, flip=False)
    assert not any(unflipped[i].image[0, 0, 0] < 128 for i in range(20))


def test_fixed_samples_never_change(records):
    first, second = (fixed_samples(records) for _ in range(2))
    assert equal(first, second)
    assert len(first.image) == 4


def test_few_records_come_again_elsewhere_and_with_other_holes(records):
    """So that a handful of photographs still gives as many validation samples as were asked for."""
    once, often = (fixed_samples(records, count=count) for count in (10, 40))
    assert len(often.image) == 40 and equal(Batch(*(field[:10] for field in often)), once)
    assert len({mask.tobytes() for mask in often.mask}) > 20
    for record in range(10):
        crops = {often.image[index].tobytes() for index in range(record, 40, 10)}
        assert len(crops) > 1


def test_holes_are_the_recipes(records):
    """Rectangles fill their box, strokes do not; both in training and in validation."""
    kinds = load_recipe(ROOT / "configs" / "places2.py", []).holes.to_dict()
    for kind, full in (("rectangles", True), ("brush", False)):
        draw = drawer({kind: kinds[kind] | {"share": 1.0}}, 40, 40)
        samples = training_samples(records, crop_px=40, window_px=40, draw_hole=draw)
        fixed = fixed_samples(records, crop_px=40, draw_hole=draw)
        for mask in [*(samples[i].mask for i in range(10)), *fixed.mask]:
            rows, columns = (mask[..., 0].any(axis=axis).sum() for axis in (1, 0))
            assert (mask.sum() == rows * columns) == full


def test_damaged_records_are_replaced_by_the_next(records):
    broken = list(records)
    broken[2], broken[3], broken[9] = b"<html>", records[3][:100], b""
    reader = Reader(broken, 0.3)
    samples = [training_samples(reader)[i] for i in range(10)]
    repaired = list(records)
    repaired[2] = repaired[3] = records[4]
    repaired[9] = records[0]
    for i, sample in enumerate(samples):
        assert equal(sample, training_samples(repaired)[i])
    assert sorted(reason.partition(":")[0] for reason in reader.damaged()) == [
        f"record {number} of 10 cannot be read" for number in (2, 3, 9)
    ]
    with pytest.raises(UserError, match=r"3 of 10 records cannot be read, more than config.max_damaged_share allows"):
        list(batches(training_samples(Reader(broken, 0.2)), batch_size=10, start_step=0, stop_step=1))
    with pytest.raises(UserError, match="no record can be read"):
        Reader([b"", b""], 1.0).read(0, 32)
