"""Small networks in the places of C and D, which compile in a moment, and states of random numbers."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from glcic_jax.models.layers import Conv, batch_norm, keep_features
from glcic_jax.training.mesh import AXIS
from glcic_jax.training.state import create_state

MEAN = (0.4, 0.5, 0.6)


class SmallCompletion(nn.Module):
    """One layer in C's place: the steps take any network."""

    mean_color: tuple = MEAN
    statistics_axis: str | None = AXIS
    normalized: bool = True

    @nn.compact
    def __call__(self, image, mask, train=False):
        x = jnp.concatenate([jnp.where(mask > 0, 0, image), mask.astype(image.dtype)], -1)
        x = Conv(4, 3, dilation=4, name="conv")(x)
        if self.normalized:
            x = batch_norm("norm", train, self.statistics_axis, None)(x)
        return nn.sigmoid(Conv(3, 3, dilation=2, name="last")(nn.relu(x)))


class SmallDiscriminator(nn.Module):
    """One layer each in D's place."""

    statistics_axis: str | None = AXIS
    mask_channel: bool = False

    @nn.compact
    def __call__(self, image, window, train=False):
        image, window = (
            Conv(4, 3, stride=2, name=name)(jnp.asarray(x)) for name, x in (("global", image), ("local", window))
        )
        image = nn.relu(batch_norm("norm", train, self.statistics_axis, None)(image))
        keep_features(self, "global1", image)
        return (3 * image.mean((1, 2, 3)) + 5 * (window**2).mean((1, 2, 3))) * 10


def drawn_state(spec, *, crop_px, dtype=np.float64, seed=0):
    """A state of random numbers, without compiling the initial one; kernels U(-1/sqrt(fan_in), 1/sqrt(fan_in))."""
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        names = [getattr(key, "key", getattr(key, "name", "")) for key in path]
        if not np.issubdtype(leaf.dtype, np.floating):
            return np.zeros(leaf.shape, leaf.dtype)
        if "params" not in names:
            values = {"var": np.ones, "u": rng.standard_normal}.get(names[-1], np.zeros)(leaf.shape)
            return np.asarray(values / np.linalg.norm(values) if names[-1] == "u" else values, dtype)
        bound = fan_in(leaf.shape) ** -0.5 if names[-1] == "kernel" else 0.2
        return np.asarray(rng.uniform(-bound, bound, leaf.shape) + (names[-1] == "scale"), dtype)

    shapes = jax.eval_shape(lambda: create_state(jax.random.key(0), spec, crop_px=crop_px))
    state = jax.tree_util.tree_map_with_path(draw, shapes)
    return state if state.average is None else state.replace(average=state.completion.variables)


def fan_in(shape):
    """Of a convolution's kernel; of a transposed one's, 4x4, as PyTorch counts it."""
    return shape[-1] * 16 if shape[:2] == (4, 4) else np.prod(shape[:-1])
