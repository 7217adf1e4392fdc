"""Floating-point operations that a network's layers ask for, whichever way they are computed.

Two for each multiplication and addition of a convolution or a dense layer, those with the zero padding included, as
PyTorch counts them; normalisation, activations and losses are left out, about one percent.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from glcic_jax.models.layers import Conv, Dense, TransposedConv, UpsampledConv
from glcic_jax.models.protocols import Discriminator, Network

_FIRST = ("conv1", "local_conv1", "global_conv1")
"""Layers that see the photograph itself: to learn, a network needs no gradient of their input."""


class NetworkCost(NamedTuple):
    """Operations of a network's forward pass for one image.

    The gradient of the kernels takes as many, and the gradient of the layers' inputs too.

    total: of all layers.
    first: of those layers among them that see the photograph itself.
    """

    total: int
    first: int

    @property
    def learning(self) -> int:
        """Of a forward pass and its gradient with respect to the parameters."""
        return 3 * self.total - self.first

    @property
    def judging(self) -> int:
        """Of a forward pass and its gradient with respect to the image."""
        return 2 * self.total


class StepCosts(NamedTuple):
    """Operations for one image: of painting it, and of a training step of each stage."""

    forward: int
    completion: int
    discriminator: int
    joint: int


def completion_cost(network: Network, size_px: int) -> NetworkCost:
    """Of painting a square image."""
    return network_cost(network, (size_px, 3), (size_px, 1))


def discriminator_cost(network: Discriminator, size_px: int, window_px: int) -> NetworkCost:
    """Of judging a square image and a window of it."""
    channels = 4 if network.mask_channel else 3
    return network_cost(network, (size_px, channels), (window_px, channels))


def step_costs(completion: NetworkCost, discriminator: NetworkCost) -> StepCosts:
    """Of the three stages as the paper has them: nothing computed twice, nothing that nobody needs.

    Stage 2 has C paint once, and D learn on a real and on a completed image. In stage 3 C learns, D learns as in
    stage 2, and the updated D hands the image's gradient back to C.
    """
    judgements = 2 * discriminator.learning
    return StepCosts(
        forward=completion.total,
        completion=completion.learning,
        discriminator=completion.total + judgements,
        joint=completion.learning + judgements + discriminator.judging,
    )


def network_cost(network: Network, *inputs: tuple[int, int]) -> NetworkCost:
    """Traces the network and asks every layer that it calls, computing nothing; inputs: sides and channels."""
    operations: dict[str, int] = {}

    def count(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        output = call(*args, **kwargs)
        layer = context.module
        if context.method_name == "__call__" and isinstance(layer, Conv | TransposedConv | UpsampledConv | Dense):
            # Every pixel of a convolution's output meets each tap once, or of a transposed one's input.
            pixels = args[0] if isinstance(layer, TransposedConv) else output
            assert layer.name is not None
            operations[layer.name] = 2 * (pixels.size // pixels.shape[-1]) * layer.variables["params"]["kernel"].size
        return output

    shapes = [jax.ShapeDtypeStruct((1, side, side, channels), jnp.float32) for side, channels in inputs]
    with nn.intercept_methods(count):
        jax.eval_shape(network.init, jax.eval_shape(lambda: jax.random.key(0)), *shapes)
    return NetworkCost(sum(operations.values()), sum(operations.get(name, 0) for name in _FIRST))
