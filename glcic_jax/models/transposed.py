"""4x4 transposed convolution with stride 2, in the form that is best where a program will run. Arrays are (N, H, W, C).

XLA convolves over inserted zeros on CPUs; on GPUs a library does better, if its calls can be recognised: the transposed
convolution is then a strided one's gradient of its input, and the gradients are a strided convolution and its kernel's
gradient.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from glcic_jax.models.convolution import Geometry, convolve
from glcic_jax.models.varying import vary_over, varying_axes


def convolve_transposed(
    x: Float[Array, "n h w c"], kernel: Float[Array, "4 4 c o"], precision: Any = None
) -> Float[Array, "n 2*h 2*w o"]:
    """4x4 transposed convolution with stride 2: x (N,H,W,C), kernel (4,4,C,O) -> (N,2H,2W,O)."""
    axes = varying_axes(x) | varying_axes(kernel)  # why: convolution.convolve
    return _convolve(vary_over(x, axes), vary_over(kernel, axes), precision)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolve(x: jax.Array, kernel: jax.Array, precision: Any) -> jax.Array:
    by_phases, plainly = (functools.partial(form, precision=precision) for form in (convolve_by_phases, _plainly))
    y: jax.Array = jax.lax.platform_dependent(x, kernel, cpu=by_phases, default=plainly)
    return y


def _forward(x: jax.Array, kernel: jax.Array, precision: Any) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _convolve(x, kernel, precision), (x, kernel)


def _backward(precision: Any, residuals: tuple[jax.Array, jax.Array], dy: jax.Array) -> tuple[jax.Array, jax.Array]:
    def differentiate_phases(x: jax.Array, kernel: jax.Array, dy: jax.Array) -> tuple[jax.Array, jax.Array]:
        dx, dkernel = jax.vjp(functools.partial(convolve_by_phases, precision=precision), x, kernel)[1](dy)
        return dx, dkernel

    def differentiate_adjoint(x: jax.Array, kernel: jax.Array, dy: jax.Array) -> tuple[jax.Array, jax.Array]:
        return differentiate_plainly(x, kernel, dy, precision)

    gradients: tuple[jax.Array, jax.Array] = jax.lax.platform_dependent(
        *residuals, dy, cpu=differentiate_phases, default=differentiate_adjoint
    )
    return gradients


_convolve.defvjp(_forward, _backward)


def convolve_by_phases(x: jax.Array, kernel: jax.Array, precision: Any = None) -> jax.Array:
    """The same for CPUs.

    Each of the four output phases needs just 2x2 taps, so one 2x2 convolution with four times the channels followed
    by an interleaving does the same without convolving over inserted zeros, and its gradients are plain ones.
    """
    (n, h, w, channels), out = x.shape, kernel.shape[-1]
    # Along one axis, output 2m + p takes inputs m + p - 1 + t with tap 3 - p - 2t, for t in (0, 1):
    # the flipped kernel, read as (t, p), gives each phase p its two taps.
    phases = kernel[::-1, ::-1].reshape(2, 2, 2, 2, channels, out).transpose(0, 2, 4, 1, 3, 5)
    geometry = Geometry(padding=((1, 1), (1, 1)), precision=precision)
    y = convolve(x, phases.reshape(2, 2, channels, 4 * out), geometry).reshape(n, h + 1, w + 1, 2, 2, out)
    rows = [jnp.stack([y[:, p : p + h, q : q + w, p, q] for q in (0, 1)], axis=3) for p in (0, 1)]
    return jnp.stack(rows, axis=2).reshape(n, 2 * h, 2 * w, out)


def _plainly(x: jax.Array, kernel: jax.Array, precision: Any = None) -> jax.Array:
    """The same over inserted zeros."""
    return jax.lax.conv_general_dilated(
        x,
        kernel[::-1, ::-1],
        window_strides=(1, 1),
        padding=((2, 2), (2, 2)),
        lhs_dilation=(2, 2),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=precision,
    )


def differentiate_plainly(
    x: jax.Array, kernel: jax.Array, dy: jax.Array, precision: Any = None
) -> tuple[jax.Array, jax.Array]:
    """Gradients of x and kernel, by the strided convolution whose adjoint the transposed one is.

    JAX's own gradient of the kernel is a convolution whose kernel is the whole map, in which no library sees the
    gradient of a kernel.
    """

    def convolve_strided(y: jax.Array, kernel: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(
            y, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWOI", "NHWC"), precision=precision
        )

    # The strided convolution's input is our output, its output our input.
    dx, pull_back = jax.vjp(functools.partial(convolve_strided, dy), kernel)
    return dx, pull_back(x)[0]
