"""The completion network's own nodes."""

from glcic_jax.interop.graph import (
    EPSILON,
    Activate,
    Block,
    Convolve,
    ConvolveTransposed,
    Description,
    Enlarge,
    NetworkInput,
    Normalize,
    Operation,
)
from glcic_jax.interop.onnx.nodes import Nodes
from glcic_jax.interop.torch_layers import TORCH_NORM


def add_network(nodes: Nodes, description: Description, image: str, hole: str) -> str:
    """The whole network: image float (N, 3, H, W) in [0, 1], hole bool (N, 1, H, W), sides multiples of 4.

    The nodes' weights are those of `torch_layers.state_of`. Returns: its output, float (N, 3, H, W) in [0, 1].
    """
    x = _add_input(nodes, description.input, image, hole)
    for block in description.blocks:
        x = _add_block(nodes, block, x)
    return _add_output(nodes, description, x)


def _add_input(nodes: Nodes, form: NetworkInput, image: str, hole: str) -> str:
    seen = image
    if any(form.shift):
        seen = nodes.add("Sub", image, nodes.constant([[[c]] for c in form.shift]))
    x = nodes.add("Where", hole, nodes.constant([[[c]] for c in form.fill]), seen)
    if form.scale != 1:
        x = nodes.add("Mul", x, nodes.constant(form.scale))
    if form.offset:
        x = nodes.add("Add", x, nodes.constant(form.offset))
    if not form.mask_channel:
        return x
    return nodes.add("Concat", x, nodes.add("Cast", hole, to=1), axis=1)


def _add_block(nodes: Nodes, block: Block, x: str) -> str:
    y = x
    for operation in block.operations:
        y = _add_operation(nodes, operation, y)
    if block.scale is None:
        return y
    return nodes.add("Add", x, nodes.add("Mul", y, nodes.weight(block.residual)))


def _add_operation(nodes: Nodes, operation: Operation, x: str) -> str:
    match operation:
        case Convolve(name, stride=stride, dilation=dilation):
            weights = _convolution_weights(nodes, operation)
            sides = {"strides": [stride] * 2, "dilations": [dilation] * 2, "pads": [operation.padding_px] * 4}
            return nodes.add("Conv", x, *weights, output=name, **sides)
        case ConvolveTransposed(name):
            weights = _convolution_weights(nodes, operation)
            return nodes.add("ConvTranspose", x, *weights, output=name, strides=[2, 2], pads=[1] * 4)
        case Normalize(name):
            parts = [nodes.weight(f"{name}.{part}") for part in TORCH_NORM]
            return nodes.add("BatchNormalization", x, *parts, output=name, epsilon=EPSILON)
        case Activate(slope):
            return nodes.add("LeakyRelu", x, alpha=slope) if slope else nodes.add("Relu", x)
        case Enlarge():
            twice = nodes.constant([1, 1, 2, 2])
            modes = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor", "mode": "nearest"}
            return nodes.add("Resize", x, "", twice, **modes)


def _convolution_weights(nodes: Nodes, operation: Convolve | ConvolveTransposed) -> list[str]:
    names = ["weight"] if operation.bias is None else ["weight", "bias"]
    return [nodes.weight(f"{operation.name}.{name}") for name in names]


def _add_output(nodes: Nodes, description: Description, x: str) -> str:
    if description.output == "sigmoid":
        return nodes.add("Sigmoid", x)
    if description.output == "tanh":
        raised = nodes.add("Add", nodes.add("Tanh", x), nodes.constant(1))
        return nodes.add("Div", raised, nodes.constant(2))
    sums = nodes.add("Add", x, nodes.constant([[[c]] for c in description.mean_color]))
    return nodes.add("Clip", sums, nodes.constant(0), nodes.constant(1))
