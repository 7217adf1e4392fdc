"""Both networks against the PyTorch yardstick: `torch_glcic.py parity tests/fixtures/torch_parity.npz`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glcic_jax.models.completion import CompletionNetwork, composite
from glcic_jax.models.discriminator import ContextDiscriminator, crop_windows
from tests.conftest import FIXTURES
from tests.yardstick import completion_variables, discriminator_variables, images

HIGHEST = jax.lax.Precision.HIGHEST


@pytest.fixture(scope="module")
def torch():
    with np.load(FIXTURES / "torch_parity.npz") as file:
        return dict(file)


def relative(found, expected) -> float:
    return float(np.abs(np.asarray(found) - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("jit", [False, True])
def test_completion_composite_and_discriminator(torch, jit):
    image, mask = images(torch["image"]), images(torch["mask"])
    mean = tuple(float(v) for v in torch["mean"])
    completion = CompletionNetwork(width_multiplier=0.0625, mean_color=mean, precision=HIGHEST)
    discriminator = ContextDiscriminator(width_multiplier=0.0625, precision=HIGHEST)

    def run(image, mask):
        output = completion.apply(completion_variables(torch, "completion/"), image, mask)
        completed = composite(output, image, mask)
        window = crop_windows(completed, jnp.asarray(torch["window"]), 32)
        logit = discriminator.apply(discriminator_variables(torch, "discriminator/"), completed, window)
        return output, completed, logit

    output, completed, logit = (jax.jit(run) if jit else run)(image, mask)
    assert output.dtype == logit.dtype == jnp.float32
    assert relative(output, images(torch["completion_output"])) < 1e-5
    assert relative(completed, images(torch["composite"])) < 1e-5
    assert relative(logit, torch["logit"][:, 0]) < 1e-5


def test_parameter_counts_of_the_full_networks():
    # `torch_glcic.py count`
    image, window = jnp.zeros((1, 256, 256, 3)), jnp.zeros((1, 128, 128, 3))
    key = jax.random.key(0)
    c = jax.eval_shape(CompletionNetwork().init, key, image, image[..., :1])
    d = jax.eval_shape(ContextDiscriminator().init, key, image, window)
    assert sum(leaf.size for leaf in jax.tree.leaves(c["params"])) == 6_072_131
    assert sum(leaf.size for leaf in jax.tree.leaves(d["params"])) == 45_063_681
