"""The completion network's contract: shapes, fills, ranges, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glcic_jax.models.completion import CompletionNetwork, composite

WIDTH = 0.03125


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.random((2, 16, 24, 3)), jnp.float32)
    mask = np.zeros((2, 16, 24, 1), np.uint8)
    mask[:, 4:9, 5:14] = 1
    return image, jnp.asarray(mask)


def variables_of(network):
    image = jnp.zeros((1, 16, 16, 3))
    return network.init(jax.random.key(0), image, image[..., :1])


@pytest.mark.parametrize("output", ["sigmoid", "tanh", "linear"])
@pytest.mark.parametrize("hole_fill", ["mean_centred", "mean", 0.0])
def test_the_pixels_in_the_hole_do_not_matter(scene, output, hole_fill):
    image, mask = scene
    network = CompletionNetwork(width_multiplier=WIDTH, output=output, hole_fill=hole_fill)
    variables = variables_of(network)
    first = network.apply(variables, image, mask)
    second = network.apply(variables, jnp.where(mask > 0, 0.77, image), mask)
    np.testing.assert_array_equal(first, second)
    assert first.shape == image.shape
    assert first.min() >= 0 and first.max() <= 1


@pytest.mark.parametrize(
    ("output", "hole_fill", "known", "hole"),
    [
        ("sigmoid", "mean_centred", 0.3, 0.0),
        ("sigmoid", "mean", 0.5, 0.2),
        ("sigmoid", 0.0, 0.5, 0.0),
        ("tanh", "mean_centred", 0.6, 0.0),
        ("tanh", "mean", 0.0, -0.6),
        ("tanh", 0.0, 0.0, -1.0),
    ],
)
def test_what_the_first_layer_sees(output, hole_fill, known, hole):
    network = CompletionNetwork(output=output, hole_fill=hole_fill, mean_color=(0.2, 0.2, 0.2))
    image = jnp.full((1, 4, 4, 3), 0.5)
    mask = jnp.zeros((1, 4, 4, 1)).at[0, 0, 0, 0].set(1)
    seen = network.network_input(image, mask)
    np.testing.assert_allclose(seen[0, 0, 0], [hole] * 3 + [1], atol=1e-7)
    np.testing.assert_allclose(seen[0, 1, 1], [known] * 3 + [0], atol=1e-7)


def test_options_change_the_parameters():
    plain = variables_of(CompletionNetwork(width_multiplier=WIDTH))["params"]
    bare = variables_of(CompletionNetwork(width_multiplier=WIDTH, use_bias=False, mask_channel=False))["params"]
    assert plain["conv1"]["kernel"].shape == (5, 5, 4, 2)
    assert bare["conv1"]["kernel"].shape == (5, 5, 3, 2)
    assert all("bias" not in layer for name, layer in bare.items() if name.startswith("conv"))


def test_leading_axes_are_free(scene):
    image, mask = scene
    network = CompletionNetwork(width_multiplier=WIDTH)
    variables = variables_of(network)
    batch = network.apply(variables, image, mask)
    single = network.apply(variables, image[0], mask[0])
    stacked = network.apply(variables, image[None], mask[None])
    np.testing.assert_allclose(single, batch[0], atol=1e-6)
    np.testing.assert_allclose(stacked[0], batch, atol=1e-6)


def test_numpy_arrays_of_any_float_and_mask_type(scene):
    """Dividing 8-bit values by 255 in NumPy gives float64: no warning, the same result."""
    image, mask = (np.asarray(array) for array in scene)
    network = CompletionNetwork(width_multiplier=WIDTH)
    variables = variables_of(network)
    expected = network.apply(variables, image, mask)
    np.testing.assert_array_equal(network.apply(variables, image.astype(np.float64), mask > 0), expected)


def test_bfloat16_compute_keeps_float32_parameters_and_output(scene):
    image, mask = scene
    network = CompletionNetwork(width_multiplier=WIDTH, dtype=jnp.bfloat16)
    variables = variables_of(network)
    output, moved = network.apply(variables, image, mask, train=True, mutable=["batch_stats"])
    assert output.dtype == jnp.float32
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((variables, moved)))
    exact = CompletionNetwork(width_multiplier=WIDTH).apply(variables, image, mask, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(output, exact[0], atol=0.05)


def test_composite_keeps_known_pixels_bit_for_bit(scene):
    image, mask = scene
    merged = composite(jnp.full_like(image, jnp.nan), image, mask)
    known = np.broadcast_to(mask == 0, image.shape)
    np.testing.assert_array_equal(np.asarray(merged)[known], np.asarray(image)[known])
    assert np.isnan(np.asarray(merged)[~known]).all()


@pytest.mark.parametrize(
    ("image", "mask", "error"),
    [
        (jnp.zeros((1, 16, 18, 3)), jnp.zeros((1, 16, 18, 1)), "16 x 18 px"),
        (jnp.zeros((1, 16, 16, 4)), jnp.zeros((1, 16, 16, 1)), "image has shape"),
        (jnp.zeros((1, 16, 16, 3)), jnp.zeros((1, 16, 20, 1)), "mask has shape"),
        (jnp.zeros((1, 16, 16, 3), jnp.uint8), jnp.zeros((1, 16, 16, 1)), "divide 8-bit values by 255"),
    ],
)
def test_bad_inputs(unchecked_shapes, image, mask, error):
    network = CompletionNetwork(width_multiplier=WIDTH)
    with pytest.raises((ValueError, TypeError), match=error):
        network.apply(variables_of(network), image, mask)


def test_options_add_and_remove_layers():
    plain = variables_of(CompletionNetwork(width_multiplier=WIDTH))
    small = variables_of(
        CompletionNetwork(width_multiplier=WIDTH, normalization="none", residual=True, upsampling="nearest")
    )
    assert "batch_stats" not in small and not any("norm" in name for name in small["params"])
    added = {name: layer["scale"] for name, layer in small["params"].items() if name.startswith("residual")}
    assert sorted(added) == sorted(f"residual{number}" for number in (3, 5, 6, 7, 8, 9, 10, 11, 12, 14))
    np.testing.assert_allclose(list(added.values()), 0.3)
    assert plain["params"]["conv13"]["kernel"].shape == (4, 4, 8, 4)
    assert small["params"]["conv13"]["kernel"].shape == (3, 3, 8, 4)


def test_gradients_pass_where_a_linear_output_is_clipped(scene):
    image, mask = scene
    network = CompletionNetwork(width_multiplier=WIDTH, output="linear", normalization="none")
    variables = variables_of(network)
    variables["params"]["conv17"]["bias"] = jnp.array([5.0, -5.0, 0.0])

    def total(variables):
        output = network.apply(variables, image, mask)
        return jnp.einsum("...c,c", output, jnp.array([1.0, 2.0, 3.0])).sum(), output

    (_, output), gradient = jax.jit(jax.value_and_grad(total, has_aux=True))(variables)
    np.testing.assert_array_equal(output[..., 0], 1)
    np.testing.assert_array_equal(output[..., 1], 0)
    pixels = output.size / 3
    np.testing.assert_allclose(gradient["params"]["conv17"]["bias"], [pixels, 2 * pixels, 3 * pixels], rtol=1e-5)


def test_bad_fields():
    for field in ("normalization", "upsampling", "initial_values"):
        with pytest.raises(ValueError, match=f"{field} is 'other'; it must be one of"):
            CompletionNetwork(**{field: "other"})
    with pytest.raises(ValueError, match="softplus"):
        CompletionNetwork(output="softplus")
    with pytest.raises(ValueError, match="median"):
        CompletionNetwork(hole_fill="median")
