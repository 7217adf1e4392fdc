"""Operations counted from the layers, beside closed formulas, XLA's own count and plain loops."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glcic_jax.models import costs
from glcic_jax.models.completion import CompletionNetwork, multiplications
from glcic_jax.models.costs import completion_cost, discriminator_cost, step_costs
from glcic_jax.models.discriminator import ContextDiscriminator
from glcic_jax.models.layers import Conv, Dense, TransposedConv


def test_the_paper_s_networks_at_256_px():
    """To the last operation what PyTorch's own counter (torch.utils.flop_counter) says of the yardstick's steps.

    In stage 3 the yardstick also computes the gradient of D's kernels from C's loss and throws it away: 0.264.
    """
    completion = completion_cost(CompletionNetwork(), 256)
    discriminator = discriminator_cost(ContextDiscriminator(), 256, 128)
    found = step_costs(completion, discriminator)
    assert found.forward == 65_108_180_992
    assert found.completion == 194_485_682_176
    assert found.discriminator == 111_394_447_360
    assert found.joint == 264_111_689_728 - discriminator.total


def test_a_window_s_count_tends_to_the_image_s():
    """Counted anew from the receptive field (`multiplications`): the margin matters less, the larger the core."""
    size = 2**16
    whole = completion_cost(CompletionNetwork(), size).total
    assert whole == pytest.approx(2 * multiplications(size, size), rel=0.02)


def test_layers_by_the_definition():
    """Multiplications and additions of each output number, one by one, on images that pad nothing away."""

    class Two(nn.Module):
        @nn.compact
        def __call__(self, image):
            x = Conv(5, 3, stride=2, name="conv1")(image)
            return Dense(7)(TransposedConv(2, name="conv2")(x).reshape(1, -1))

    convolution = sum(2 * 3 * 3 * 4 for _ in np.ndindex(4, 4, 5))
    # Of the 4x4 taps an output pixel of stride 2 meets 2x2, whichever its phase.
    transposed = sum(
        2 * 5 * sum((o + 1 - 2 * i in range(4)) * (p + 1 - 2 * j in range(4)) for i, j in np.ndindex(4, 4))
        for o, p, _ in np.ndindex(8, 8, 2)
    )
    inner = sum(2 * 5 * 4 for _ in np.ndindex(8, 8, 2))
    assert transposed < inner  # at the border some taps meet the padding, which counts
    found = costs.network_cost(Two(), (8, 4))
    assert found == (convolution + inner + 2 * 8 * 8 * 2 * 7, convolution)
    assert found.learning == 3 * found.total - convolution
    assert found.judging == 2 * found.total


@pytest.mark.parametrize("padded", [True, False])
def test_beside_xla(padded):
    """XLA leaves the padding out, and counts biases: equal but for those."""

    class Plain(nn.Module):
        @nn.compact
        def __call__(self, image):
            for number in range(1, 4):
                image = Conv(16, 3, padded=padded, use_bias=False, name=f"conv{number}")(image)
            return image

    image, network = jnp.zeros((1, 128, 128, 16)), Plain()
    variables = network.init(jax.random.key(0), image)
    counted = jax.jit(network.apply).lower(variables, image).compile().cost_analysis()["flops"]
    assert costs.network_cost(network, (128, 16)).total == pytest.approx(counted, rel=0.03)
