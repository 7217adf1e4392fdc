"""Texture of the photograph itself, copied into what a network painted: its colours and shapes stay, its blur goes.

PatchMatch (Barnes et al. 2009, after Wexler et al. 2007) puts a hole together from patches of the known part; by itself
it knows nothing of what belongs there. Here it prefers patches whose blurred colours are those of the painted hole.
"""

from types import ModuleType
from typing import NamedTuple

import cv2
import numpy as np

from glcic_jax.errors import UserError
from glcic_jax.inference.groups import Box, expand, group_holes

PATCH_RADIUS_PX = 3
"""Patches are of 7 x 7 pixels."""
_MARGIN_PX = 64  # at least; and half of a larger hole's longer side
_BLUR_PX = 4.0  # of the Gaussian: what a network of small budget paints sharply enough
_GUIDE_WEIGHT = 0.03  # more brings PSNR and takes realism away (docs/results.md)


class Piece(NamedTuple):
    """Holes that are filled together.

    Fields:
        box: they and their surroundings, from which texture is copied.
        hole: bool (h, w), in the box, what is to be filled.
        other: bool (h, w), in the box, holes of other pieces, from which nothing is copied.
    """

    box: Box
    hole: np.ndarray
    other: np.ndarray


def plan_pieces(hole: np.ndarray) -> list[Piece]:
    """Holes, bool (H, W), that lie apart, each by itself, where a whole patch of its surroundings is known."""
    pieces = []
    for inner in group_holes(hole, 0):
        sides = [side.stop - side.start for side in inner]
        box = expand(inner, max(_MARGIN_PX, max(sides) // 2), hole.shape)
        own = np.zeros_like(hole[box])
        own[tuple(slice(i.start - b.start, i.stop - b.start) for i, b in zip(inner, box, strict=True))] = True
        own &= hole[box]
        if _holds_patch(~hole[box]):
            pieces.append(Piece(box, own, hole[box] & ~own))
    return pieces


def copy_texture(painted: np.ndarray, piece: Piece) -> np.ndarray:
    """The piece's box, uint8 RGB (h, w, 3), with the painted colours of its hole made of the known part's patches.

    The same result every time. Raises: UserError if PyPatchMatch is not installed.
    """
    patchmatch = load_patchmatch()
    blurred = cv2.GaussianBlur(painted, (0, 0), _BLUR_PX).astype(np.float32) / 255
    luma = blurred @ np.array([0.299, 0.587, 0.114], np.float32)
    warmth = (blurred[..., 0] - blurred[..., 2]) / 2
    filled: np.ndarray = patchmatch.inpaint_regularity(
        np.ascontiguousarray(painted),
        piece.hole,
        np.stack([luma, warmth, np.zeros_like(luma)], axis=-1),  # the library compares the first two
        global_mask=piece.other if piece.other.any() else None,
        patch_size=PATCH_RADIUS_PX,
        guide_weight=_GUIDE_WEIGHT,
    )
    return filled


def list_texture_concerns(pixels: np.ndarray, hole: np.ndarray) -> list[str]:
    """What copying texture cannot do for a photograph, uint8 or uint16 (H, W, 3), and its hole, bool (H, W)."""
    concerns = []
    if sum(int(piece.hole.sum()) for piece in plan_pieces(hole)) < hole.sum():
        concerns.append(
            "around some of the hole not one whole patch is known; there it stays as the network painted it"
        )
    if pixels.dtype != np.uint8:
        concerns.append("copied texture has 8 bits of precision; the known pixels keep theirs")
    return concerns


def load_patchmatch() -> ModuleType:
    """PyPatchMatch's module, its random search always from the same seed. Raises: UserError if it is not installed."""
    advice = "install it: pip install 'glcic-jax[texture]'"
    try:
        from patchmatch import patch_match
    except ImportError:
        raise UserError(f"copying texture needs PyPatchMatch; {advice}") from None
    if not patch_match.patchmatch_available:
        raise UserError(f"PyPatchMatch's native library cannot be loaded on this machine; {advice} anew")
    patch_match.set_random_seed(0)
    module: ModuleType = patch_match
    return module


def _holds_patch(known: np.ndarray) -> bool:
    """Whether any whole patch is known, without which there is nothing to copy."""
    side = 2 * PATCH_RADIUS_PX + 1
    if min(known.shape) < side:
        return False
    whole = cv2.erode(known.astype(np.uint8), np.ones((side, side), np.uint8), borderValue=0)
    return bool(whole.any())
