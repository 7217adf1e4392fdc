"""The Context Encoder: shapes and counts layer by layer, its special layer by brute force, what it sees and paints."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glcic_jax.errors import UserError
from glcic_jax.inference.completer import Completer
from glcic_jax.models import folder as model_folder
from glcic_jax.models.context_encoder import ChannelwiseDense, ContextEncoder, PatchDiscriminator
from tests.support.networks import shaken


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_shapes_and_counts_layer_by_layer():
    """Pathak et al. 2016: 128 px to 4 x 4 x 512, m n^4 channel-wise weights, back to 64 px (supplement and 3.1)."""
    image, mask = jax.ShapeDtypeStruct((1, 128, 128, 3), "float32"), jax.ShapeDtypeStruct((1, 128, 128, 1), "float32")
    network = ContextEncoder()
    shapes = jax.eval_shape(network.init, jax.random.key(0), image, mask)

    def layers(variables, image, mask):
        return network.apply(variables, image, mask, capture_intermediates=True)[1]["intermediates"]

    seen = jax.eval_shape(layers, shapes, image, mask)
    outputs = {name: layer["__call__"][0].shape[1:] for name, layer in seen.items() if name != "__call__"}
    params = shapes["params"]
    expected = 0
    side, inputs = 128, 3
    for number, channels in enumerate((64, 64, 128, 256, 512), 1):
        side //= 2
        assert outputs[f"encoder_conv{number}"] == (side, side, channels)
        expected += (4 * 4 * inputs + 1) * channels + (2 * channels if number > 1 else 0)
        inputs = channels
    m, n = 512, 4
    assert outputs["channelwise"] == (n, n, m) and params["channelwise"]["kernel"].size == m * n**4
    expected += m * n**4 + m * n**2 + (m + 1) * m + 2 * m
    for number, channels in enumerate((256, 128, 64, 3), 1):
        side *= 2
        assert outputs[f"decoder_conv{number}"] == (side, side, channels)
        expected += (4 * 4 * inputs + 1) * channels + (2 * channels if number < 4 else 0)
        inputs = channels
    assert side == 64 and count(params) == expected

    judge = PatchDiscriminator()
    window = jax.ShapeDtypeStruct((1, 64, 64, 3), "float32")
    judged = jax.eval_shape(judge.init, jax.random.key(0), image, window)["params"]
    channels = (3, 64, 128, 256, 512)
    convolutions = sum((16 * i + 1) * o for i, o in itertools.pairwise(channels))
    assert count(judged) == convolutions + 2 * (128 + 256 + 512) + 4 * 4 * 512 + 1


def test_channelwise_dense_against_loops():
    layer, rng = ChannelwiseDense(precision=jax.lax.Precision.HIGHEST), np.random.default_rng(0)
    x = rng.normal(size=(2, 2, 3, 4)).astype(np.float32)
    variables = layer.init(jax.random.key(0), jnp.asarray(x))
    kernel, bias = (np.asarray(variables["params"][name]) for name in ("kernel", "bias"))
    assert kernel.shape == (4, 6, 6) and np.abs(kernel).max() <= 1 / 6**0.5
    found = np.asarray(layer.apply(variables, jnp.asarray(x)))
    for sample, channel, place in np.ndindex(2, 4, 6):
        value = x[sample, ..., channel].reshape(-1) @ kernel[channel, :, place] + bias[channel, place]
        np.testing.assert_allclose(found[sample, place // 3, place % 3, channel], value, atol=1e-5)


@pytest.fixture(scope="module")
def encoder():
    network = ContextEncoder(image_px=32, width_multiplier=0.03125, mean_color=(0.2, 0.4, 0.6))
    return network, shaken(network, side=32)


def test_it_sees_nothing_of_the_square_and_changes_nothing_else(encoder):
    network, variables = encoder
    rng = np.random.default_rng(1)
    image = rng.random((3, 32, 32, 3)).astype(np.float32)
    other = image.copy()
    other[:, 8:24, 8:24] = rng.random((3, 16, 16, 3))
    apply = jax.jit(network.apply)
    mask = np.zeros((3, 32, 32, 1), np.float32)
    mask[:, 8:24, 8:24] = 1
    a, b = apply(variables, image, mask), apply(variables, other, mask)
    np.testing.assert_array_equal(a, b)
    known = mask[..., 0] == 0
    np.testing.assert_array_equal(np.asarray(a)[known], image[known])
    assert a.min() >= 0 and a.max() <= 1
    nearer = image.copy()
    nearer[:, 0, 0] = 1 - nearer[:, 0, 0]
    assert (np.asarray(apply(variables, nearer, mask))[:, 8:24, 8:24] != np.asarray(a)[:, 8:24, 8:24]).any()
    with pytest.raises(ValueError, match=r"must be \(..., 32, 32, 3\)"):
        network.apply(variables, image[:, :16], mask[:, :16])


def test_a_model_folder_says_what_it_is(encoder, tmp_path):
    network, variables = encoder
    model_folder.save(tmp_path / "model", (network, variables), None)
    card = model_folder.read_card(tmp_path / "model")
    assert card.completion is None and card.context_encoder.file == "context_encoder.safetensors"
    completer = Completer(tmp_path / "model")
    assert isinstance(completer.network, ContextEncoder) and completer.network.image_px == 32
    rng = np.random.default_rng(2)
    image, mask = rng.integers(0, 256, (32, 32, 3), np.uint8), np.zeros((32, 32, 1), np.uint8)
    mask[10:20, 9:23] = 1
    painted = completer(image, mask)
    expected = np.asarray(network.apply(variables, image / np.float32(255), mask))
    assert np.abs(painted[mask[..., 0] > 0] - 255 * expected[mask[..., 0] > 0]).max() <= 0.51
    np.testing.assert_array_equal(painted[mask[..., 0] == 0], image[mask[..., 0] == 0])
    mask[2, 2] = 1
    with pytest.raises(UserError, match=r"central 16 px of images of 32 x 32 px.*hole reaches further"):
        completer(image, mask)
    with pytest.raises(UserError, match="this image is 32 x 28 px"):
        completer(image[:28], mask[:28])
