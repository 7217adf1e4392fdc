"""What stands around the network in a finished graph: from 8-bit photographs of any size to completed ones."""

import numpy as np
from onnx import TensorProto

from glcic_jax.interop.graph import Description
from glcic_jax.interop.onnx.network import add_network
from glcic_jax.interop.onnx.nodes import Nodes
from glcic_jax.models.completion import STRIDE_PX


def add_photograph(nodes: Nodes, description: Description, image: str, mask: str, output: str) -> None:
    """Completes image uint8 (N, H, W, 3) where mask uint8 (N, H, W, 1) is hole; known pixels keep every bit.

    As `Completer` does: above 127 is hole, or 1 where the mask holds 0 and 1 only; sizes that are no multiples of 4
    are padded by reflection; results are rounded to the nearest level, halves to the even one.
    """
    sides = [_add_side(nodes, image, axis) for axis in (1, 2)]
    threshold = _add_threshold(nodes, mask)
    both = nodes.add("Concat", image, mask, axis=3)
    for axis, side in enumerate(sides, 1):
        both = nodes.add("Gather", both, _add_reflection(nodes, side), axis=axis)
    values = nodes.cast(nodes.add("Transpose", both, perm=[0, 3, 1, 2]), TensorProto.FLOAT)
    pixels, padded_mask = (_add_cut(nodes, values, [0], [3], 1), _add_cut(nodes, values, [3], [4], 1))
    hole = nodes.add("Greater", padded_mask, threshold)
    painted = add_network(nodes, description, nodes.add("Div", pixels, nodes.constant(255)), hole)
    painted = nodes.add("Transpose", painted, perm=[0, 2, 3, 1])
    for axis, side in enumerate(sides, 1):
        first = nodes.constant([0], np.int64)
        painted = nodes.add("Slice", painted, first, side, nodes.constant([axis], np.int64))
    levels = nodes.add("Round", nodes.add("Mul", painted, nodes.constant(255)))
    levels = nodes.cast(nodes.add("Clip", levels, nodes.constant(0), nodes.constant(255)), TensorProto.UINT8)
    hole = nodes.add("Greater", nodes.cast(mask, TensorProto.FLOAT), threshold)
    nodes.add("Where", hole, levels, image, output=output)


def _add_side(nodes: Nodes, image: str, axis: int) -> str:
    """The image's size along an axis, int64 (1,)."""
    return nodes.add("Shape", image, start=axis, end=axis + 1)


def _add_threshold(nodes: Nodes, mask: str) -> str:
    """What a mask's values must exceed to be hole, float ()."""
    highest = nodes.add("ReduceMax", nodes.cast(mask, TensorProto.FLOAT), keepdims=0)
    holds_truths = nodes.add("LessOrEqual", highest, nodes.constant(1))
    return nodes.add("Where", holds_truths, nodes.constant(0), nodes.constant(127))


def _add_reflection(nodes: Nodes, side: str) -> str:
    """Which pixels an axis of so many shows once it is padded to a multiple of 4; the edge's are repeated."""
    one, stride = nodes.constant([1], np.int64), nodes.constant([STRIDE_PX], np.int64)
    rounded = nodes.add("Div", nodes.add("Add", side, nodes.constant([STRIDE_PX - 1], np.int64)), stride)
    scalar, axis = nodes.constant(0, np.int64), nodes.constant([0], np.int64)
    count = nodes.add("Squeeze", nodes.add("Mul", rounded, stride), axis)
    places = nodes.add("Range", scalar, count, nodes.constant(1, np.int64))
    last = nodes.add("Sub", nodes.add("Add", side, side), one)
    return nodes.add("Min", places, nodes.add("Sub", last, places))


def _add_cut(nodes: Nodes, value: str, start: list[int], stop: list[int], axis: int) -> str:
    ends = (nodes.constant(end, np.int64) for end in (start, stop, [axis]))
    return nodes.add("Slice", value, *ends)
