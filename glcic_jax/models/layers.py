"""Layers that both networks are built from, and their initial values. Arrays are (N, H, W, C)."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from glcic_jax.models.convolution import Geometry, convolve
from glcic_jax.models.transposed import convolve_transposed

Initializer = Callable[..., jax.Array]

_GAINS = {"torch7": 1 / 3, "he_uniform": 2.0}
INITIAL_VALUES = (*_GAINS, "he")
"""Names of the ways in which weights are drawn."""


class InitialValues(NamedTuple):
    """How a network's weights are drawn.

    name: "torch7", U(-1/sqrt(fan_in), 1/sqrt(fan_in)) for biases too, as Torch7 had it; "he_uniform",
        U(-sqrt(6/fan_in), sqrt(6/fan_in)), as Keras has it; or "he", a normal distribution that keeps the variance of
        activations (He et al. 2015, equation 14). Biases are zero with the last two.
    negative_slope: of the network's leaky ReLU, which "he" takes into account.
    """

    name: str = "torch7"
    negative_slope: float = 0.0

    def kernel(self, fan_in: int) -> Initializer:
        """Initialiser of weights; fan_in: of how many inputs each output is the sum."""
        if self.name == "he":
            return nn.initializers.normal(math.sqrt(2 / (1 + self.negative_slope**2) / fan_in))

        def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
            variance = jnp.array(_GAINS[self.name] / fan_in, dtype)
            return jax.random.uniform(key, shape, dtype, -1) * jnp.sqrt(3 * variance)

        return init

    def bias(self, fan_in: int) -> Initializer:
        """Initialiser of a bias that is added to outputs of that fan_in."""
        if self.name != "torch7":
            return nn.initializers.zeros
        bound = 1 / math.sqrt(fan_in)

        def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
            return jax.random.uniform(key, shape, dtype, -bound, bound)

        return init


def activation(x: Float[Array, "*shape"], negative_slope: float) -> Float[Array, "*shape"]:
    """ReLU, leaky where the slope is not zero."""
    return nn.leaky_relu(x, negative_slope) if negative_slope else nn.relu(x)


def add_bias(x: Float[Array, "... c"], bias: Float[Array, " c"]) -> Float[Array, "... c"]:
    """X (..., C) + bias (C,)."""
    return x + jax.lax.broadcast_to_rank(bias, x.ndim)


CONVOLVED = "convolved"
"""Name of the convolutions' outputs, for `jax.checkpoint` policies."""


def _finish(y: Float[Array, "n h w c"], bias: Float[Array, " c"] | None) -> Float[Array, "n h w c"]:
    """A convolution's output (N,H,W,C) with its bias (C,), under the name that policies know."""
    named: jax.Array = checkpoint_name(y if bias is None else add_bias(y, bias), CONVOLVED)
    return named


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
    spectral: bool = False
    initial: InitialValues = InitialValues()
    dtype: Any = None
    precision: Any = None

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], train: bool = False) -> Float[Array, "n _ _ {self.features}"]:
        """Convolves x; train: moves the running vector of spectral normalisation."""
        k, pad = self.kernel_px, self.dilation * (self.kernel_px - 1) // 2
        # A row that is cut off again: XLA convolves three times slower on CPUs if there is no padding at all.
        padding = ((pad, pad), (pad, pad)) if self.padded else ((self.stride, 0), (0, 0))
        fan_in = k * k * x.shape[-1]
        kernel = self.param("kernel", self.initial.kernel(fan_in), (k, k, x.shape[-1], self.features))
        bias = self.param("bias", self.initial.bias(fan_in), (self.features,)) if self.use_bias else None
        if self.spectral:
            kernel = normalize_spectrally(self, kernel, train)
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        # Explicit: "SAME" pads strided convolutions more at one side, the paper's code pads both alike.
        y = convolve(x, kernel, Geometry(self.stride, self.dilation, padding, self.precision))
        y = y if self.padded else y[:, 1:]
        return _finish(y, bias)


class TransposedConv(nn.Module):
    """4x4 transposed convolution with stride 2: (N,H,W,C) -> (N,2H,2W,features).

    The kernel (4, 4, C, features) is indexed like PyTorch's: output pixel o takes input pixel i with tap o + 1 - 2i.
    """

    features: int
    use_bias: bool = True
    initial: InitialValues = InitialValues()
    dtype: Any = None
    precision: Any = None

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n 2*h 2*w {self.features}"]:
        """Convolves x."""
        channels, out = x.shape[-1], self.features
        # Uniform values count it as PyTorch does, from the kernel's output side; in fact 2x2 taps reach an output.
        fan_in = 4 * channels if self.initial.name == "he" else 16 * out
        kernel = self.param("kernel", self.initial.kernel(fan_in), (4, 4, channels, out))
        bias = self.param("bias", self.initial.bias(fan_in), (out,)) if self.use_bias else None
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        y = convolve_transposed(x, kernel, self.precision)
        return _finish(y, bias)


