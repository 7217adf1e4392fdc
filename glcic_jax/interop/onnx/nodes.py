"""A graph while it grows: nodes, and the numbers that they need, by name."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx


class Nodes:
    """Adds nodes and hands back the names of what they make.

    Fields:
        nodes, initializers: what a graph is made from, in order.
    """

    def __init__(self, weights: Mapping[str, np.ndarray]):
        """weights: arrays that nodes may ask for by name, float32 or float16."""
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._weights = weights
        self._numbers = itertools.count(1)

    def add(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Adds a node of one output, and returns the output's name."""
        name = output or f"{kind.lower()}_{next(self._numbers)}"
        self.nodes.append(onnx.helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def cast(self, value: str, to: int) -> str:
        """As another type, one of `onnx.TensorProto`'s."""
        return self.add("Cast", value, to=to)

    def constant(self, value: Any, dtype: type = np.float32) -> str:
        """A number, or an array of them."""
        return self._initialize(f"constant_{next(self._numbers)}", np.asarray(value, dtype))

    def weight(self, name: str) -> str:
        """A weight as float32. Half ones are stored as such; runtimes convert them once, when they load the file."""
        stored = self._initialize(name, self._weights[name])
        return stored if self._weights[name].dtype == np.float32 else self.cast(stored, onnx.TensorProto.FLOAT)

    def _initialize(self, name: str, array: np.ndarray) -> str:
        self.initializers.append(onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name
