"""The paper's post-processing (section 4): fast marching for the colours at the boundary, then Poisson blending."""

import cv2
import numpy as np
import scipy.sparse
import scipy.sparse.linalg

_TELEA_RADIUS_PX = 3
_SCALE = np.float32(65535)
_DIRECT = 300_000  # unknown pixels up to which a factorisation takes little memory
_ITERATIONS = 60


def blend_hole(image: np.ndarray, painted: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The painted hole with the surroundings' colours and its own gradients; known pixels keep every bit.

    Telea's fast marching carries the known colours onto the hole's outermost pixels; the others are the solution of
    Poisson's equation with these as boundary. A photograph that is all hole has no boundary and stays as painted.

    Args:
        image, painted: float32 (H, W, 3) in [0, 1], before and after completion.
        hole: bool (H, W).

    Returns: float32 (H, W, 3) in [0, 1].

    """
    if hole.all():
        return painted
    rim = hole & (cv2.erode(hole.astype(np.uint8), _CROSS, borderValue=1) == 0)
    boundary = painted.copy()
    boundary[rim] = _fast_marching(image, hole)[rim]
    return poisson(painted, boundary, hole & ~rim).clip(0, 1)


_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


def _fast_marching(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Known colours carried into the hole (Telea 2004), by OpenCV."""
    mask = hole.astype(np.uint8)
    known = _fill_with_nearest(image, mask)
    # Channel by channel, since of three it takes 8 bits only; on a large scale, since it adds a half to round floats.
    channels = [
        cv2.inpaint(np.ascontiguousarray(known[..., c]) * _SCALE, mask, _TELEA_RADIUS_PX, cv2.INPAINT_TELEA)
        for c in range(known.shape[-1])
    ]
    return np.asarray(np.stack(channels, axis=-1) / _SCALE)


def _fill_with_nearest(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image with the nearest known pixel's colour everywhere in the hole, which OpenCV looks at near its rim."""
    _, nearest = cv2.distanceTransformWithLabels(mask, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    colors = np.zeros((int(nearest.max()) + 1, image.shape[-1]), np.float32)
    known = mask == 0
    colors[nearest[known]] = image[known]
    return np.asarray(colors[nearest])


def poisson(guide: np.ndarray, boundary: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Pixels whose differences are nearest to the guide's, given the others (Pérez, Gangnet, Blake 2003).

    At the photograph's border there is no neighbour, and no equation for it.

    Args:
        guide, boundary: float (H, W, 3): whose differences to keep; where `unknown` is False, the given values.
        unknown: bool (H, W); every connected part must touch a given pixel.

    Returns: as `boundary`, solved where unknown.

    """
    # Solved for the change against the guide, which has no source term: the smoothest one between given changes.
    change = np.where(unknown[..., None], 0, boundary - guide).astype(np.float64)
    return np.where(unknown[..., None], guide + _harmonic(change, unknown), boundary)


def _harmonic(values: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Float64 (H, W, C), where unknown the mean of its neighbours."""
    count = int(unknown.sum())
    if not count:
        return values
    matrix, right = _laplace(values, unknown)
    solved = values.copy()
    if count <= _DIRECT:
        factors = scipy.sparse.linalg.splu(
            matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
        )
        solved[unknown] = factors.solve(right)
        return solved
    # Too much memory for factors: start from the solution at half the scale, which leaves little to iterate away.
    start = _from_half(values, unknown)[unknown]
    for channel in range(values.shape[-1]):
        found, _ = scipy.sparse.linalg.cg(matrix, right[:, channel], start[:, channel], rtol=0, maxiter=_ITERATIONS)
        solved[unknown, channel] = found
    return solved


def _laplace(values: np.ndarray, unknown: np.ndarray) -> tuple[scipy.sparse.csc_matrix, np.ndarray]:
    """The equations: neighbours' number times the pixel, less the unknown ones, is the sum of the given ones."""
    number = np.full(unknown.shape, -1)
    number[unknown] = np.arange(unknown.sum())
    count = int(unknown.sum())
    neighbours, right = np.zeros(count), np.zeros((count, values.shape[-1]))
    rows, columns = [np.arange(count)], [np.arange(count)]
    for here, there in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        for one, other in ((here, there), (there, here)):
            own, beside = number[one], number[other]
            neighbours += np.bincount(own[own >= 0], minlength=count)
            both, given = (own >= 0) & (beside >= 0), (own >= 0) & (beside < 0)
            rows.append(own[both])
            columns.append(beside[both])
            right[own[given]] += values[other][given]  # a pixel has one neighbour on each side
    row, column = np.concatenate(rows), np.concatenate(columns)
    entries = np.concatenate([neighbours, -np.ones(len(row) - count)])
    return scipy.sparse.csc_matrix((entries, (row, column)), shape=(count, count)), right


def _from_half(values: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """A solution at half the scale, enlarged."""
    h, w = unknown.shape
    size = (-(-w // 2), -(-h // 2))
    given = ~unknown & (cv2.dilate(unknown.astype(np.uint8), _CROSS) > 0)  # other known pixels have no say
    shares, sums, all_unknown = (
        cv2.resize(array.astype(np.float64), size, interpolation=cv2.INTER_AREA)
        for array in (given, np.where(given[..., None], values, 0), unknown)
    )
    half = _harmonic(sums / np.maximum(shares, 1e-9)[..., None], all_unknown > 0.999)
    return cv2.resize(half, (w, h), interpolation=cv2.INTER_LINEAR)
