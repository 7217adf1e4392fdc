"""Recipes of others: their networks' shapes and counts from what is known of their code, and their joint steps."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glcic_jax.data.batch import Batch
from glcic_jax.errors import UserError
from glcic_jax.inference.completer import Completer
from glcic_jax.models import folder as model_folder
from glcic_jax.recipes import load_recipe
from glcic_jax.run.config import OptimizerConfig
from glcic_jax.run.init_from import check_conventions, read_weights
from glcic_jax.run.loop import choose_step, train
from glcic_jax.run.progress import Progress
from glcic_jax.run.schedule import stages
from glcic_jax.run.setup import build_specification, initial_state
from glcic_jax.training.losses import completion_error
from glcic_jax.training.mesh import make_mesh, map_over_mesh
from glcic_jax.training.rival_steps import cooperative_joint_step, deaf_joint_step
from tests.support.paths import ROOT
from tests.support.pictures import photograph
from tests.support.small import MEAN, SmallCompletion, SmallDiscriminator, drawn_state
from tests.support.tiny import checked


def recipe(name, *changes):
    return checked(load_recipe(ROOT / "configs" / f"{name}.py", list(changes)))


def shapes_of(config):
    spec = build_specification(config, MEAN)
    return spec, jax.eval_shape(lambda: initial_state(config, spec))


def completion_kernels(inputs):
    """The paper's table 1, layer by layer: side of the kernel and channels."""
    layers = [(5, 64), (3, 128), (3, 128), (3, 256), *[(3, 256)] * 8, (4, 128), (3, 128), (4, 64), (3, 32), (3, 3)]
    for number, (side, channels) in enumerate(layers, 1):
        yield f"conv{number}", (side, side, inputs, channels)
        inputs = channels


