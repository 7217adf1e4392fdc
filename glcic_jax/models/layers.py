"""Layers that both networks are built from. Arrays are (N, H, W, C)."""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

# U(-1/sqrt(fan_in), 1/sqrt(fan_in)), as Torch7 drew weights; Flax's default has three times the variance.
torch7_uniform = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def torch7_bias(fan_in: int) -> Callable[..., jax.Array]:
    """Initialiser of a bias: the same range as the weights that it is added to."""
    bound = 1 / math.sqrt(fan_in)

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def activation(x: jax.Array, negative_slope: float) -> jax.Array:
    """ReLU, leaky where the slope is not zero."""
    return nn.leaky_relu(x, negative_slope) if negative_slope else nn.relu(x)


class Conv(nn.Module):
    """Square convolution, zero-padded so that (N,H,W,C) -> (N,H/stride,W/stride,features), sizes rounded up.

    Without padding (`padded=False`) only what lies wholly within the input is computed.
    """

    features: int
    kernel_px: int
    stride: int = 1
    dilation: int = 1
    padded: bool = True
    use_bias: bool = True
    dtype: Any = None
    precision: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Convolves x."""
        k, pad = self.kernel_px, self.dilation * (self.kernel_px - 1) // 2
        # A row that is cut off again: XLA convolves three times slower on CPUs if there is no padding at all.
        padding = ((pad, pad), (pad, pad)) if self.padded else ((self.stride, 0), (0, 0))
        kernel = self.param("kernel", torch7_uniform, (k, k, x.shape[-1], self.features))
        bias_init = torch7_bias(k * k * x.shape[-1])
        bias = self.param("bias", bias_init, (self.features,)) if self.use_bias else None
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        y = jax.lax.conv_general_dilated(
            x,
            kernel,
            window_strides=(self.stride, self.stride),
            # Explicit: "SAME" pads strided convolutions more at one side, the paper's code pads both alike.
            padding=padding,
            rhs_dilation=(self.dilation, self.dilation),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision=self.precision,
        )
        y = y if self.padded else y[:, 1:]
        return y if bias is None else y + bias


class TransposedConv(nn.Module):
    """4x4 transposed convolution with stride 2: (N,H,W,C) -> (N,2H,2W,features).

    The kernel (4, 4, C, features) is indexed like PyTorch's: output pixel o takes input pixel i with tap o + 1 - 2i.
    Each of the four output phases needs just 2x2 taps, so one 2x2 convolution with four times the channels followed
    by an interleaving does the same without convolving over inserted zeros, and its gradients are plain ones.
    """

    features: int
    use_bias: bool = True
    dtype: Any = None
    precision: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Convolves x."""
        n, h, w, c = x.shape
        out = self.features
        fan_in = 16 * out  # counted as PyTorch counts it, from the kernel's output side
        init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform", in_axis=-1, out_axis=-2)
        kernel = self.param("kernel", init, (4, 4, c, out))
        bias = self.param("bias", torch7_bias(fan_in), (out,)) if self.use_bias else None
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)

        # Along one axis, output 2m + p takes inputs m + p - 1 + t with tap 3 - p - 2t, for t in (0, 1):
        # the flipped kernel, read as (t, p), gives each phase p its two taps.
        phases = kernel[::-1, ::-1].reshape(2, 2, 2, 2, c, out).transpose(0, 2, 4, 1, 3, 5)
        y = jax.lax.conv_general_dilated(
            # Padded beforehand: XLA's weight gradient of a padded 2x2 convolution is fifty times slower on CPUs.
            jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))),
            phases.reshape(2, 2, c, 4 * out),
            window_strides=(1, 1),
            padding="VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision=self.precision,
        ).reshape(n, h + 1, w + 1, 2, 2, out)
        rows = [jnp.stack([y[:, p : p + h, q : q + w, p, q] for q in (0, 1)], axis=3) for p in (0, 1)]
        y = jnp.stack(rows, axis=2).reshape(n, 2 * h, 2 * w, out)
        return y if bias is None else y + bias


def batch_norm(name: str, train: bool, axis_name: str | None, dtype: Any) -> nn.BatchNorm:
    """BatchNorm with the paper's time constants, over the global batch if a mesh axis is named.

    eps 1e-5, momentum 0.9 (the new value weighs 0.1), biased variance in the running statistics too, all statistics
    in float32 or finer.
    """
    return nn.BatchNorm(
        use_running_average=not train,
        momentum=0.9,
        epsilon=1e-5,
        axis_name=axis_name,
        dtype=dtype,
        name=name,
    )
