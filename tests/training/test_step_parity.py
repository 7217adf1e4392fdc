"""One step of each stage against the PyTorch implementation in reference/, float64: the fixture holds its arrays."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from glcic_jax.data.batch import Batch
from glcic_jax.models.completion import CompletionNetwork
from glcic_jax.models.discriminator import ContextDiscriminator
from glcic_jax.training.losses import completion_error
from glcic_jax.training.mesh import AXIS, make_mesh, map_over_mesh, put_batch, put_replicated
from glcic_jax.training.specification import TrainingSpecification
from glcic_jax.training.state import NetworkState, TrainState
from glcic_jax.training.step import completion_step, discriminator_step, joint_step
from tests.support.comparison import norm_relative, split_dead_biases
from tests.support.paths import FIXTURES
from tests.support.torch_arrays import images, read_arrays, variables


@pytest.mark.parametrize(
    ("stage", "step", "trained"),
    [
        (1, completion_step, ("completion",)),
        (2, discriminator_step, ("discriminator",)),
        (3, joint_step, ("completion", "discriminator")),
    ],
)
def test_one_step(float64, stage, step, trained):
    torch = read_arrays(FIXTURES / "torch_step.npz")
    optimizer = optax.adadelta(learning_rate=1.0, rho=0.9, eps=1e-6)
    mean = tuple(float(v) for v in torch["mean_color"])
    spec = TrainingSpecification(
        CompletionNetwork(width_multiplier=1 / 32, mean_color=mean, statistics_axis=AXIS),
        ContextDiscriminator(width_multiplier=1 / 64, statistics_axis=AXIS),
        optimizer,
        optimizer,
        window_px=40,
    )

    def network_state(role: str) -> NetworkState:
        drawn = jax.tree.map(jnp.asarray, variables(torch, f"before/{role}/", np.float64))
        return NetworkState(drawn["params"], drawn["batch_stats"], optimizer.init(drawn["params"]))

    mesh = make_mesh(jax.devices()[:1])
    state = put_replicated(
        mesh,
        TrainState(jnp.zeros((), jnp.int32), network_state("completion"), network_state("discriminator")),
    )
    # Float from the start: the step turns 8-bit values into float32.
    image = images(torch["image"]).astype(np.float64) / 255
    batch = put_batch(mesh, Batch(image, images(torch["mask"]), torch["fake_window"], torch["real_window"]))
    state, metrics = map_over_mesh(functools.partial(step, spec=spec), mesh)(state, batch)

    losses = {k.split("/")[-1]: v for k, v in torch.items() if k.startswith(f"stage{stage}/loss/")}
    assert losses
    for name, value in losses.items():
        assert abs(float(metrics[f"{name}_loss"]) - value) < 1e-9 * abs(value)
    for role in ("completion", "discriminator"):
        network = getattr(state, role)
        expected = variables(torch, f"stage{stage}/{role}/" if role in trained else f"before/{role}/", np.float64)
        dead, live = split_dead_biases(network.params)
        expected_dead, expected_live = split_dead_biases(expected["params"])
        assert norm_relative(live, expected_live) < 1e-9
        assert max(float(np.abs(dead[k] - expected_dead[k]).max()) for k in expected_dead) < 1e-9
        assert norm_relative(network.batch_stats, expected["batch_stats"]) < 1e-9


def choices() -> list[str]:
    with np.load(FIXTURES / "torch_options.npz") as file:
        return [name.partition("/")[0] for name in file if name.endswith("/options")]


@pytest.mark.parametrize("name", choices())
def test_other_options_of_the_completion_network(float64, name):
    """Output, and a step of stage 1, of networks that are not the paper's."""
    torch = read_arrays(FIXTURES / "torch_options.npz")
    options = json.loads(str(torch[f"{name}/options"]))
    mean = tuple(float(v) for v in torch["mean_color"])
    network = CompletionNetwork(width_multiplier=1 / 32, mean_color=mean, **options)
    before, after = (variables(torch, f"{name}/{when}/completion/", np.float64) for when in ("before", "after"))
    stats = {"batch_stats": before["batch_stats"]} if before["batch_stats"] else {}
    image, mask = jnp.asarray(images(torch["image"]), jnp.float64) / 255, jnp.asarray(images(torch["mask"]))
    output = jax.jit(network.apply)({"params": before["params"], **stats}, image, mask)
    np.testing.assert_allclose(output, images(torch[f"{name}/output"]), rtol=1e-9, atol=1e-12)

    optimizer = optax.adadelta(learning_rate=1.0, rho=0.9, eps=1e-6)

    @jax.jit
    def step(params):
        def loss_of(params):
            painted, moved = network.apply(
                {"params": params, **stats}, image, mask, train=True, mutable=["batch_stats"]
            )
            return completion_error(painted, image, mask).mean(), moved

        (loss, moved), gradient = jax.value_and_grad(loss_of, has_aux=True)(params)
        updates, _ = optimizer.update(gradient, optimizer.init(params), params)
        return loss, optax.apply_updates(params, updates), moved

    loss, params, moved = step(before["params"])
    np.testing.assert_allclose(loss, torch[f"{name}/loss"], rtol=1e-9)
    (dead, live), (expected_dead, expected_live) = split_dead_biases(params), split_dead_biases(after["params"])
    assert norm_relative(live, expected_live) < 1e-9
    assert all(float(np.abs(dead[k] - expected_dead[k]).max()) < 1e-9 for k in expected_dead)
    if stats:
        assert norm_relative(moved["batch_stats"], after["batch_stats"]) < 1e-9