def discriminator_kernels(global_px, global_depth, local_px, local_depth):
    """The paper's table 2, layer by layer: 5x5 convolutions with stride 2, a vector of 1024 each, one number."""
    for branch, side, depth in (("global", global_px, global_depth), ("local", local_px, local_depth)):
        inputs = 3
        for number, channels in enumerate((64, 128, 256, 512, 512, 512)[:depth], 1):
            yield f"{branch}_conv{number}", (5, 5, inputs, channels)
            inputs, side = channels, -(-side // 2)
        yield f"{branch}_dense", (side * side * inputs, 1024)
    yield "head", (2048, 1)


def count(kernels, bias, without_norm):
    """Weights, biases (of dense layers always), and BatchNorm's two vectors after all convolutions but some."""
    total = 0
    for name, shape in kernels:
        convolution = len(shape) == 4
        total += np.prod(shape) + (shape[-1] if bias or not convolution else 0)
        total += 2 * shape[-1] if convolution and name not in without_norm else 0
    return total


def size(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    ("name", "inputs", "bias", "sizes"),
    [
        ("places2", 4, True, (256, 6, 128, 5)),
        ("shtamura", 3, True, (256, 6, 128, 5)),
        ("tadax", 3, False, (128, 5, 64, 4)),
    ],
)
def test_networks_layer_by_layer(name, inputs, bias, sizes):
    _, state = shapes_of(recipe(name))
    for network, kernels in (
        (state.completion, list(completion_kernels(inputs))),
        (state.discriminator, list(discriminator_kernels(*sizes))),
    ):
        found = {layer: values["kernel"].shape for layer, values in network.params.items() if "kernel" in values}
        assert found == dict(kernels)
        assert size(network.params) == count(kernels, bias, without_norm=("conv17",))
        assert all(("bias" in network.params[layer]) == bias for layer, shape in kernels if len(shape) == 4)


def test_shtamura_is_as_its_code_trains():
    config = recipe("shtamura")
    assert (config.completion_steps, config.discriminator_steps, config.joint_steps) == (10_000,) * 3
    assert config.batch_size == 16 and config.batch_size * config.completion_steps == 160_000
    spec = build_specification(config, MEAN)
    image = np.random.default_rng(0).random((1, 8, 8, 3)).astype(np.float32)
    mask = np.zeros((1, 8, 8, 1), np.float32)
    mask[:, 2:5, 3:6] = 1
    seen = np.asarray(spec.completion.network_input(jnp.asarray(image), jnp.asarray(mask)))
    np.testing.assert_allclose(seen, np.where(mask > 0, -1, 2 * image - 1), atol=1e-6)
    assert choose_step(stages(config)[2], config) is cooperative_joint_step
    # Its error is of values in [-1, 1]: alpha beside ours, of [0, 1], is a quarter.
    assert config.alpha * 4 == pytest.approx(0.0004)


def test_tadax_is_as_its_code_trains():
    config = recipe("tadax")
    spec = build_specification(config, MEAN)
    image, mask = np.full((1, 4, 4, 3), 0.75, np.float32), np.zeros((1, 4, 4, 1), np.float32)
    mask[:, 1] = 1
    seen = np.asarray(spec.completion.network_input(jnp.asarray(image), jnp.asarray(mask)))
    np.testing.assert_allclose(seen, np.where(mask > 0, 0, 0.5).repeat(3, -1), atol=1e-6)
    assert choose_step(stages(config)[2], config) is deaf_joint_step and config.discriminator_steps == 0
    assert config.real_window_on_hole


def test_the_context_encoder_keeps_its_losses_ratio():
    """0.999 x mean over the square in [-1, 1] + 0.001 x adversarial, up to one factor for both."""
    config = recipe("context_encoder")
    rng = np.random.default_rng(0)
    output, image = rng.random((2, 1, 128, 128, 3))
    mask = np.zeros((1, 128, 128, 1))
    mask[:, 32:96, 32:96] = 1
    theirs = np.mean((2 * output[:, 32:96, 32:96] - 2 * image[:, 32:96, 32:96]) ** 2)
    ours = float(completion_error(*map(jnp.asarray, (output, image, mask)))[0])
    assert 0.001 / (0.999 * theirs) == pytest.approx(config.alpha / ours, rel=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("crop_px=96", "config.crop_px is 96; the Context Encoder of 128 px needs 128"),
        ("hole_px=(32, 64)", r"config.hole_px is \(32, 64\); the Context Encoder of 128 px needs \(64, 64\)"),
        ("holes.thin.share=1", "completes one central square"),
        ("holes.rectangles.central=False", "completes one central square"),
        ("context_encoder.width_multiplier=0", "config.context_encoder.width_multiplier is 0"),
        ("adversarial=friendly", "config.adversarial is 'friendly'; it must be one of fooling, none, cooperative"),
        ("initial_values=zeros", "config.initial_values is 'zeros'; it must be one of torch7, he_uniform, he"),
    ],
)
def test_values_that_cannot_work(change, message):
    with pytest.raises(UserError, match=message):
        recipe("context_encoder", f"--config.{change}")


TINY = (
    "--config.completion.width_multiplier=0.03125", "--config.discriminator.width_multiplier=0.03125",
    "--config.short_side_px=(32, 32)", "--config.crop_px=32", "--config.hole_px=(8, 16)", "--config.window_px=16",
    "--config.discriminator.global_depth=3", "--config.discriminator.local_depth=2",
)  # fmt: skip


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    mask = np.zeros((8, 32, 32, 1), np.uint8)
    mask[:, 8:20, 10:22] = 1
    windows = np.full((8, 2), 7, np.int32)
    return Batch(rng.random((8, 32, 32, 3)), mask, windows, windows)


def small(config):
    return dataclasses.replace(
        build_specification(config, MEAN), completion=SmallCompletion(), discriminator=SmallDiscriminator()
    )


def mapped(step, spec):
    return map_over_mesh(functools.partial(step, spec=spec), make_mesh(jax.devices()[:1]))


