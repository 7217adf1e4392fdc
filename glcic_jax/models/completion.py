"""The completion network C. Arrays: float (..., H, W, 3) RGB in [0, 1]; masks (..., H, W, 1), 1 = hole."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, Shaped

from glcic_jax.models.layers import (
    INITIAL_VALUES,
    Branch,
    Conv,
    InitialValues,
    TransposedConv,
    UpsampledConv,
    activation,
    add_bias,
    batch_norm,
)
from glcic_jax.models.normalization import BatchNormActivation

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

CHOICES = {
    "normalization": ("batch", "batch_after_activation", "none"),
    "upsampling": ("transposed", "nearest"),
    "output": ("sigmoid", "tanh", "linear"),
    "initial_values": INITIAL_VALUES,
}
"""Values of the fields that have few."""


def keeps_shape(number: int) -> bool:
    """Whether layer `number` of table 1, from 1, returns a map of its input's shape, so that both can be added."""
    layer = TABLE_1[number - 1]
    return number > 1 and layer.stride == 1 and layer.channels == TABLE_1[number - 2].channels


def dependencies(start: int, stop: int) -> list[tuple[int, int]]:
    """What output pixels [start, stop) depend on, along one axis, from the layers.

    Returns: an interval [start, stop) for the input and for the map after each layer, in its own pixels; the last
        is the output's.
    """
    intervals = [(start, stop)]
    for layer in reversed((*TABLE_1, LAST)):
        if layer.transposed:  # output pixel o takes input pixel i with tap o + 1 - 2i; taps are 0 to 3
            # The same with "nearest" upsampling: o takes pixels o - 1 to o + 1 of the doubled map.
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
        normalization: "batch", BatchNorm before the activation; "batch_after_activation"; or "none".
        residual: layers that keep their input's shape add to it, by a factor that is learnt from 0.3.
        upsampling: "transposed" convolutions, or "nearest": pixels doubled, then a 3x3 convolution.
        output: "sigmoid", "tanh", or "linear": added to the mean colour and clipped to [0, 1], where gradients pass
            the clipping. With "tanh" the network works in [-1, 1] inside, at its input too; photographs and results
            are in [0, 1] either way.
        hole_fill: what the network sees in the hole. "mean_centred" subtracts the mean colour and leaves zero,
            "mean" puts the mean colour, a number in [0, 1] puts that grey.
        mean_color: RGB in [0, 1], of the training set.
        mask_channel: whether the mask is the fourth input channel.
        use_bias: whether convolutions have biases.
        initial_values: how weights are drawn: "torch7", "he_uniform" or "he" (`layers.InitialValues`).
        dtype: compute dtype; None follows the arrays.
        precision: of the convolutions; `jax.lax.Precision.HIGHEST` keeps TF32 away on GPUs.
        statistics_axis: mesh axis over which BatchNorm averages in training; None keeps to the local batch.
    """

    width_multiplier: float = 1.0
    negative_slope: float = 0.0
    normalization: str = "batch"
    residual: bool = False
    upsampling: str = "transposed"
    output: str = "sigmoid"
    hole_fill: str | float = "mean_centred"
    mean_color: tuple[float, float, float] = (0.5, 0.5, 0.5)
    mask_channel: bool = True
    use_bias: bool = True
    initial_values: str = "torch7"
    dtype: Any = None
    precision: Any = None
    statistics_axis: str | None = None

    def __post_init__(self) -> None:
        """Checks the fields that have few values. Raises: ValueError."""
        for field, choices in CHOICES.items():
            if (value := getattr(self, field)) not in choices:
                raise ValueError(f"{field} is {value!r}; it must be one of {', '.join(choices)}")
        if isinstance(self.hole_fill, str) and self.hole_fill not in ("mean_centred", "mean"):
            raise ValueError(
                f"hole_fill is {self.hole_fill!r}; it must be 'mean_centred', 'mean' or a number in [0, 1]"
            )
        if not isinstance(self.hole_fill, str) and not 0 <= self.hole_fill <= 1:
            raise ValueError(f"hole_fill is {self.hole_fill}; a grey must lie in [0, 1]")
        super().__post_init__()

    @property
    def smallest_px(self) -> int:
        """Side of the smallest image that it takes."""
        return STRIDE_PX

    @property
    def margin_px(self) -> tuple[int, int]:
        """What a window needs before and after its core: the receptive field."""
        return MARGIN_PX

    @property
    def convention(self) -> dict[str, str]:
        """How arrays are to be read, for people who read the card."""
        inside = {
            "sigmoid": "",
            "tanh": "; inside the network works in [-1, 1], its output is (t + 1) / 2",
            "linear": "; the mean colour is added to the last layer's values, the sum clipped",
        }
        norms = {"batch": "before the activation", "batch_after_activation": "after the activation", "none": "none"}
        return {
            "image": f"RGB float in [0, 1], shape (..., H, W, 3), H and W multiples of {STRIDE_PX}",
            "mask": "1 = hole, shape (..., H, W, 1)",
            "output": f"RGB float in [0, 1]{inside[self.output]}",
            "norm_placement": norms[self.normalization],
        }

    def check_hole(self, hole: np.ndarray) -> None:
        """It paints any hole of any size."""

    @nn.compact
    def __call__(
        self,
        image: Float[ArrayLike, "*n h w 3"],
        mask: Shaped[ArrayLike, "*n h w 1"],
        *,
        train: bool = False,
        photograph: Int[Array, "4"] | None = None,
    ) -> Float[Array, "*n _ _ 3"]:
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
        maps = list(zip(dependencies(0, height), dependencies(0, width), strict=True))
        windowed, scale = photograph is not None, 1
        x = self.network_input(image, mask).reshape(-1, *image.shape[-3:-1], 4 if self.mask_channel else 3)
        x = _zero_outside(x, photograph, maps[0], scale)
        for number, layer in enumerate(TABLE_1, 1):
            before, after = maps[number - 1], maps[number]
            y = self._convolve(layer, f"conv{number}", x, not windowed)
            if layer.transposed and windowed:
                y = _cut(y, _doubled(before), after)  # its outermost pixels have seen padding
            scale = scale // layer.stride if layer.transposed else scale * layer.stride
            y = self._activate(y, f"norm{number}", train)
            if self.residual and keeps_shape(number):
                y = Branch(name=f"residual{number}")(_cut(x, before, after) if windowed else x, y)
            x = _zero_outside(y, photograph, after, scale)
        x = self._convolve(LAST, f"conv{len(TABLE_1) + 1}", x, not windowed)
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        return self._output(x).reshape(*image.shape[:-3], height, width, 3)

    def _convolve(self, layer: Layer, name: str, x: jax.Array, padded: bool) -> jax.Array:
        channels = layer.channels if layer is LAST else max(1, int(layer.channels * self.width_multiplier))
        common: Any = {
            "use_bias": self.use_bias,
            "initial": InitialValues(self.initial_values, self.negative_slope),
            "dtype": self.dtype,
            "precision": self.precision,
            "name": name,
        }
        if layer.transposed:
            return (TransposedConv if self.upsampling == "transposed" else UpsampledConv)(channels, **common)(x)
        return Conv(channels, layer.kernel_px, layer.stride, layer.dilation, padded, **common)(x)

    def _activate(self, x: jax.Array, name: str, train: bool) -> jax.Array:
        if self.normalization == "none":
            return activation(x, self.negative_slope)
        if self.normalization == "batch":
            return BatchNormActivation(self.negative_slope, self.statistics_axis, self.dtype, name=name)(x, train)
        norm = batch_norm(name, train, self.statistics_axis, self.dtype)
        normalized: jax.Array = norm(activation(x, self.negative_slope))
        return normalized

    def _output(self, x: jax.Array) -> jax.Array:
        if self.output == "linear":
            return _clip(add_bias(x, jnp.asarray(self.mean_color, x.dtype)))
        return nn.sigmoid(x) if self.output == "sigmoid" else (jnp.tanh(x) + 1) / 2

    def network_input(
        self, image: Float[Array, "*n h w 3"], mask: Shaped[Array, "*n h w 1"]
    ) -> Float[Array, "*n h w c"]:
        """What the first layer sees: (..., H, W, 4), or 3 channels without the mask."""
        mean = jax.lax.broadcast_to_rank(jnp.asarray(self.mean_color, image.dtype), image.ndim)
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


def composite(
    output: Float[ArrayLike, "*n h w 3"], image: Float[ArrayLike, "*n h w 3"], mask: Shaped[ArrayLike, "*n h w 1"]
) -> Float[Array, "*n h w 3"]:
    """The photograph with the network's pixels in the hole: (..., H, W, 3). Known pixels keep every bit."""
    return jnp.where(jnp.asarray(mask) > 0, output, image)


