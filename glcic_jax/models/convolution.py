"""Two-dimensional convolution whose gradients are fast on CPUs too. Arrays are (N, H, W, C).

The forward pass is XLA's own convolution on every platform. XLA's gradients of convolutions reach as little as a
hundredth of a CPU's rate, so on CPUs they are computed as plain convolutions of other shapes instead. The choice is
made when a program is lowered for its platform; docs/performance.md has the times of every form.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from glcic_jax.models.varying import vary_over, varying_axes


class Geometry(NamedTuple):
    """How a kernel moves over its input: strides and dilation in pixels, padding ((top, bottom), (left, right))."""

    stride: int = 1
    dilation: int = 1
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    precision: Any = None


def convolve(
    x: Float[Array, "n h w c"], kernel: Float[Array, "k k c o"], geometry: Geometry
) -> Float[Array, "n _ _ o"]:
    """Convolution with derivatives that are fast on CPUs too: x (N,H,W,C), kernel (k,k,C,O) -> (N,h,w,O)."""
    # Inside shard_map a gradient must vary over the same mesh axes as the value it belongs to. With both arguments cast
    # to the same axes here, automatic differentiation sums over devices by itself.
    axes = varying_axes(x) | varying_axes(kernel)
    return _convolve(vary_over(x, axes), vary_over(kernel, axes), geometry)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolve(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    return _convolve_plainly(x, kernel, geometry)


def _convolve_plainly(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
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

    def differentiate_input(x: jax.Array, kernel: jax.Array, dy: jax.Array) -> jax.Array:
        gradient: jax.Array = jax.vjp(lambda x: _convolve_plainly(x, kernel, geometry), x)[1](dy)[0]
        return gradient

    def differentiate_kernel(x: jax.Array, kernel: jax.Array, dy: jax.Array) -> jax.Array:
        gradient: jax.Array = jax.vjp(lambda kernel: _convolve_plainly(x, kernel, geometry), kernel)[1](dy)[0]
        return gradient

    def differentiate_kernel_on_cpu(x: jax.Array, kernel: jax.Array, dy: jax.Array) -> jax.Array:
        return _differentiate_kernel_by_exchange(x, dy, kernel.shape[0], geometry)

    def differentiate_kernel_on_cuda(x: jax.Array, kernel: jax.Array, dy: jax.Array) -> jax.Array:
        if not _splits(x.shape, kernel.shape[0], geometry):
            return differentiate_kernel(x, kernel, dy)
        return differentiate_kernel_by_splitting(x, kernel, dy, geometry)

    def differentiate_input_on_cpu(x: jax.Array, kernel: jax.Array, dy: jax.Array) -> jax.Array:
        if geometry.stride > 1:  # XLA would convolve over inserted zeros: 2 to 100 times slower
            return _differentiate_input_by_phases(kernel, dy, x.shape, geometry)
        return differentiate_input(x, kernel, dy)

    arrays = (*residuals, dy)
    return (
        jax.lax.platform_dependent(*arrays, cpu=differentiate_input_on_cpu, default=differentiate_input),
        jax.lax.platform_dependent(
            *arrays,
            cpu=differentiate_kernel_on_cpu,
            cuda=differentiate_kernel_on_cuda,
            default=differentiate_kernel,
        ),
    )


_convolve.defvjp(_forward, _backward)


def _differentiate_kernel_by_exchange(x: jax.Array, dy: jax.Array, kernel_px: int, geometry: Geometry) -> jax.Array:
    """Kernel gradient (k,k,C,O) as a convolution in which images and channels have exchanged their places.

    x is a batch of C images with N channels, dy a kernel as large as a map; or the other way round where the kernel
    has fewer outputs than inputs, because many rows and few columns make the better matrix product.
    """
    spans = [geometry.stride * (size - 1) + geometry.dilation * (kernel_px - 1) + 1 for size in dy.shape[1:3]]
    before = [low for low, _ in geometry.padding]
    if geometry.stride == 1 and dy.shape[-1] < x.shape[-1]:
        edges = [
            (geometry.dilation * (kernel_px - 1) - low, low + size - rows)
            for low, size, rows in zip(before, x.shape[1:3], dy.shape[1:3], strict=True)
        ]
        gradient = _correlate(_pad(dy, edges), x, geometry)
        return gradient[:, ::-1, ::-1].transpose(1, 2, 3, 0)
    edges = [(low, span - size - low) for low, span, size in zip(before, spans, x.shape[1:3], strict=True)]
    return _correlate(_pad(x, edges), dy, geometry).transpose(1, 2, 0, 3)


def _correlate(maps: jax.Array, template: jax.Array, geometry: Geometry) -> jax.Array:
    """Sums over images and pixels of maps (N,H,W,A) times template (N,h,w,B), shifted by each tap: (A,k,k,B)."""
    # Padded and in this order already when the compiler sees them: it would put the padding into the convolution or
    # exchange the two, and the library that it calls would be several times slower, or not called at all.
    maps, template = jax.lax.optimization_barrier((maps.transpose(3, 1, 2, 0), template.transpose(1, 2, 0, 3)))
    gradient = jax.lax.conv_general_dilated(
        maps,
        template,
        window_strides=(geometry.dilation, geometry.dilation),
        padding=((0, 0), (0, 0)),
        rhs_dilation=(geometry.stride, geometry.stride),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=geometry.precision,
        preferred_element_type=jnp.promote_types(maps.dtype, jnp.float32),
    )
    return gradient.astype(maps.dtype)


def _pad(x: jax.Array, edges: list[tuple[int, int]]) -> jax.Array:
    """Zeros around maps (N,H,W,C); negative numbers cut."""
    return jax.lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *((low, high, 0) for low, high in edges), (0, 0, 0)))


def _splits(shape: tuple[int, ...], kernel_px: int, geometry: Geometry) -> bool:
    """Whether a dilated convolution falls apart into plain ones of every dilation-th pixel."""
    pad = geometry.dilation * (kernel_px - 1) // 2
    plain = geometry.stride == 1 and geometry.padding == ((pad, pad), (pad, pad))
    return geometry.dilation > 1 and plain and not any(size % geometry.dilation for size in shape[1:3])


def differentiate_kernel_by_splitting(x: jax.Array, kernel: jax.Array, dy: jax.Array, geometry: Geometry) -> jax.Array:
    """Kernel gradient of a dilated convolution as that of a plain one, over maps of every dilation-th pixel.

    XLA hands cuDNN no kernel gradient with dilation: it would turn the maps around so that the batch varies fastest,
    and convolve one with the other.
    """
    pad = (kernel.shape[0] - 1) // 2
    plain = Geometry(padding=((pad, pad), (pad, pad)), precision=geometry.precision)
    maps, gradients = (_split(array, geometry.dilation) for array in (x, dy))
    gradient: jax.Array = jax.vjp(lambda kernel: _convolve_plainly(maps, kernel, plain), kernel)[1](gradients)[0]
    return gradient


def _split(x: jax.Array, step: int) -> jax.Array:
    """(N,H,W,C) -> (N * step * step, H / step, W / step, C): maps of every step-th pixel."""
    n, h, w, channels = x.shape
    x = x.reshape(n, h // step, step, w // step, step, channels).transpose(0, 2, 4, 1, 3, 5)
    return x.reshape(n * step * step, h // step, w // step, channels)


def _differentiate_input_by_phases(
    kernel: jax.Array, dy: jax.Array, shape: tuple[int, ...], geometry: Geometry
) -> jax.Array:
    """Of a strided convolution: each phase of the input is a plain convolution of dy with the taps that reach it."""
    stride = geometry.stride

    def find_taps(axis: int, phase: int) -> tuple[int, tuple[int, int]]:
        """First tap that meets pixels phase, phase + stride, ...; and how dy is padded for them."""
        size, low = shape[axis], geometry.padding[axis - 1][0]
        first, begin = (phase + low) % stride, (phase + low) // stride
        taps, count = len(range(first, kernel.shape[0], stride)), len(range(phase, size, stride))
        return first, (taps - 1 - begin, begin + count - dy.shape[axis])

    phases = []
    for row in range(stride):
        first_row, rows = find_taps(1, row)
        for column in range(stride):
            first_column, columns = find_taps(2, column)
            taps = kernel[first_row::stride, first_column::stride][::-1, ::-1].swapaxes(2, 3)
            phases.append(_convolve_plainly(dy, taps, Geometry(padding=(rows, columns), precision=geometry.precision)))
    high, wide = (-(-size // stride) for size in shape[1:3])
    # An odd size has one pixel less in its later phases.
    phases = [jnp.pad(p, ((0, 0), (0, high - p.shape[1]), (0, wide - p.shape[2]), (0, 0))) for p in phases]
    y = jnp.stack(phases).reshape(stride, stride, shape[0], high, wide, shape[3]).transpose(2, 3, 0, 4, 1, 5)
    return y.reshape(shape[0], high * stride, wide * stride, shape[3])[:, : shape[1], : shape[2]]
