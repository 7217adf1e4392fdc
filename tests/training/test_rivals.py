"""Recipes of others: their networks' shapes and counts from what is known of their code, and their joint steps."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glcic_jax.cli.recipes import load_recipe
from glcic_jax.data.batch import Batch
from glcic_jax.errors import UserError
from glcic_jax.inference.completer import Completer
from glcic_jax.models import folder as model_folder
from glcic_jax.models.layers import Conv, batch_norm
from glcic_jax.training.adversarial import cooperative_joint_step, deaf_joint_step
from glcic_jax.training.init_from import check_conventions, read_weights
from glcic_jax.training.loop import train
from glcic_jax.training.losses import masked_squared_error
from glcic_jax.training.mesh import AXIS, make_mesh, map_over_mesh
from glcic_jax.training.progress import Progress
from glcic_jax.training.setup import build_problem, check, initial_state, stages
from glcic_jax.training.state import he_uniform
from tests.conftest import ROOT, photograph

MEAN = (0.4, 0.5, 0.6)


def recipe(name, *changes):
    config = load_recipe(ROOT / "configs" / f"{name}.py", list(changes))
    check(config)
    return config


def shapes_of(config):
    problem = build_problem(config, MEAN)
    return problem, jax.eval_shape(lambda: initial_state(config, problem))


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
    problem = build_problem(config, MEAN)
    image = np.random.default_rng(0).random((1, 8, 8, 3)).astype(np.float32)
    mask = np.zeros((1, 8, 8, 1), np.float32)
    mask[:, 2:5, 3:6] = 1
    seen = np.asarray(problem.completion._network_input(image, mask))
    np.testing.assert_allclose(seen, np.where(mask > 0, -1, 2 * image - 1), atol=1e-6)
    assert stages(config)[2].step is cooperative_joint_step
    # Its error is of values in [-1, 1]: alpha beside ours, of [0, 1], is a quarter.
    assert config.alpha * 4 == pytest.approx(0.0004)


def test_tadax_is_as_its_code_trains():
    config = recipe("tadax")
    problem = build_problem(config, MEAN)
    image, mask = np.full((1, 4, 4, 3), 0.75, np.float32), np.zeros((1, 4, 4, 1), np.float32)
    mask[:, 1] = 1
    seen = np.asarray(problem.completion._network_input(image, mask))
    np.testing.assert_allclose(seen, np.where(mask > 0, 0, 0.5).repeat(3, -1), atol=1e-6)
    assert stages(config)[2].step is deaf_joint_step and config.discriminator_steps == 0
    assert config.real_window_on_hole


def test_the_context_encoder_keeps_its_losses_ratio():
    """0.999 x mean over the square in [-1, 1] + 0.001 x adversarial, up to one factor for both."""
    config = recipe("context_encoder")
    rng = np.random.default_rng(0)
    output, image = rng.random((2, 1, 128, 128, 3))
    mask = np.zeros((1, 128, 128, 1))
    mask[:, 32:96, 32:96] = 1
    theirs = np.mean((2 * output[:, 32:96, 32:96] - 2 * image[:, 32:96, 32:96]) ** 2)
    ours = float(masked_squared_error(output, image, mask)[0])
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
        ("initial_values=zeros", "config.initial_values is 'zeros'; it must be one of torch7, he_uniform"),
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


def drawn(config, problem, seed=0):
    """A state of random float64 numbers, without compiling the initial one; kernels U(-1/sqrt(fan_in), ...)."""
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        names = [getattr(key, "key", getattr(key, "name", "")) for key in path]
        if "params" not in names:
            return np.ones(leaf.shape) if names[-1] == "var" else np.zeros(leaf.shape, leaf.dtype)
        bound = fan_in(leaf.shape) ** -0.5 if names[-1] == "kernel" else 0.2
        return rng.uniform(-bound, bound, leaf.shape) + (names[-1] == "scale")

    return jax.tree_util.tree_map_with_path(draw, jax.eval_shape(lambda: initial_state(config, problem)))


def fan_in(shape):
    return shape[-1] * 16 if shape[:2] == (4, 4) else np.prod(shape[:-1])


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    mask = np.zeros((8, 32, 32, 1), np.uint8)
    mask[:, 8:20, 10:22] = 1
    windows = np.full((8, 2), 7, np.int32)
    return Batch(rng.random((8, 32, 32, 3)), mask, windows, windows)


class SmallCompletion(nn.Module):
    """One layer in C's place: the joint steps take any network, and compile in a moment."""

    mean_color: tuple = MEAN
    statistics_axis: str | None = AXIS

    @nn.compact
    def __call__(self, image, mask, train=False):
        x = jnp.concatenate([jnp.where(mask > 0, 0, image), mask.astype(image.dtype)], -1)
        x = Conv(4, 3, dilation=4, name="conv")(x)
        x = nn.relu(batch_norm("norm", train, self.statistics_axis, None)(x))
        return nn.sigmoid(Conv(3, 3, dilation=2, name="last")(x))


class SmallDiscriminator(nn.Module):
    """One layer each in D's place."""

    statistics_axis: str | None = AXIS

    @nn.compact
    def __call__(self, image, window, train=False):
        image, window = (Conv(4, 3, stride=2, name=name)(x) for name, x in (("global", image), ("local", window)))
        image = nn.relu(batch_norm("norm", train, self.statistics_axis, None)(image))
        return (3 * image.mean((1, 2, 3)) + 5 * (window**2).mean((1, 2, 3))) * 10


def small(config):
    return dataclasses.replace(
        build_problem(config, MEAN), completion=SmallCompletion(), discriminator=SmallDiscriminator()
    )


def mapped(step, problem):
    return map_over_mesh(functools.partial(step, problem=problem), make_mesh(jax.devices()[:1]))


def test_deaf_hears_nothing(float64, batch):
    """With another discriminator C moves just the same; D moves."""
    config = recipe("tadax", *TINY)
    problem = small(config)
    step = mapped(deaf_joint_step, problem)
    state, other = drawn(config, problem), drawn(config, problem, seed=1)
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
    for key in ("completion_optimizer", "discriminator_optimizer"):
        config[key] = {"name": "sgd", "learning_rate": 1.0}
    problem = small(config)
    state = drawn(config, problem)
    new, metrics = mapped(cooperative_joint_step, problem)(jax.tree.map(np.copy, state), batch)
    c, d = (network.clone(statistics_axis=None) for network in (problem.completion, problem.discriminator))

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


def test_he_uniform():
    """Kernels as wide as Keras draws them, biases zero, the rest as it was."""
    config = recipe("shtamura", *TINY, "--config.completion.width_multiplier=0.25")
    state = drawn(config, build_problem(config, MEAN))
    anew = he_uniform(state)
    for before, after in zip(*((s.completion.params, s.discriminator.params) for s in (state, anew)), strict=True):
        for name, layer in after.items():
            assert not np.any(layer["bias"])
            if "kernel" in layer:
                bound = (6 / fan_in(layer["kernel"].shape)) ** 0.5
                assert 0.8 * bound < np.abs(layer["kernel"]).max() <= bound
            else:
                np.testing.assert_array_equal(layer["scale"], before[name]["scale"])


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
    check_conventions(weights, config.completion)
    assert weights.conventions == {} and model_folder.read_card(weights.path)["context_encoder"]
