"""The completion network C. Arrays: float (..., H, W, 3) RGB in [0, 1]; masks (..., H, W, 1), 1 = hole."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from glcic_jax.models.layers import Conv, TransposedConv, activation, batch_norm

STRIDE_PX = 4
"""Heights and widths must be multiples of this: two strided convolutions."""


class Layer(NamedTuple):
    """One row of the paper's table 1."""

    channels: int
    kernel_px: int
    stride: int = 1
    dilation: int = 1
    transposed: bool = False


TABLE_1 = (
    Layer(64, 5),
    Layer(128, 3, stride=2),
    Layer(128, 3),
    Layer(256, 3, stride=2),
    Layer(256, 3),
    Layer(256, 3),
    Layer(256, 3, dilation=2),
    Layer(256, 3, dilation=4),
    Layer(256, 3, dilation=8),
    Layer(256, 3, dilation=16),
    Layer(256, 3),
    Layer(256, 3),
    Layer(128, 4, stride=2, transposed=True),
    Layer(128, 3),
    Layer(64, 4, stride=2, transposed=True),
    Layer(32, 3),
)
"""All layers but the last (paper, table 1)."""
LAST = Layer(3, 3)
"""The last layer, with the output function and without normalisation."""


def dependencies(start: int, stop: int) -> list[tuple[int, int]]:
    """What output pixels [start, stop) depend on, along one axis, from the layers.

    Returns: an interval [start, stop) for the input and for the map after each layer, in its own pixels; the last
        is the output's.
    """
    intervals = [(start, stop)]
    for layer in reversed((*TABLE_1, LAST)):
        if layer.transposed:  # output pixel o takes input pixel i with tap o + 1 - 2i; taps are 0 to 3
            start, stop = (start - 1) // 2, stop // 2 + 1
        else:
            reach = layer.dilation * (layer.kernel_px - 1) // 2
            start, stop = layer.stride * start - reach, layer.stride * (stop - 1) + reach + 1
        intervals.append((start, stop))
    return intervals[::-1]


MARGIN_PX = (-dependencies(0, STRIDE_PX)[0][0], dependencies(0, STRIDE_PX)[0][1] - STRIDE_PX)
"""What a window holds before and after its core, along both axes: the receptive field."""


def multiplications(height: int, width: int) -> int:
    """Of painting a window's core (height, width), by the network of full width."""
    total, inputs = 0, 4
    maps = zip(dependencies(0, height), dependencies(0, width), strict=True)
    for layer, (rows, columns) in zip((*TABLE_1, LAST), list(maps)[1:], strict=True):
        taps = layer.kernel_px**2 // (layer.stride**2 if layer.transposed else 1)
        total += (rows[1] - rows[0]) * (columns[1] - columns[0]) * taps * inputs * layer.channels
        inputs = layer.channels
    return total


