"""Completing photographs of any size, exactly as the whole image would be, at the cost of the hole."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from glcic_jax.errors import UserError
from glcic_jax.inference import texture
from glcic_jax.inference.arrays import check_holes, check_image, check_shapes, to_holes
from glcic_jax.inference.coarse import coarse_margin_px, complete_coarse
from glcic_jax.inference.groups import Box, expand, group_holes, merge_boxes
from glcic_jax.inference.masks import check_size, thickness_px, trained_px
from glcic_jax.inference.windows import plan_windows
from glcic_jax.models import folder as model_folder
from glcic_jax.models.card import Card
from glcic_jax.models.protocols import Completion, Variables

_BLENDING_MARGIN_PX = 5


class Completer:
    """A model, ready to complete: `completer(image, mask)`. Threads may share one.

    Fields:
        network, variables: `network.apply(variables, image, mask)` is what it computes.
        card: the model's card; an empty one where there is none.
    """

    def __init__(self, model: str | Path | tuple[Completion, Variables, Card]):
        """model: a model folder, or what `glcic_jax.load` made of one. Raises: UserError as `load`."""
        if isinstance(model, (str, Path)):
            model = model_folder.load(model)
        self.network, variables, self.card = model
        self.variables = jax.device_put(variables)

    @property
    def blends(self) -> bool:
        """Whether results are blended unless somebody says otherwise: what the card recommends."""
        return self.card.completing is not None and self.card.completing.blend

    def __call__(
        self,
        image: Any,
        mask: Any,
        *,
        coarse: bool = True,
        blend: bool | None = None,
        copy_texture: bool = False,
        watch: Callable[[], None] | None = None,
    ) -> Any:
        """The photographs with their holes painted; known pixels keep every bit.

        Sizes that are no multiples of 4 are padded by reflection, photograph and mask alike, and cut again.

        Args:
            image: (..., H, W, 3) RGB, uint8 or uint16, or float in [0, 1]; NumPy or JAX.
            mask: (..., H, W, 1); above half its type's range is hole, or 1 where it holds 0 and 1 only.
            coarse: False completes holes at full scale even where they are thicker than any that the model was
                trained on (by its card); otherwise such holes are completed at a lower scale first.
            blend: the paper's post-processing; None does what the model's card recommends (`blends`).
            copy_texture: makes the painted holes, with 8 bits, of patches from their surroundings
                (`inference.texture`), where any are known.
            watch: called before each window is painted; what it raises ends the work.

        Returns: as `image`, a NumPy array, or a JAX one if `image` is.
        Raises: UserError for shapes, types or ranges other than these, for sizes that differ or are below 16 px, for
            a mask that covers nothing or everything, if the model paints no numbers, and if what `copy_texture` needs
            is not installed.

        """
        pixels, given = np.asarray(image), np.asarray(mask)
        check_shapes(pixels, given)
        check_image(pixels)
        check_size(pixels)
        holes = to_holes(given)
        check_holes(holes)
        completed = pixels.copy()
        for index in np.ndindex(pixels.shape[:-3]):
            hole = holes[index][..., 0]
            trained = trained_px(self.card) if coarse else None
            blended = self.blends if blend is None else blend
            parts = self._complete(pixels[index], hole, trained, blended, watch or _unwatched)
            for box, painted in parts:
                inside = hole[box]
                completed[index][box][inside] = from_float(painted[inside], pixels.dtype)
            if copy_texture:
                _copy_texture(completed[index], hole, watch or _unwatched)
        return jnp.asarray(completed) if isinstance(image, jax.Array) else completed

    def _complete(
        self, image: np.ndarray, hole: np.ndarray, trained: int | None, blend: bool, watch: Callable[[], None]
    ) -> list[tuple[Box, np.ndarray]]:
        """Boxes around all holes of one image (H, W, 3), and what it shows there once it is completed: float32."""
        if self.network.margin_px is None:  # it sees whole images alone
            self.network.check_hole(hole)
            watch()
            whole = np.asarray(_apply_whole(self.network, self.variables, to_float(image), hole[..., None]))
            parts = [(np.s_[0 : hole.shape[0], 0 : hole.shape[1]], np.where(hole[..., None], whole, to_float(image)))]
        else:
            plain, thick = _sort_by_thickness(hole, trained)
            parts = self._paint(image, hole, plain, watch)
            paint_whole = functools.partial(self._paint_whole, watch=watch)
            for box in thick:
                assert trained is not None
                parts.append((box, complete_coarse(paint_whole, to_float(image[box]), hole[box], trained)))
        if not all(np.isfinite(painted).all() for _, painted in parts):
            raise UserError("the model paints values that are no numbers: its weights are damaged, take another one")
        if blend:
            from glcic_jax.inference.blending import blend_hole  # SciPy's solvers take a third of a second to load

            parts = [(box, blend_hole(to_float(image[box]), painted, hole[box])) for box, painted in parts]
        return parts

    def _paint_whole(self, image: np.ndarray, hole: np.ndarray, watch: Callable[[], None]) -> np.ndarray:
        ((_, painted),) = self._paint(image, hole, [np.s_[0 : hole.shape[0], 0 : hole.shape[1]]], watch)
        return painted

    def _paint(
        self, image: np.ndarray, hole: np.ndarray, boxes: list[Box], watch: Callable[[], None]
    ) -> list[tuple[Box, np.ndarray]]:
        """What the image (H, W, 3) shows in boxes that do not overlap, with the network's pixels in their holes."""
        parts = [(box, to_float(image[box])) for box in boxes]
        wanted = np.zeros_like(hole)
        for box in boxes:
            wanted[box] = hole[box]
        if not boxes:
            return parts
        corners = np.array([[rows.start, columns.start, rows.stop, columns.stop] for rows, columns in boxes])
        for window in plan_windows(wanted):
            watch()
            grid = np.ix_(window.rows(hole.shape[0]), window.columns(hole.shape[1]))
            inside = window.photograph(*hole.shape)
            output = _apply(self.network, self.variables, to_float(image[grid]), hole[grid][..., None], inside)
            painted = np.asarray(output)
            (y, x), (h, w) = (window.y, window.x), window.box_px
            start = np.maximum(corners[:, :2], (y, x))
            stop = np.minimum(corners[:, 2:], (y + h, x + w))
            for index in np.flatnonzero((start < stop).all(-1)).tolist():
                (top, left), (bottom, right) = start[index].tolist(), stop[index].tolist()
                in_box = _shift(np.s_[top:bottom, left:right], -corners[index, 0], -corners[index, 1])
                in_window = _shift(np.s_[top:bottom, left:right], -y, -x)
                known = ~hole[top:bottom, left:right, None]
                part = parts[index][1]
                part[in_box] = np.where(known, part[in_box], painted[in_window])
        return parts


