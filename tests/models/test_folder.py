"""Model folders: what is saved comes back, and damage is noticed."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import glcic_jax
from glcic_jax.errors import UserError
from glcic_jax.models import folder as model_folder
from glcic_jax.models.card import Card, Trained
from glcic_jax.models.completion import CompletionNetwork
from glcic_jax.models.discriminator import ContextDiscriminator

IMAGE = jnp.linspace(0, 1, 16 * 16 * 3).reshape(1, 16, 16, 3)
TRAINED = Trained(crop_px=16, hole_px=(6, 6), hole_shares={"rectangles": 1.0})
MASK = jnp.zeros((1, 16, 16, 1)).at[:, 4:10, 6:12].set(1)


@pytest.fixture
def saved(tmp_path):
    completion = CompletionNetwork(
        width_multiplier=0.03125, negative_slope=0.2, output="tanh", hole_fill=0.25, mean_color=(0.1, 0.2, 0.3),
        dtype=jnp.float32, statistics_axis="data",
    )  # fmt: skip
    discriminator = ContextDiscriminator(width_multiplier=0.03125, local_depth=1)
    c = completion.init(jax.random.key(0), IMAGE, MASK)
    d = discriminator.init(jax.random.key(1), IMAGE, IMAGE[:, :8, :8])
    folder = tmp_path / "model"
    model_folder.save(folder, (completion, c), (discriminator, d), Card(trained=TRAINED))
    return folder, completion, c, discriminator, d


def test_round_trip(saved):
    folder, completion, c, _discriminator, d = saved
    network, variables, card = glcic_jax.load(folder)
    np.testing.assert_array_equal(network.apply(variables, IMAGE, MASK), completion.apply(c, IMAGE, MASK))
    assert card.trained == TRAINED
    assert network.mean_color == (0.1, 0.2, 0.3) and network.statistics_axis is None
    loaded, loaded_variables = model_folder.load_discriminator(folder, card)
    assert loaded.local_depth == 1
    for a, b in zip(jax.tree.leaves(loaded_variables), jax.tree.leaves(d), strict=True):
        np.testing.assert_array_equal(a, b)


def test_saving_again_replaces(saved):
    folder, completion, c, _, _ = saved
    model_folder.save(folder, (completion, c), None)
    card = model_folder.read_card(folder)
    assert card.discriminator is None
    assert model_folder.load_discriminator(folder, card) is None
    assert sorted(p.name for p in folder.parent.iterdir()) == ["model"]


def test_half_precision_weights_load_as_float32(saved):
    folder, completion, c, _, _ = saved
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), c)
    model_folder.save(folder, (completion, half), None)
    _, variables, _ = glcic_jax.load(folder)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(variables))


def _rewrite(card_file, change):
    card = json.loads(card_file.read_text())
    change(card)
    card_file.write_text(json.dumps(card))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "completion.safetensors").unlink(), "completion.safetensors is missing"),
        (lambda f: (f / "discriminator.safetensors").unlink(), "discriminator.safetensors is missing"),
        (lambda f: (f / "card.json").unlink(), "holds no card.json"),
        (lambda f: (f / "card.json").write_text("{"), "not a model's card"),
        (lambda f: (f / "card.json").write_text("{}"), "not a model's card"),
        (lambda f: _rewrite(f / "card.json", lambda c: c.update(format_version=99)), "install a newer"),
        (lambda f: _rewrite(f / "card.json", lambda c: c.update(format="a" * 5000)), r"^.{,400}$"),
        (
            lambda f: _rewrite(f / "card.json", lambda c: c["completion"]["network"].update(output="a" * 5000)),
            r"^.{,400}$",
        ),
        (lambda f: _rewrite(f / "card.json", lambda c: c["completion"].pop("network")), "not a model's card"),
        (lambda f: _rewrite(f / "card.json", lambda c: c["completion"].pop("sha256")), "not a model's card"),
        (lambda f: _rewrite(f / "card.json", lambda c: c["trained"].pop("crop_px")), r"trained\.crop_px is missing"),
        (lambda f: _rewrite(f / "card.json", lambda c: c["trained"].update(crop_px="16")), r"trained\.crop_px is '16'"),
        (
            lambda f: _rewrite(f / "card.json", lambda c: c["trained"].update(hole_px=[9, 3])),
            r"trained\.hole_px is \(9, 3\); it must be",
        ),
        (lambda f: _rewrite(f / "card.json", lambda c: c["completion"].update(file="../x")), "a file beside the card"),
        (
            lambda f: _rewrite(f / "card.json", lambda c: c["completion"]["network"].update(width_multiplier=1.0)),
            "does not describe the weights",
        ),
        (
            lambda f: _rewrite(f / "card.json", lambda c: c["completion"]["network"].update(depth=9)),
            "cannot be built",
        ),
    ],
)
def test_damage(saved, damage, message):
    folder = saved[0]
    damage(folder)
    with pytest.raises(UserError, match=message):
        glcic_jax.load(folder)


def test_a_flipped_byte_is_noticed(saved):
    weights = saved[0] / "completion.safetensors"
    data = bytearray(weights.read_bytes())
    data[-5] ^= 1
    weights.write_bytes(data)
    with pytest.raises(UserError, match="was altered"):
        glcic_jax.load(saved[0])


def test_whoever_may_read_the_card_may_read_the_weights(saved):
    modes = {file.name: file.stat().st_mode for file in saved[0].iterdir()}
    assert modes["completion.safetensors"] == modes["discriminator.safetensors"] == modes["card.json"]


def test_no_folder(tmp_path):
    with pytest.raises(UserError, match="no model folder"):
        glcic_jax.load(tmp_path / "nothing")