@jax.custom_jvp
def _clip(x: jax.Array) -> jax.Array:
    """Clips to [0, 1]; gradients pass unchanged, or pixels that have left the range would never come back."""
    return jnp.clip(x, 0, 1)


_clip.defjvp(lambda primals, tangents: (_clip(*primals), tangents[0]))

Map = tuple[tuple[int, int], tuple[int, int]]
"""Rows and columns [start, stop) that a layer's map of a window holds, from the core's corner, in its own pixels."""


def _doubled(held: Map) -> Map:
    """What a transposed convolution makes of a map."""
    (top, bottom), (left, right) = held
    return (2 * top, 2 * bottom), (2 * left, 2 * right)


def _cut(x: jax.Array, held: Map, wanted: Map) -> jax.Array:
    """The wanted part of what x (N,H,W,C) holds."""
    for axis, ((first, _), (start, stop)) in enumerate(zip(held, wanted, strict=True), 1):
        x = jax.lax.slice_in_dim(x, start - first, stop - first, axis=axis)
    return x


def _zero_outside(x: jax.Array, photograph: jax.Array | None, part: Map, scale: int) -> jax.Array:
    """Zeros where a window's map (N, H, W, C) reaches over the photograph's border; scale: its pixels' size."""
    if photograph is None:
        return x
    inside = jnp.ones((), bool)
    for axis in (0, 1):
        place = part[axis][0] + jax.lax.broadcasted_iota(jnp.int32, x.shape[1:3], axis)
        inside &= (place >= photograph[axis] // scale) & (place < photograph[axis + 2] // scale)
    return jnp.where(inside[None, ..., None], x, 0)


def _check(image: jax.Array, mask: jax.Array, margin_px: int) -> tuple[int, int]:
    """Height and width of what is painted."""
    if image.ndim < 3 or image.shape[-1] != 3:
        raise ValueError(f"image has shape {image.shape}; it must be (..., H, W, 3)")
    if mask.shape != (*image.shape[:-1], 1):
        raise ValueError(f"mask has shape {mask.shape}; for this image it must be {(*image.shape[:-1], 1)}")
    if not jnp.issubdtype(image.dtype, jnp.floating):
        raise TypeError(f"image is {image.dtype}; it must be float in [0, 1] (divide 8-bit values by 255)")
    h, w = (side - margin_px for side in image.shape[-3:-1])
    # Sizes may be symbols (jax.export), which cannot always be compared; only windows can be too small.
    if h % STRIDE_PX or w % STRIDE_PX or (margin_px and min(h, w) < 0):
        raise ValueError(f"image is {h} x {w} px; both sides must be multiples of {STRIDE_PX} (pad it)")
    return h, w