class UpsampledConv(nn.Module):
    """Each pixel doubled along both axes, then a 3x3 convolution: (N,H,W,C) -> (N,2H,2W,features).

    The doubled map is never made: the same is a 4x4 transposed convolution whose taps are sums of the kernel's.
    """

    features: int
    use_bias: bool = True
    initial: InitialValues = InitialValues()
    dtype: Any = None
    precision: Any = None

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n 2*h 2*w {self.features}"]:
        """Convolves x."""
        channels, out = x.shape[-1], self.features
        kernel = self.param("kernel", self.initial.kernel(9 * channels), (3, 3, channels, out))
        bias = self.param("bias", self.initial.bias(9 * channels), (out,)) if self.use_bias else None
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        # Along one axis, output 2m takes input m - 1 with tap 0 and input m with taps 1 and 2; output 2m + 1 takes
        # input m with taps 0 and 1 and input m + 1 with tap 2. Row t has the taps that transposed tap t sums.
        sums = jnp.array([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], kernel.dtype)
        spread = jnp.einsum("si,tj,ijco->stco", sums, sums, kernel, precision=jax.lax.Precision.HIGHEST)
        y = convolve_transposed(x, spread, self.precision)
        return _finish(y, bias)


class Dense(nn.Module):
    """Fully connected: (N, inputs) -> (N, features)."""

    features: int
    spectral: bool = False
    initial: InitialValues = InitialValues()
    dtype: Any = None
    precision: Any = None

    @nn.compact
    def __call__(self, x: Float[Array, "n inputs"], train: bool = False) -> Float[Array, "n {self.features}"]:
        """Multiplies x; train: moves the running vector of spectral normalisation."""
        inputs = x.shape[-1]
        kernel = self.param("kernel", self.initial.kernel(inputs), (inputs, self.features))
        bias = self.param("bias", self.initial.bias(inputs), (self.features,))
        if self.spectral:
            kernel = normalize_spectrally(self, kernel, train)
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        return add_bias(jnp.dot(x, kernel, precision=self.precision), bias)


def keep_features(network: nn.Module, name: str, x: Float[Array, "n h w c"]) -> None:
    """Hands on what a layer made, to callers of `apply` that have the collection "features" mutable."""
    if not network.is_initializing():
        network.sow("features", name, x, reduce_fn=lambda _, new: new, init_fn=lambda: None)


def normalize_spectrally(
    layer: nn.Module, kernel: Float[Array, "*inputs outputs"], train: bool
) -> Float[Array, "*inputs outputs"]:
    """The kernel over its largest singular value, as a matrix of all inputs by outputs (Miyato et al. 2018).

    One step of power iteration a pass, from a vector that is kept among the running statistics as "u". The gradient
    sees the vectors as constants, as there (their equation 11 and appendix A).
    """
    matrix = kernel.reshape(-1, kernel.shape[-1])
    multiply = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)

    def start() -> jax.Array:
        return _unit(jax.random.normal(layer.make_rng("params"), matrix.shape[1:], matrix.dtype))

    kept = layer.variable("batch_stats", "u", start)
    u, constant = jax.lax.stop_gradient((kept.value, matrix))
    v = _unit(multiply(constant, u))
    if train:
        u = _unit(multiply(v, constant))
        if not layer.is_initializing():
            kept.value = u
    return kernel / multiply(v, multiply(matrix, u))


def _unit(x: jax.Array) -> jax.Array:
    return x / jnp.maximum(jnp.linalg.norm(x), 1e-12)


class Branch(nn.Module):
    """Adds what layers made of x to x, with a learnt factor: networks without normalisation need it small at first."""

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], y: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
        """X + scale * y, both (N,H,W,C)."""
        scale = self.param("scale", nn.initializers.constant(BRANCH_SCALE), ())
        return x + scale.astype(y.dtype) * y


BRANCH_SCALE = 0.3
"""Initial factor of a residual branch."""


BATCH_NORM_MOMENTUM, BATCH_NORM_EPSILON = 0.9, 1e-5
"""The paper's code has Torch7's: the new value weighs 0.1 in the running statistics."""


def batch_norm(name: str, train: bool, axis_name: str | None, dtype: Any) -> nn.BatchNorm:
    """BatchNorm with the paper's time constants, over the global batch if a mesh axis is named.

    eps 1e-5, momentum 0.9 (the new value weighs 0.1), biased variance in the running statistics too, all statistics
    in float32 or finer.
    """
    return nn.BatchNorm(
        use_running_average=not train,
        momentum=BATCH_NORM_MOMENTUM,
        epsilon=BATCH_NORM_EPSILON,
        axis_name=axis_name,
        dtype=dtype,
        name=name,
    )
