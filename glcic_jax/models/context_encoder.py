"""The Context Encoder, a rival, and its discriminator (Pathak et al. 2016). Arrays: float (..., H, W, 3) in [0, 1].

It completes the central square of an image of one fixed size, of half its side. Layers are those of the paper's
network for 128 px (its supplement), with the channel-wise fully connected layer of section 3.1 and the stride-1
convolution after it where the supplement has a plain bottleneck.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Shaped

from glcic_jax.errors import UserError
from glcic_jax.models.layers import Conv, Dense, InitialValues, TransposedConv, activation, batch_norm, keep_features

ENCODER_CHANNELS = (64, 64, 128, 256, 512)
"""4x4 convolutions with stride 2."""
DECODER_CHANNELS = (256, 128, 64, 3)
"""4x4 transposed convolutions with stride 2: one less, since the central square has half the side."""
DISCRIMINATOR_CHANNELS = (64, 128, 256, 512)
"""4x4 convolutions with stride 2, on the central square."""
LEAK = 0.2
"""Of the leaky ReLU in the encoder and the discriminator; the decoder has ReLU."""
REDUCTION = 2 ** len(ENCODER_CHANNELS)


class ChannelwiseDense(nn.Module):
    """Fully connected within each channel, across all places: (N, h, w, C) -> the same, C x (h w)^2 weights."""

    initial: InitialValues = InitialValues()
    dtype: Any = None
    precision: Any = None

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
        """Connects the places of each channel of x."""
        n, h, w, channels = x.shape
        places = h * w
        kernel = self.param("kernel", self.initial.kernel(places), (channels, places, places))
        bias = self.param("bias", self.initial.bias(places), (channels, places))
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        flat = x.reshape(n, places, channels)
        y: jax.Array = jnp.einsum("npc,cpq->nqc", flat, kernel, precision=self.precision) + bias.T[None]
        return y.reshape(n, h, w, channels)


class ContextEncoder(nn.Module):
    """Paints the central square of an image from what is around it.

    Fields:
        image_px: side of the images, a multiple of 32; the square has half of it.
        width_multiplier: factor on the numbers of channels.
        mean_color: RGB in [0, 1], which stands in the square at the input.
        initial_values, dtype, precision, statistics_axis: as in CompletionNetwork.
    """

    image_px: int = 128
    width_multiplier: float = 1.0
    mean_color: tuple[float, float, float] = (0.5, 0.5, 0.5)
    initial_values: str = "torch7"
    dtype: Any = None
    precision: Any = None
    statistics_axis: str | None = None

    def square(self) -> slice:
        """Rows, and columns, of the central square."""
        return slice(self.image_px // 4, self.image_px // 4 + self.image_px // 2)

    @property
    def smallest_px(self) -> int:
        """Side of the only images that it takes."""
        return self.image_px

    @property
    def margin_px(self) -> None:
        """It has no windows: it sees whole images."""

    @property
    def convention(self) -> dict[str, str]:
        """How arrays are to be read, for people who read the card."""
        side = self.image_px
        return {
            "image": f"RGB float in [0, 1], shape (..., H, W, 3), H and W {side}, holes in the central {side // 2} px",
            "mask": "1 = hole, shape (..., H, W, 1)",
            "output": "RGB float in [0, 1]; inside the network works in [-1, 1], its output is (t + 1) / 2",
            "norm_placement": "before the activation",
        }

    def check_hole(self, hole: np.ndarray) -> None:
        """Raises UserError if the image is of another size or the hole, bool (H, W), leaves the central square."""
        side, outside = self.image_px, hole.copy()
        if hole.shape == (side, side):
            outside[self.square(), self.square()] = False
        if hole.shape != (side, side) or outside.any():
            h, w = hole.shape
            raise UserError(
                f"this model is a Context Encoder: it completes holes inside the central {side // 2} px of images of "
                f"{side} x {side} px, and nothing else; this image is {w} x {h} px"
                + ("" if hole.shape != (side, side) else ", and its hole reaches further")
            )

    @nn.compact
    def __call__(
        self, image: Float[ArrayLike, "*n h w 3"], mask: Shaped[ArrayLike, "*n h w 1"], *, train: bool = False
    ) -> Float[Array, "*n h w 3"]:
        """The image with the square painted, whatever part of it the mask wants.

        Args:
            image: (..., image_px, image_px, 3) float in [0, 1]; what stands in the square does not matter.
            mask: (..., image_px, image_px, 1), 1 = hole; a hole outside the square is not painted.
            train: normalise with the batch's statistics and update the running ones.

        Returns: (..., image_px, image_px, 3) float in [0, 1], float32 or finer.
        Raises: ValueError for another size.

        """
        image = jnp.asarray(image)
        side = self.image_px
        if image.shape[-3:] != (side, side, 3) or jnp.shape(mask) != (*image.shape[:-1], 1) or side % REDUCTION:
            raise ValueError(
                f"image has shape {image.shape} and mask {jnp.shape(mask)}; they must be (..., {side}, {side}, 3) and "
                f"(..., {side}, {side}, 1), and {side} a multiple of {REDUCTION}"
            )
        square = (..., self.square(), self.square(), slice(None))
        seen = image.at[square].set(jnp.asarray(self.mean_color, image.dtype))
        x = 2 * seen.reshape(-1, side, side, 3) - 1
        common = {
            "initial": InitialValues(self.initial_values, LEAK),
            "dtype": self.dtype,
            "precision": self.precision,
        }
        for number, channels in enumerate(ENCODER_CHANNELS, 1):
            x = Conv(self._width(channels), 4, stride=2, name=f"encoder_conv{number}", **common)(x)
            if number > 1:
                x = batch_norm(f"encoder_norm{number}", train, self.statistics_axis, self.dtype)(x)
            x = activation(x, LEAK)
        x = ChannelwiseDense(name="channelwise", **common)(x)
        x = Conv(x.shape[-1], 1, name="across", **common)(x)
        x = activation(batch_norm("across_norm", train, self.statistics_axis, self.dtype)(x), 0.0)
        for number, channels in enumerate(DECODER_CHANNELS, 1):
            last = number == len(DECODER_CHANNELS)
            features = channels if last else self._width(channels)
            x = TransposedConv(features, name=f"decoder_conv{number}", **common)(x)
            if not last:
                x = batch_norm(f"decoder_norm{number}", train, self.statistics_axis, self.dtype)(x)
                x = activation(x, 0.0)
        x = (jnp.tanh(x.astype(jnp.promote_types(x.dtype, jnp.float32))) + 1) / 2
        painted = x.reshape(*image.shape[:-3], side // 2, side // 2, 3)
        return image.astype(x.dtype).at[square].set(painted)

    def _width(self, channels: int) -> int:
        return max(1, int(channels * self.width_multiplier))


class PatchDiscriminator(nn.Module):
    """Judges the central square alone, without what is around it (its section 3.2).

    Fields:
        width_multiplier: factor on the numbers of channels.
        initial_values, dtype, precision, statistics_axis: as in CompletionNetwork.
    """

    width_multiplier: float = 1.0
    initial_values: str = "torch7"
    dtype: Any = None
    precision: Any = None
    statistics_axis: str | None = None

    @property
    def mask_channel(self) -> bool:
        """It does not see the mask."""
        return False

    @nn.compact
    def __call__(
        self, image: Float[Array, "n h w 3"], window: Float[Array, "n _ _ 3"], *, train: bool = False
    ) -> Float[Array, " n"]:
        """Logits (N,), positive for real, of window (N, h, w, 3); image stands there as for the other discriminator."""
        x = 2 * window - 1
        common = {
            "initial": InitialValues(self.initial_values, LEAK),
            "dtype": self.dtype,
            "precision": self.precision,
        }
        for number, channels in enumerate(DISCRIMINATOR_CHANNELS, 1):
            features = max(1, int(channels * self.width_multiplier))
            x = Conv(features, 4, stride=2, name=f"conv{number}", **common)(x)
            if number > 1:
                x = batch_norm(f"norm{number}", train, self.statistics_axis, self.dtype)(x)
            x = activation(x, LEAK)
            keep_features(self, f"local{number}", x)
        x = x.reshape(x.shape[0], -1)
        logit = Dense(1, name="head", **common)(x)[:, 0]
        return logit.astype(jnp.promote_types(logit.dtype, jnp.float32))
