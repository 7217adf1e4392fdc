"""Both networks against the PyTorch implementation in reference/, whose arrays the fixture holds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glcic_jax.models.completion import CompletionNetwork, composite
from glcic_jax.models.discriminator import ContextDiscriminator, crop_windows
from tests.support.paths import FIXTURES
from tests.support.torch_arrays import images, read_arrays, variables

HIGHEST = jax.lax.Precision.HIGHEST


def relative(found, expected) -> float:
    return float(np.abs(np.asarray(found) - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("jit", [False, True])
def test_outputs_of_both_networks(jit):
    torch = read_arrays(FIXTURES / "torch_parity.npz")
    image, mask = images(torch["image"]).astype(np.float32) / 255, images(torch["mask"])
    mean = tuple(float(v) for v in torch["mean_color"])
    completion = CompletionNetwork(width_multiplier=1 / 32, mean_color=mean, precision=HIGHEST)
    discriminator = ContextDiscriminator(width_multiplier=1 / 64, precision=HIGHEST)
    completion_variables, discriminator_variables = (
        jax.tree.map(jnp.asarray, variables(torch, prefix)) for prefix in ("completion/", "discriminator/")
    )

    def run(image, mask):
        output = completion.apply(completion_variables, image, mask)
        completed = composite(output, image, mask)
        window = crop_windows(completed, jnp.asarray(torch["fake_window"]), 40)
        return output, discriminator.apply(discriminator_variables, completed, window)

    output, logit = (jax.jit(run) if jit else run)(image, mask)
    assert output.dtype == logit.dtype == jnp.float32
    assert relative(output, images(torch["completion_output"])) < 1e-5
    assert relative(logit, torch["logit"]) < 1e-5


def test_parameter_counts_of_the_full_networks():
    image, window = jnp.zeros((1, 256, 256, 3)), jnp.zeros((1, 128, 128, 3))
    key = jax.random.key(0)
    c = jax.eval_shape(CompletionNetwork().init, key, image, image[..., :1])
    d = jax.eval_shape(ContextDiscriminator().init, key, image, window)
    assert sum(leaf.size for leaf in jax.tree.leaves(c["params"])) == 6_072_131
    assert sum(leaf.size for leaf in jax.tree.leaves(d["params"])) == 45_063_681
