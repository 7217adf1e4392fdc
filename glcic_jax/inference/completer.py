"""Completing photographs of any size, exactly as the whole image would be, at the cost of the hole."""

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from glcic_jax.errors import UserError
from glcic_jax.inference.coarse import coarse_margin_px, complete_coarse
from glcic_jax.inference.masks import check_size, thickness_px, trained_px
from glcic_jax.inference.windows import plan_windows
from glcic_jax.models import folder as model_folder
from glcic_jax.models.completion import CompletionNetwork
from glcic_jax.models.context_encoder import ContextEncoder
from glcic_jax.models.folder import Variables

_BLENDING_MARGIN_PX = 5

Box = tuple[slice, slice]


class Completer:
    """A model, ready to complete: `completer(image, mask)`. Threads may share one.

    Fields:
        network, variables: `network.apply(variables, image, mask)` is what it computes.
        card: the model's card; {} where there is none.
    """

    def __init__(self, model: str | Path | tuple[CompletionNetwork | ContextEncoder, Variables, dict[str, Any]]):
        """model: a model folder, or what `glcic_jax.load` made of one. Raises: UserError as `load`."""
        if isinstance(model, (str, Path)):
            model = model_folder.load(model)
        self.network, variables, self.card = model
        self.variables = jax.device_put(variables)

    def __call__(self, image: Any, mask: Any, *, coarse: bool = True, blend: bool = False) -> Any:
        """The photographs with their holes painted; known pixels keep every bit.

        Sizes that are no multiples of 4 are padded by reflection, photograph and mask alike, and cut again.

        Args:
            image: (..., H, W, 3) RGB, uint8 or uint16, or float in [0, 1]; NumPy or JAX.
            mask: (..., H, W, 1), 1 = hole.
            coarse: False completes holes at full scale even where they are thicker than any that the model was
                trained on (by its card); otherwise such holes are completed at a lower scale first.
            blend: the paper's post-processing.

        Returns: as `image`, a NumPy array, or a JAX one if `image` is.
        Raises: UserError if the sizes differ or are below 16 px, or a mask covers nothing or everything.

        """
        pixels, holes = np.asarray(image), np.asarray(mask) > 0
        _check(pixels, holes)
        completed = pixels.copy()
        for index in np.ndindex(pixels.shape[:-3]):
            one, hole = pixels[index], holes[index][..., 0]
            coarse = coarse and isinstance(self.network, CompletionNetwork)
            trained = trained_px(self.card) if coarse else None
            if trained is not None and thickness_px(hole) > trained:
                box = _around(hole, coarse_margin_px(hole, trained))
                painted = complete_coarse(self._paint, to_float(one[box]), hole[box], trained)
            else:
                box = _around(hole, _BLENDING_MARGIN_PX)
                painted = self._paint(one, hole, box)
            if blend:
                from glcic_jax.inference.blending import blend_hole  # SciPy's solvers take a third of a second to load

                painted = blend_hole(to_float(one[box]), painted, hole[box])
            completed[index][box][hole[box]] = from_float(painted[hole[box]], pixels.dtype)
        return jnp.asarray(completed) if isinstance(image, jax.Array) else completed

    def _paint(self, image: np.ndarray, hole: np.ndarray, box: Box = np.s_[0:, 0:]) -> np.ndarray:
        """What the image (H, W, 3) shows in a box around the hole, with the network's pixels in it: float32."""
        painted = to_float(image[box])
        if isinstance(self.network, ContextEncoder):
            _check_square(self.network, hole)
            whole = _apply_whole(self.network, self.variables, to_float(image), hole[..., None])
            return np.where(hole[box][..., None], np.asarray(whole)[box], painted)
        top, left = box[0].start, box[1].start
        for window in plan_windows(hole):
            grid = np.ix_(window.rows(hole.shape[0]), window.columns(hole.shape[1]))
            inside = window.photograph(*hole.shape)
            output = _apply(self.network, self.variables, to_float(image[grid]), hole[grid][..., None], inside)
            h, w = window.box_px
            part = np.s_[window.y - top : window.y - top + h, window.x - left : window.x - left + w]
            known = ~hole[window.y : window.y + h, window.x : window.x + w, None]
            painted[part] = np.where(known, painted[part], np.asarray(output)[:h, :w])
        return painted


def complete(
    network: CompletionNetwork | ContextEncoder, variables: Variables, image: np.ndarray, mask: np.ndarray
) -> np.ndarray:
    """`Completer` for a network that is at hand."""
    return np.asarray(Completer((network, variables, {}))(image, mask))


def to_float(values: np.ndarray) -> np.ndarray:
    """Integers to float32 in [0, 1]."""
    values, scale = (values, np.iinfo(values.dtype).max) if values.dtype.kind == "u" else (values, 1)
    return values.astype(np.float32) / np.float32(scale)


def from_float(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The way back, rounded to the nearest integer."""
    if dtype.kind != "u":
        return values.astype(dtype)
    top = np.iinfo(dtype).max
    return (values * np.float32(top)).round().clip(0, top).astype(dtype)


@functools.partial(jax.jit, static_argnums=0)
def _apply(
    network: CompletionNetwork, variables: Variables, image: jax.Array, hole: jax.Array, photograph: jax.Array
) -> Any:
    return network.apply(variables, image, hole, photograph=photograph)


@functools.partial(jax.jit, static_argnums=0)
def _apply_whole(network: ContextEncoder, variables: Variables, image: jax.Array, hole: jax.Array) -> Any:
    return network.apply(variables, image, hole)


def _check_square(network: ContextEncoder, hole: np.ndarray) -> None:
    """Raises UserError if the Context Encoder cannot complete it."""
    side, outside = network.image_px, hole.copy()
    if hole.shape == (side, side):
        outside[network.square(), network.square()] = False
    if hole.shape != (side, side) or outside.any():
        h, w = hole.shape
        raise UserError(
            f"this model is a Context Encoder: it completes holes inside the central {side // 2} px of images of "
            f"{side} x {side} px, and nothing else; this image is {w} x {h} px"
            + ("" if hole.shape != (side, side) else ", and its hole reaches further")
        )


def _around(hole: np.ndarray, margin_px: int) -> Box:
    """The box around a hole, with a margin where there is room for it."""
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    top, left = max(int(rows[0]) - margin_px, 0), max(int(columns[0]) - margin_px, 0)
    return np.s_[top : int(rows[-1]) + 1 + margin_px, left : int(columns[-1]) + 1 + margin_px]


def _check(image: np.ndarray, hole: np.ndarray) -> None:
    if image.ndim < 3 or image.shape[-1] != 3 or hole.ndim < 3 or hole.shape[-1] != 1:
        raise UserError(
            f"the image has shape {image.shape} and the mask {hole.shape}; "
            "they must be (..., H, W, 3) and (..., H, W, 1)"
        )
    (h, w), (mask_h, mask_w) = image.shape[-3:-1], hole.shape[-3:-1]
    if image.shape[:-1] != hole.shape[:-1]:
        raise UserError(f"the image is {w} x {h} px and the mask {mask_w} x {mask_h} px; give them the same size")
    if image.dtype not in (np.uint8, np.uint16) and image.dtype.kind != "f":
        raise UserError(f"the image holds {image.dtype}; it must be uint8, uint16, or float in [0, 1]")
    check_size(image)
    if not hole.any((-3, -2)).all():
        raise UserError("the mask is empty: no pixel is lighter than mid-grey; paint the hole white")
    if hole.all((-3, -2)).any():
        raise UserError("the mask covers the whole image; paint only the hole white, and leave known pixels black")
