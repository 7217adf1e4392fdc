"""Completing photographs of any size: windows give the whole image's result."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glcic_jax.errors import UserError
from glcic_jax.inference import completer as module
from glcic_jax.inference.completer import Completer, complete
from glcic_jax.models.card import Card, Completing, Trained
from glcic_jax.models.completion import MARGIN_PX, CompletionNetwork
from tests.support.completion_reference import whole
from tests.support.networks import shaken
from tests.support.pictures import photograph, random_mask


@pytest.fixture(scope="module")
def completer(network, variables):
    return Completer((network, variables, Card()))


def scene(seed, height, width):
    rng = np.random.default_rng(seed)
    return rng.random((height, width, 3), np.float32), random_mask(rng, height, width)


def difference(completer, image, mask):
    """Largest difference to plain NumPy on the whole image; checks that known pixels are untouched."""
    found = completer(image, mask)
    known = np.broadcast_to(mask == 0, image.shape)
    np.testing.assert_array_equal(found[known], image[known])
    expected = whole(completer.network, completer.variables, image, mask)
    return np.abs(found - expected)[~known].max()


@pytest.mark.parametrize(
    ("height", "width"),
    [(16, 16), (17, 30), (33, 160), (161, 158), (310, 203), (480, 37)],
)
def test_windows_give_the_whole_image(completer, height, width):
    assert difference(completer, *scene(height * width, height, width)) < 1e-5


def test_all_corners_and_borders(completer):
    image, mask = scene(1, 97, 90)[0], np.zeros((97, 90, 1), np.uint8)
    mask[[0, 0, -1, -1, 0, 50, 50, -1], [0, -1, 0, -1, 40, 0, -1, 40]] = 1
    assert difference(completer, image, mask) < 1e-5


def test_tiles_give_the_whole_image(completer):
    image, mask = scene(2, 42, 1010)[0], np.zeros((42, 1010, 1), np.uint8)
    mask[10:, 20:1005] = 1
    assert len(module.plan_windows(mask[..., 0] > 0)) > 2
    assert difference(completer, image, mask) < 1e-5


OPTIONS = {
    "small budgets": {
        "normalization": "none", "residual": True, "negative_slope": 0.2, "output": "linear",
        "upsampling": "nearest",
    },
    "after": {"normalization": "batch_after_activation", "residual": True},
    "nearest": {"upsampling": "nearest"},
}  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_windows_with_other_networks(options):
    """Plain NumPy on the whole image again: at a corner, at a border and in the middle."""
    network = CompletionNetwork(
        width_multiplier=0.0625, mean_color=(0.4, 0.5, 0.6), precision=jax.lax.Precision.HIGHEST, **options
    )
    variables = shaken(network)
    if network.output == "linear":  # not only clipped values
        variables["params"]["conv17"]["kernel"] /= 8
    completer = Completer((network, variables, Card()))
    image, mask = scene(7, 61, 291)[0], np.zeros((61, 291, 1), np.uint8)
    mask[-1, 0] = mask[0, 30:40] = mask[20:40, 200:230] = mask[:2, -1] = 1
    assert len(module.plan_windows(mask[..., 0] > 0)) > 1
    assert difference(completer, image, mask) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [6, pytest.param(24, marks=pytest.mark.long)])
def test_random_cases(completer, sizes):
    """126 or 504 of them, 16 to 700 px, odd ones too; the whole image by the network itself, in `sizes` to compile."""
    whole_image = jax.jit(completer.network.apply)
    rng = np.random.default_rng(3)
    worst = 0.0
    for _ in range(sizes):
        padded = 4 * rng.integers(4, 176, 2)
        for _ in range(21):
            height, width = np.maximum(16, padded - rng.integers(0, 4, 2))
            image, mask = rng.random((height, width, 3), np.float32), random_mask(rng, height, width)
            padding = ((0, padded[0] - height), (0, padded[1] - width), (0, 0))
            arrays = [np.pad(array, padding, mode="symmetric") for array in (image, mask)]
            expected = np.asarray(whole_image(completer.variables, *arrays))[:height, :width]
            found = completer(image, mask)
            known = np.broadcast_to(mask == 0, image.shape)
            np.testing.assert_array_equal(found[known], image[known])
            worst = max(worst, np.abs(found - expected)[~known].max())
    print(f"largest difference in {21 * sizes} cases: {worst:.2g}")
    assert worst < 1e-5


def test_the_margin_is_not_wasteful(completer, monkeypatch):
    """With one stride less of it, as if the photograph ended there, the result differs."""
    image, mask = scene(4, 400, 400)[0], np.zeros((400, 400, 1), np.uint8)
    mask[180:252, 180:252] = 1  # a core, filled
    exact = completer(image, mask)
    for side, shift in ((0, 4), (1, 4), (2, -4), (3, -4)):
        (window,) = module.plan_windows(mask[..., 0] > 0)
        seen = np.array([-152, -152, window.core_px[0] + 148, window.core_px[1] + 148], np.int32)
        with monkeypatch.context() as patch:
            patch.setattr(type(window), "photograph", lambda *_, seen=seen: seen)
            np.testing.assert_array_equal(completer(image, mask), exact)  # all of the margin: as without
            seen[side] += shift
            assert np.abs(completer(image, mask) - exact).max() > 1e-5


def test_kinds_of_arrays(completer):
    image, mask = photograph(0, 45, 61), np.zeros((45, 61, 1), np.uint8)
    mask[20:30, 40:] = 1
    hole = np.broadcast_to(mask > 0, image.shape)
    exact = completer(image / np.float32(255), mask)
    for kind, top in ((np.uint8, 255), (np.uint16, 65535)):
        values = image.astype(kind) * kind(top // 255)
        found = completer(values, mask)
        assert found.dtype == kind
        np.testing.assert_allclose(found[hole] / top, exact[hole], atol=0.51 / top)
        np.testing.assert_array_equal(found[~hole], values[~hole])
    assert completer(image / 255, mask > 0).dtype == np.float64
    on_device = completer(jnp.asarray(image), jnp.asarray(mask))
    assert isinstance(on_device, jax.Array)
    np.testing.assert_array_equal(on_device, completer(image, mask))
    batch = completer(np.stack([image, image[::-1]]), np.stack([mask, mask[::-1]]))
    np.testing.assert_array_equal(batch[0], completer(image, mask))
    np.testing.assert_array_equal(batch[1], completer(image[::-1], mask[::-1]))


def test_other_conventions_of_the_network():
    """Where the hole is filled without centring, the padding beyond the border is still zero, not the fill."""
    network = CompletionNetwork(
        width_multiplier=0.03125, negative_slope=0.2, output="tanh", hole_fill="mean", mean_color=(0.2, 0.3, 0.4),
        mask_channel=False, precision=jax.lax.Precision.HIGHEST,
    )  # fmt: skip
    variables = shaken(network)
    image, mask = scene(5, 40, 60)
    found = Completer((network, variables, Card()))(image, mask)
    expected = jax.jit(network.apply)(variables, image, mask)
    np.testing.assert_allclose(found, np.where(mask > 0, expected, image), atol=1e-5)


def test_threads_share_a_completer(completer):
    scenes = [scene(seed, 64, 80) for seed in range(4)]
    expected = [completer(*each) for each in scenes]
    found = [None] * 4

    def work(index):
        found[index] = completer(*scenes[index])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_few_compilations(completer, monkeypatch):
    """Forty photographs of different sizes: never more programs than there are shapes of cores."""

    def middle(network, variables, image, hole, photograph):  # of the right shape, and quickly compiled
        return image[MARGIN_PX[0] : -MARGIN_PX[1], MARGIN_PX[0] : -MARGIN_PX[1]]

    monkeypatch.setattr(module, "_apply", jax.jit(middle, static_argnums=0))
    rng = np.random.default_rng(6)
    for _ in range(40):
        height, width = rng.integers(16, 1500, 2)
        completer(photograph(0, height, width), random_mask(rng, height, width))
    assert 3 <= module._apply._cache_size() <= 6


def test_bad_input(network, variables):
    image = photograph(3, 16, 24)
    for mask, message in (
        (np.ones((24, 16, 1), np.uint8), "image is 24 x 16 px and the mask 16 x 24 px"),
        (np.ones((16, 24, 1), np.uint8), "covers the whole image"),
        (np.zeros((16, 24, 1), np.uint8), "mask is empty"),
        (np.zeros((16, 24), np.uint8), r"must be \(..., H, W, 3\) and \(..., H, W, 1\)"),
    ):
        with pytest.raises(UserError, match=message):
            complete(network, variables, image, mask)
    with pytest.raises(UserError, match="only 15 x 16 px, where 16 px a side are the least"):
        complete(network, variables, image[:, :15], np.ones((16, 15, 1), np.uint8))
    with pytest.raises(UserError, match="int64"):
        complete(network, variables, image.astype(np.int64), np.ones((16, 24, 1), np.uint8))


def test_holes_that_lie_apart_are_completed_apart(network, variables):
    """With blending and a lower scale too: each as if it were alone, since neither sees the other."""
    completer = Completer((network, variables, Card(trained=Trained(crop_px=64, hole_px=(8, 30)))))
    image = np.random.default_rng(5).random((1000, 700, 3), np.float32)
    masks = np.zeros((2, 1000, 700, 1), np.uint8)
    masks[0, 5:25, 10:40], masks[1, 900:960, 630:695] = 1, 1  # the second one is thicker than the trained ones
    together = completer(image, masks.sum(0), blend=True)
    for mask in masks:
        alone = completer(image, mask, blend=True)
        np.testing.assert_array_equal(together[mask[..., 0] > 0], alone[mask[..., 0] > 0])
    known = masks.sum(0)[..., 0] == 0
    np.testing.assert_array_equal(together[known], image[known])


def test_blending_is_the_card_s_choice(network, variables):
    image, mask = scene(7, 60, 70)
    plain, blending = (
        Completer((network, variables, Card(completing=Completing(blend=blend)))) for blend in (False, True)
    )
    assert (plain.blends, blending.blends) == (False, True)
    np.testing.assert_array_equal(plain(image, mask), blending(image, mask, blend=False))
    np.testing.assert_array_equal(plain(image, mask, blend=True), blending(image, mask))
    assert (plain(image, mask) != blending(image, mask)).any()


def test_ranges(completer):
    image, mask = photograph(0, 40, 50), np.zeros((40, 50, 1), np.uint8)
    mask[10:20, 10:30] = 1
    nan = image / 255
    nan[15, 15] = np.nan
    for wrong, message in (
        (image.astype(np.float32), r"floats from 0 to 2\d\d; scale them to \[0, 1\]"),
        (image / 127.5 - 1, r"floats from -"),
        (image.astype(np.uint16), r"uint16, but its largest value is 2\d\d: it seems to hold 8 bits"),
        (nan, r"not finite \(NaN or infinity\)"),
    ):
        with pytest.raises(UserError, match=message):
            completer(wrong, mask)
    for wrong, message in (
        (mask * 255.0, r"the mask holds floats from 0 to 255"),
        (mask.astype(np.int32) * 300, r"integers from 0 to 300"),
        (mask.astype(np.int8) - 1, r"integers from -1"),
        (mask * np.nan, r"the mask holds floats from nan"),
        (mask.astype(complex), r"the mask holds complex128"),
    ):
        with pytest.raises(UserError, match=message):
            completer(image, wrong)
    with pytest.raises(UserError, match=r"\(2, 40, 50, 3\) and the mask \(40, 50, 1\); give one mask for each image"):
        completer(np.stack([image, image]), mask)


def test_masks_by_half_their_range(completer):
    image = photograph(0, 40, 50)
    soft = np.linspace(0, 1, 50, dtype=np.float32)[None, :, None].repeat(40, 0)
    expected = completer(image, soft > 0.5)
    for mask in (soft, (soft * 255).round().astype(np.uint8), (soft * 65535).round().astype(np.uint16)):
        np.testing.assert_array_equal(completer(image, mask), expected)


def test_weights_that_are_no_numbers(network, variables):
    broken = jax.tree.map(lambda leaf: np.full_like(leaf, np.nan), variables)
    image, mask = scene(8, 40, 40)
    with pytest.raises(UserError, match="paints values that are no numbers"):
        Completer((network, broken, Card()))(image, mask)
