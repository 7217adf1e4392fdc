"""Layers that both networks are built from. Arrays are (N, H, W, C).

Forward, every platform runs XLA's own convolution. Backward, XLA's forms for CPUs lose up to a hundred times of the
machine's rate, so there the gradients are computed as matrix products and plain convolutions; the choice is made when
a program is lowered for its platform (docs/performance.md has the times of every form).
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

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


CONVOLVED = "convolved"
"""Name of what convolutions return, for policies of what to keep for the gradient."""


class Geometry(NamedTuple):
    """How a kernel moves over its input: padding ((top, bottom), (left, right)), pixels from tap to tap, precision."""

    stride: int = 1
    dilation: int = 1
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    precision: Any = None


def convolve(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """Convolution with derivatives that are fast on CPUs too: x (N,H,W,C), kernel (k,k,C,O) -> (N,h,w,O)."""
    # Inside shard_map, gradients have to vary over the mesh like what they belong to: brought in line beforehand,
    # automatic differentiation does the rest.
    axes = _axes(x) | _axes(kernel)
    return _convolve(_varying(x, axes), _varying(kernel, axes), geometry)


def _axes(x: jax.Array) -> frozenset[str]:
    """Mesh axes over which x varies; none outside shard_map."""
    return jax.typeof(x).manual_axis_type.varying


def _varying(x: jax.Array, axes: frozenset[str]) -> jax.Array:
    missing = tuple(sorted(axes - _axes(x)))
    return jax.lax.pcast(x, missing, to="varying") if missing else x


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolve(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    return _plain(x, kernel, geometry)


def _plain(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(geometry.stride, geometry.stride),
        padding=geometry.padding,
        rhs_dilation=(geometry.dilation, geometry.dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=geometry.precision,
    )


def _forward(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _convolve(x, kernel, geometry), (x, kernel)


def _backward(geometry: Geometry, residuals: tuple[jax.Array, jax.Array], dy: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Gradients of x and kernel, each in the form that is best where the program will run."""

    def plain_x(x: jax.Array, kernel: jax.Array, dy: jax.Array) -> jax.Array:
        return jax.vjp(lambda x: _plain(x, kernel, geometry), x)[1](dy)[0]

    def plain_kernel(x: jax.Array, kernel: jax.Array, dy: jax.Array) -> jax.Array:
        return jax.vjp(lambda kernel: _plain(x, kernel, geometry), kernel)[1](dy)[0]

    def kernel_on_cpu(x: jax.Array, kernel: jax.Array, dy: jax.Array) -> jax.Array:
        if _thin(x, dy):
            return _kernel_gradient_by_images(x, kernel, dy, geometry)
        return _kernel_gradient_by_taps(x, dy, kernel.shape[0], geometry)

    def x_on_cpu(x: jax.Array, kernel: jax.Array, dy: jax.Array) -> jax.Array:
        if geometry.stride > 1 and dy.shape[1] * dy.shape[2] <= _SMALL_MAP:
            return _input_gradient_by_phases(kernel, dy, x.shape, geometry)
        return plain_x(x, kernel, dy)

    arrays = (*residuals, dy)
    return (
        jax.lax.platform_dependent(*arrays, cpu=x_on_cpu, default=plain_x),
        jax.lax.platform_dependent(*arrays, cpu=kernel_on_cpu, default=plain_kernel),
    )


_convolve.defvjp(_forward, _backward)

_SMALL_MAP = 36
"""Pixels; below, XLA convolves over inserted zeros a hundred times slower than over four phases."""
_CHUNK_PX = 4096
"""Output pixels that stay in the cache while all taps pass over them."""


def _thin(x: jax.Array, dy: jax.Array) -> bool:
    """Few channels on many pixels: XLA's own kernel gradient is the faster one there, image by image."""
    return x.shape[-1] <= 64 and dy.shape[-1] >= 32 and len(x) <= 32


def _kernel_gradient_by_images(x: jax.Array, kernel: jax.Array, dy: jax.Array, geometry: Geometry) -> jax.Array:
    """Sum over images of XLA's kernel gradient, unrolled: it slows down over batches, and a hundred times in loops."""

    def of_image(image: jax.Array, dy: jax.Array) -> jax.Array:
        return jax.vjp(lambda kernel: _plain(image, kernel, geometry), kernel)[1](dy)[0]

    images = range(len(x))
    return functools.reduce(jnp.add, [of_image(x[i : i + 1], dy[i : i + 1]) for i in images])