def test_deaf_hears_nothing(float64, batch):
    """With another discriminator C moves just the same; D moves."""
    config = recipe("tadax", *TINY)
    spec = small(config)
    step = mapped(deaf_joint_step, spec)
    state, other = drawn_state(spec, crop_px=32), drawn_state(spec, crop_px=32, seed=1)
    one, metrics = step(jax.tree.map(np.copy, state), batch)
    two, _ = step(jax.tree.map(np.copy, state.replace(discriminator=other.discriminator)), batch)
    jax.tree.map(np.testing.assert_array_equal, one.completion, two.completion)
    for network in ("completion", "discriminator"):
        before, after = (getattr(s, network).params for s in (state, one))
        assert any(jax.tree.leaves(jax.tree.map(lambda a, b: (a != b).any(), before, after))), network
    assert int(one.step) == 1 and {"completion_loss", "discriminator_loss", "accuracy_real"} <= metrics.keys()


def test_cooperative_is_the_gradient_of_the_one_loss(float64, batch):
    """With plain gradient descent for Adam, a step is the gradient of the loss written down here; D's, over alpha."""
    config = recipe("shtamura", *TINY, "--config.alpha=0.5")
    sgd = OptimizerConfig("sgd", {"learning_rate": 1.0})
    config = dataclasses.replace(config, completion_optimizer=sgd, discriminator_optimizer=sgd)
    spec = small(config)
    state = drawn_state(spec, crop_px=32)
    new, metrics = mapped(cooperative_joint_step, spec)(jax.tree.map(np.copy, state), batch)
    c, d = (network.clone(statistics_axis=None) for network in (spec.completion, spec.discriminator))

    def loss_of(completion, discriminator):
        variables = {"params": completion, "batch_stats": state.completion.batch_stats}
        output, _ = c.apply(variables, batch.image, batch.mask, train=True, mutable=["batch_stats"])
        completed = output * batch.mask + batch.image * (1 - batch.mask)
        judgements = []
        for image in (batch.image, completed):
            variables = {"params": discriminator, "batch_stats": state.discriminator.batch_stats}
            logit, _ = d.apply(variables, image, image[:, 7:23, 7:23], train=True, mutable=["batch_stats"])
            judgements.append(jax.nn.sigmoid(logit))
        error = ((completed - batch.image) ** 2).mean()
        entropy = -(jnp.log(judgements[0]) + jnp.log(1 - judgements[1])).mean()
        return error + 0.5 * entropy, (error, entropy)

    params = state.completion.params, state.discriminator.params
    gradients, (error, entropy) = jax.jit(jax.grad(loss_of, (0, 1), has_aux=True))(*params)
    for network, gradient, scale in zip(("completion", "discriminator"), gradients, (1, 2), strict=True):
        before, after = (getattr(s, network).params for s in (state, new))
        moved = jax.tree.map(lambda a, b: np.asarray(a - b), before, after)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-9),
            moved,
            jax.tree.map(lambda g, s=scale: s * g, gradient),
        )
        assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(moved)) > 1e-3
    assert float(metrics["completion_loss"]) == pytest.approx(float(error))
    assert float(metrics["discriminator_loss"]) == pytest.approx(float(entropy))


@pytest.mark.slow
def test_the_context_encoder_trains_and_completes(shards, tmp_path, quiet):
    """A step and a model folder, by the loop that trains all others."""
    config = recipe(
        "context_encoder", f"--config.data_dir={shards}", "--config.batch_size=8", "--config.joint_steps=1",
        "--config.short_side_px=(32, 32)", "--config.crop_px=32", "--config.hole_px=(16, 16)", "--config.window_px=16",
        "--config.context_encoder.image_px=32", "--config.context_encoder.width_multiplier=0.03125",
        "--config.validation_samples=8", "--config.validate_every_steps=1",
    )  # fmt: skip
    train(config, tmp_path / "run", Progress(quiet))
    image, mask = photograph(3, 32, 32), np.zeros((32, 32, 1), np.uint8)
    mask[10:20, 9:23] = 1
    painted = Completer(tmp_path / "run" / "model")(image, mask)
    assert (painted != image).any() and (painted == image)[mask[..., 0] == 0].all()
    assert list((tmp_path / "run" / "grids").iterdir())
    weights = read_weights(tmp_path / "run" / "model")
    check_conventions(weights, config)
    assert not weights.completion_conventions and not weights.discriminator_conventions
    assert model_folder.read_card(weights.path).context_encoder
