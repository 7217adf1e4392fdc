"""One step of each stage against the PyTorch yardstick, float64.

The fixture is `torch_glcic.py step FILE --width 0.03125`, with its `arrays` made to copy: as views, the arrays of the
state before would change with the optimiser's first step.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from glcic_jax.data.batch import Batch
from glcic_jax.models.completion import CompletionNetwork
from glcic_jax.models.discriminator import ContextDiscriminator
from glcic_jax.training.mesh import AXIS, make_mesh, map_over_mesh, put_batch, put_replicated
from glcic_jax.training.state import NetworkState, TrainState
from glcic_jax.training.step import Problem, completion_step, discriminator_step, joint_step
from tests.conftest import FIXTURES
from tests.yardstick import completion_variables, discriminator_variables, images

VARIABLES = {"completion": completion_variables, "discriminator": discriminator_variables}


def norm_relative(found, expected) -> float:
    """Norm of the difference over the norm of what is expected, over all leaves together."""
    pairs = list(zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True))
    assert pairs
    difference = sum(float(np.square(np.asarray(a, np.float64) - b).sum()) for a, b in pairs)
    return (difference / sum(float(np.square(np.asarray(b, np.float64)).sum()) for _, b in pairs)) ** 0.5


def split_dead_biases(params: dict) -> tuple[dict, dict]:
    """Biases in front of BatchNorm, which have no gradient but rounding noise; and everything else."""
    flat = {"/".join(path): leaf for path, leaf in _flatten(params)}
    norms = {name.split("/")[0] for name in flat if "norm" in name}
    dead = {
        k for k in flat if k.endswith("bias") and "norm" not in k and k.split("/")[0].replace("conv", "norm") in norms
    }
    return {k: flat[k] for k in dead}, {k: v for k, v in flat.items() if k not in dead}


def _flatten(tree, path=()):
    for key, value in tree.items():
        yield from _flatten(value, (*path, key)) if isinstance(value, dict) else [((*path, key), value)]


@pytest.mark.parametrize(("number", "step"), [(1, completion_step), (2, discriminator_step), (3, joint_step)])
def test_one_step(float64, number, step):
    with np.load(FIXTURES / "torch_step.npz") as file:
        torch = dict(file)
    optimizer = optax.adadelta(learning_rate=1.0, rho=0.9, eps=1e-6)
    mean = tuple(float(v) for v in torch["mean"])
    common = {"width_multiplier": 0.03125, "statistics_axis": AXIS}
    problem = Problem(
        CompletionNetwork(mean_color=mean, **common),
        ContextDiscriminator(**common),
        optimizer,
        optimizer,
        window_px=32,
    )

    def network_state(role: str) -> NetworkState:
        variables = jax.tree.map(jnp.asarray, VARIABLES[role](torch, f"before/{role}/"))
        return NetworkState(variables["params"], variables["batch_stats"], optimizer.init(variables["params"]))

    mesh = make_mesh(jax.devices()[:1])
    state = put_replicated(
        mesh,
        TrainState(jnp.zeros((), jnp.int32), network_state("completion"), network_state("discriminator")),
    )
    batch = put_batch(
        mesh,
        Batch(
            images(torch["image"]),
            images(torch["mask"]).astype(np.uint8),
            torch["fake_window"],
            torch["real_window"],
        ),
    )
    state, metrics = map_over_mesh(functools.partial(step, problem=problem), mesh)(state, batch)

    losses = {k.split("/")[-1]: v for k, v in torch.items() if k.startswith(f"stage{number}/loss/")}
    assert losses
    for name, value in losses.items():
        assert abs(float(metrics[f"{name}_loss"]) - value) < 1e-9 * abs(value)
    for role, network in (("completion", state.completion), ("discriminator", state.discriminator)):
        expected = VARIABLES[role](torch, f"stage{number}/{role}/")
        dead, live = split_dead_biases(network.params)
        expected_dead, expected_live = split_dead_biases(expected["params"])
        assert norm_relative(live, expected_live) < 1e-9
        assert max(float(np.abs(dead[k] - expected_dead[k]).max()) for k in expected_dead) < 1e-9
        assert norm_relative(network.batch_stats, expected["batch_stats"]) < 1e-9