def _kernel_gradient_by_taps(x: jax.Array, dy: jax.Array, kernel_px: int, geometry: Geometry) -> jax.Array:
    """A matrix product for each tap: dy, transposed once a chunk of images, times the input pixels the tap has met.

    A strided convolution's input is split into its stride x stride phases first, so that the pixels that a tap meets
    lie side by side.
    """
    n, rows, columns, out = dy.shape
    channels, stride, dilation = x.shape[-1], geometry.stride, geometry.dilation
    reach = dilation * (kernel_px - 1) + 1
    height, width = (-(-((size - 1) * stride + reach) // stride) for size in (rows, columns))
    edges = [
        (low, stride * whole - size - low, 0)
        for size, whole, (low, _) in zip(x.shape[1:3], (height, width), geometry.padding, strict=True)
    ]
    x = jax.lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *edges, (0, 0, 0)))
    x = x.reshape(n, height, stride, width, stride, channels).transpose(2, 4, 0, 1, 3, 5)
    offsets = [(row * dilation, column * dilation) for row in range(kernel_px) for column in range(kernel_px)]
    places = jnp.array([(r % stride, c % stride, r // stride, c // stride) for r, c in offsets], jnp.int32)
    images = max(
        count for count in range(1, n + 1) if n % count == 0 and (count * rows * columns <= _CHUNK_PX or count == 1)
    )

    def of_chunk(total: jax.Array, first: jax.Array) -> tuple[jax.Array, None]:
        pixels = jax.lax.dynamic_slice_in_dim(dy, first, images).reshape(-1, out)
        transposed = jax.lax.optimization_barrier(pixels.T)  # or every product would do it again

        def of_tap(place: jax.Array) -> jax.Array:
            start = (place[0], place[1], first, place[2], place[3], jnp.zeros_like(first))
            met = jax.lax.dynamic_slice(x, start, (1, 1, images, rows, columns, channels))
            return jax.lax.dot(transposed, met.reshape(-1, channels), precision=geometry.precision)

        return total + jax.lax.map(of_tap, places), None

    zeros = _varying(jnp.zeros((kernel_px**2, out, channels), dy.dtype), _axes(dy))
    total, _ = jax.lax.scan(of_chunk, zeros, jnp.arange(0, n, images, dtype=jnp.int32))
    return total.transpose(0, 2, 1).reshape(kernel_px, kernel_px, channels, out)


def _input_gradient_by_phases(
    kernel: jax.Array, dy: jax.Array, shape: tuple[int, ...], geometry: Geometry
) -> jax.Array:
    """Of a strided convolution: each phase of the input is a plain convolution of dy with the taps that reach it."""
    stride = geometry.stride

    def reach(axis: int, phase: int) -> tuple[int, tuple[int, int]]:
        """First tap that meets pixels phase, phase + stride, ...; and how dy is padded for them."""
        size, low = shape[axis], geometry.padding[axis - 1][0]
        first, begin = (phase + low) % stride, (phase + low) // stride
        taps, count = len(range(first, kernel.shape[0], stride)), len(range(phase, size, stride))
        return first, (taps - 1 - begin, begin + count - dy.shape[axis])

    phases = []
    for row in range(stride):
        first_row, rows = reach(1, row)
        for column in range(stride):
            first_column, columns = reach(2, column)
            taps = kernel[first_row::stride, first_column::stride][::-1, ::-1].swapaxes(2, 3)
            phases.append(_plain(dy, taps, Geometry(padding=(rows, columns), precision=geometry.precision)))
    high, wide = (-(-size // stride) for size in shape[1:3])
    # An odd size has one pixel less in its later phases.
    phases = [jnp.pad(p, ((0, 0), (0, high - p.shape[1]), (0, wide - p.shape[2]), (0, 0))) for p in phases]
    y = jnp.stack(phases).reshape(stride, stride, shape[0], high, wide, shape[3]).transpose(2, 3, 0, 4, 1, 5)
    return y.reshape(shape[0], high * stride, wide * stride, shape[3])[:, : shape[1], : shape[2]]


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
        # Explicit: "SAME" pads strided convolutions more at one side, the paper's code pads both alike.
        y = convolve(x, kernel, Geometry(self.stride, self.dilation, padding, self.precision))
        y = y if self.padded else y[:, 1:]
        return checkpoint_name(y if bias is None else y + bias, CONVOLVED)


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
        geometry = Geometry(padding=((1, 1), (1, 1)), precision=self.precision)
        y = convolve(x, phases.reshape(2, 2, c, 4 * out), geometry).reshape(n, h + 1, w + 1, 2, 2, out)
        rows = [jnp.stack([y[:, p : p + h, q : q + w, p, q] for q in (0, 1)], axis=3) for p in (0, 1)]
        y = jnp.stack(rows, axis=2).reshape(n, 2 * h, 2 * w, out)
        return checkpoint_name(y if bias is None else y + bias, CONVOLVED)


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
