"""What the compiled steps send between eight devices: how often, and how many bytes."""

import functools
import re

import jax
import jax.numpy as jnp
import pytest

from glcic_jax.training.mesh import make_mesh, map_over_mesh, put_batch, put_replicated
from tests.support.steps import STEPS, batches, initial, spec

_NUMBER = re.compile(r"f32\[([\d,]*)\]")
_OTHERS = ("all-gather", "all-to-all", "collective-permute", "reduce-scatter", "collective-broadcast")


def messages(step, setup) -> list[int]:
    """Numbers in each all-reduce of the compiled step; the compiler may send several arrays in one."""
    mesh = make_mesh()
    state, batch = put_replicated(mesh, initial(setup, jnp.float32)), put_batch(mesh, batches(1)[0])
    text = map_over_mesh(functools.partial(step, spec=setup), mesh).lower(state, batch).compile().as_text()
    assert not any(f" {other}(" in text or f" {other}-start(" in text for other in _OTHERS)
    lines = [line for line in text.splitlines() if re.search(r" all-reduce(-start)?\(", line)]
    results = [re.split(r" all-reduce", line.split("=", 1)[1])[0] for line in lines]
    return [
        sum(
            functools.reduce(lambda a, b: a * int(b), filter(None, shape.split(",")), 1) for shape in _NUMBER.findall(r)
        )
        for r in results
    ]


def size(tree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(("stage", "metrics"), [("completion", 1), ("discriminator", 5), ("joint", 9)])
def test_messages(stage, metrics):
    """One message carries a network's gradient; each normalisation sends two sums a channel, forward and backward."""
    setup = spec()
    state = initial(setup, jnp.float32)
    sent = messages(STEPS[stage], setup)
    c, d = state.completion, state.discriminator
    c_norms, d_norms = (sum("norm" in name for name in network.params) for network in (c, d))
    # Passes through C and D, forward and backward; D's update has two of each, C's gradient one through the new D.
    c_passes, d_passes = {"completion": (2, 0), "discriminator": (1, 4), "joint": (2, 6)}[stage]
    gradients = [size(c.params)] * (c_passes == 2) + [size(d.params)] * (d_passes > 0)
    expected = sum(gradients) + metrics + c_passes * size(c.batch_stats) + d_passes * size(d.batch_stats)
    assert sum(sent) == expected
    assert len(sent) <= c_passes * c_norms + d_passes * d_norms + len(gradients) + 1
    for gradient in gradients:  # alone, or together with the metrics
        assert sum(gradient <= numbers <= gradient + metrics for numbers in sent) == 1


@pytest.mark.parametrize("stage", ["completion"])
def test_without_shared_statistics_little_is_left(stage):
    """The gradient, the running statistics and the metrics: three messages at most."""
    setup = spec(sync=False)
    sent = messages(STEPS[stage], setup)
    c = initial(setup, jnp.float32).completion
    assert len(sent) <= 3
    assert sum(sent) == size(c.params) + size(c.batch_stats) + 1