class CompletionNetwork(nn.Module):
    """Fully convolutional completion network (paper, section 3.2, table 1).

    Fields:
        width_multiplier: factor on every number of channels.
        negative_slope: of the leaky ReLU; 0 is the paper's ReLU.
        output: "sigmoid", or "tanh". With "tanh" the network works in [-1, 1] inside, at its input too;
            photographs and results are in [0, 1] either way.
        hole_fill: what the network sees in the hole. "mean_centred" subtracts the mean colour and leaves zero,
            "mean" puts the mean colour, a number in [0, 1] puts that grey.
        mean_color: RGB in [0, 1], of the training set.
        mask_channel: whether the mask is the fourth input channel.
        use_bias: whether convolutions have biases.
        dtype: compute dtype; None follows the arrays.
        precision: of the convolutions; `jax.lax.Precision.HIGHEST` keeps TF32 away on GPUs.
        statistics_axis: mesh axis over which BatchNorm averages in training; None keeps to the local batch.
    """

    width_multiplier: float = 1.0
    negative_slope: float = 0.0
    output: str = "sigmoid"
    hole_fill: str | float = "mean_centred"
    mean_color: tuple[float, float, float] = (0.5, 0.5, 0.5)
    mask_channel: bool = True
    use_bias: bool = True
    dtype: Any = None
    precision: Any = None
    statistics_axis: str | None = None

    def __post_init__(self) -> None:
        """Checks the fields that have few values. Raises: ValueError."""
        if self.output not in ("sigmoid", "tanh"):
            raise ValueError(f"output is {self.output!r}; it must be 'sigmoid' or 'tanh'")
        if isinstance(self.hole_fill, str) and self.hole_fill not in ("mean_centred", "mean"):
            raise ValueError(
                f"hole_fill is {self.hole_fill!r}; it must be 'mean_centred', 'mean' or a number in [0, 1]"
            )
        if not isinstance(self.hole_fill, str) and not 0 <= self.hole_fill <= 1:
            raise ValueError(f"hole_fill is {self.hole_fill}; a grey must lie in [0, 1]")
        super().__post_init__()

    @nn.compact
    def __call__(
        self, image: jax.Array, mask: jax.Array, train: bool = False, photograph: jax.Array | None = None
    ) -> jax.Array:
        """Paints the whole image; `composite` then keeps the known pixels.

        Given `photograph`, the image is a window out of a larger one: a core and MARGIN_PX around it. Each layer
        computes only what the core depends on, and holds zeros outside the photograph, as the whole image's zero
        padding does; so the core comes out as from the whole image.

        Args:
            image: (..., H, W, 3) float in [0, 1]; what stands in the hole does not matter.
            mask: (..., H, W, 1), 1 = hole, 0 = known.
            train: normalise with the batch's statistics and update the running ones.
            photograph: int32 (4,), where the photograph begins (y, x) and ends (y, x), from the core's corner; all
                multiples of 4. What the window holds outside of it does not matter.

        Returns: (..., H, W, 3) float in [0, 1], float32 or finer; of a window its core.
        Raises: ValueError if shapes do not fit, or H or W (of the core) is no multiple of 4; TypeError if image is
            not float.

        """
        image, mask = jnp.asarray(image), jnp.asarray(mask)
        height, width = _check(image, mask, 0 if photograph is None else sum(MARGIN_PX))
        common = {"use_bias": self.use_bias, "dtype": self.dtype, "precision": self.precision}
        padded, scale = photograph is None, 1
        maps = list(zip(dependencies(0, height), dependencies(0, width), strict=True))
        x = self._network_input(image, mask).reshape(-1, *image.shape[-3:-1], 4 if self.mask_channel else 3)
        x = _zero_outside(x, photograph, maps[0], scale)
        for number, layer in enumerate(TABLE_1, 1):
            name, channels = f"conv{number}", max(1, int(layer.channels * self.width_multiplier))
            if layer.transposed:
                x = TransposedConv(channels, name=name, **common)(x)
                x, scale = x if padded else _cut(x, maps[number - 1], maps[number]), scale // layer.stride
            else:
                shape = (layer.kernel_px, layer.stride, layer.dilation, padded)
                x, scale = Conv(channels, *shape, name=name, **common)(x), scale * layer.stride
            x = batch_norm(f"norm{number}", train, self.statistics_axis, self.dtype)(x)
            x = activation(x, self.negative_slope)
            x = _zero_outside(x, photograph, maps[number], scale)
        x = Conv(LAST.channels, LAST.kernel_px, padded=padded, name=f"conv{len(TABLE_1) + 1}", **common)(x)
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        x = nn.sigmoid(x) if self.output == "sigmoid" else (jnp.tanh(x) + 1) / 2
        return x.reshape(*image.shape[:-3], height, width, 3)

    def _network_input(self, image: jax.Array, mask: jax.Array) -> jax.Array:
        mean = jnp.asarray(self.mean_color, image.dtype)
        hole = mask > 0
        if self.hole_fill == "mean_centred":
            # As the authors' released code does; in the paper's words the mean is filled in. The two differ only
            # in what the zero padding at the border means.
            filled = jnp.where(hole, 0, image - mean)
        else:
            fill = mean if self.hole_fill == "mean" else jnp.asarray(self.hole_fill, image.dtype)
            filled = jnp.where(hole, fill, image)
        if self.output == "tanh":
            filled = 2 * filled if self.hole_fill == "mean_centred" else 2 * filled - 1
        if not self.mask_channel:
            return filled
        return jnp.concatenate([filled, hole.astype(filled.dtype)], axis=-1)


def composite(output: jax.Array, image: jax.Array, mask: jax.Array) -> jax.Array:
    """The photograph with the network's pixels in the hole: (..., H, W, 3). Known pixels keep every bit."""
    return jnp.where(mask > 0, output, image)


Map = tuple[tuple[int, int], tuple[int, int]]
"""Rows and columns [start, stop) that a layer's map of a window holds, from the core's corner, in its own pixels."""


def _cut(x: jax.Array, before: Map, after: Map) -> jax.Array:
    """What the core depends on, of a transposed convolution's output, whose outermost pixels have seen padding."""
    for axis, ((first, _), (start, stop)) in enumerate(zip(before, after, strict=True), 1):
        x = jax.lax.slice_in_dim(x, start - 2 * first, stop - 2 * first, axis=axis)
    return x


def _zero_outside(x: jax.Array, photograph: jax.Array | None, part: Map, scale: int) -> jax.Array:
    """Zeros where a window's map (N, H, W, C) reaches over the photograph's border; scale: its pixels' size."""
    if photograph is None:
        return x
    inside = jnp.ones((), bool)
    for axis in (0, 1):
        place = part[axis][0] + jax.lax.broadcasted_iota(jnp.int32, x.shape[1:3], axis)
        inside &= (place >= photograph[axis] // scale) & (place < photograph[axis + 2] // scale)
    return jnp.where(inside[..., None], x, 0)


def _check(image: jax.Array, mask: jax.Array, margin_px: int) -> tuple[int, int]:
    """Height and width of what is painted."""
    if image.ndim < 3 or image.shape[-1] != 3:
        raise ValueError(f"image has shape {image.shape}; it must be (..., H, W, 3)")
    if mask.shape != (*image.shape[:-1], 1):
        raise ValueError(f"mask has shape {mask.shape}; for this image it must be {(*image.shape[:-1], 1)}")
    if not jnp.issubdtype(image.dtype, jnp.floating):
        raise TypeError(f"image is {image.dtype}; it must be float in [0, 1] (divide 8-bit values by 255)")
    h, w = (side - margin_px for side in image.shape[-3:-1])
    if h % STRIDE_PX or w % STRIDE_PX or min(h, w) < 0:
        raise ValueError(f"image is {h} x {w} px; both sides must be multiples of {STRIDE_PX} (pad it)")
    return h, w