def _copy_texture(completed: np.ndarray, hole: np.ndarray, watch: Callable[[], None]) -> None:
    """Replaces what is painted in the holes of one image (H, W, 3)."""
    for piece in texture.plan_pieces(hole):
        watch()
        shown = from_float(to_float(completed[piece.box]), np.dtype(np.uint8))
        copied = texture.copy_texture(shown, piece)[piece.hole]
        completed[piece.box][piece.hole] = from_float(to_float(copied), completed.dtype)


def _unwatched() -> None:
    pass


def complete(
    network: Completion, variables: Variables, image: npt.NDArray[Any], mask: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    """`Completer` for a network that is at hand."""
    return np.asarray(Completer((network, variables, Card()))(image, mask))


def to_float(values: np.ndarray) -> np.ndarray:
    """Integers to float32 in [0, 1]."""
    values, scale = (values, np.iinfo(values.dtype).max) if values.dtype.kind == "u" else (values, 1)
    return values.astype(np.float32) / np.float32(scale)


def from_float(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The way back, rounded to the nearest integer."""
    if dtype.kind != "u":
        return values.astype(dtype)
    top = np.iinfo(dtype).max
    return np.asarray(values * np.float32(top)).round().clip(0, top).astype(dtype)


@functools.partial(jax.jit, static_argnums=0)
def _apply(network: Completion, variables: Variables, image: jax.Array, hole: jax.Array, photograph: jax.Array) -> Any:
    return network.apply(variables, image, hole, photograph=photograph)


@functools.partial(jax.jit, static_argnums=0)
def _apply_whole(network: Completion, variables: Variables, image: jax.Array, hole: jax.Array) -> Any:
    return network.apply(variables, image, hole)


def _sort_by_thickness(hole: np.ndarray, trained: int | None) -> tuple[list[Box], list[Box]]:
    """Boxes around all holes: those to be completed at full scale, and those at a lower scale first."""
    boxes = group_holes(hole, _BLENDING_MARGIN_PX)
    thick = [box for box in boxes if trained is not None and thickness_px(hole[box]) > trained]
    if not thick or trained is None:
        return boxes, []
    wide = [expand(box, coarse_margin_px(hole[box], trained) - _BLENDING_MARGIN_PX, hole.shape) for box in thick]
    merged = merge_boxes([*wide, *(box for box in boxes if box not in thick)])
    coarse = [any(_contains(box, part) for part in thick) for box in merged]
    return (
        [box for box, at_lower in zip(merged, coarse, strict=True) if not at_lower],
        [box for box, at_lower in zip(merged, coarse, strict=True) if at_lower],
    )


def _contains(box: Box, part: Box) -> bool:
    return all(whole.start <= piece.start and piece.stop <= whole.stop for whole, piece in zip(box, part, strict=True))


def _shift(box: Box, down: int, right: int) -> Box:
    return np.s_[box[0].start + down : box[0].stop + down, box[1].start + right : box[1].stop + right]
