"""A completion network as an ONNX model: graph, types of inputs and outputs, and what the model says of itself."""

import hashlib
from collections.abc import Iterable

import onnx
from onnx import TensorProto, helper

from glcic_jax.interop.graph import Description, describe
from glcic_jax.interop.onnx.network import add_network
from glcic_jax.interop.onnx.nodes import Nodes
from glcic_jax.interop.onnx.photograph import add_photograph
from glcic_jax.interop.torch_layers import COUNT, state_of
from glcic_jax.models.card import Card, card_to_json
from glcic_jax.models.completion import MARGIN_PX, STRIDE_PX, CompletionNetwork
from glcic_jax.models.protocols import Variables
from glcic_jax.version import __version__

OPSET = 17
IR_VERSION = 8
"""The file format's, which runtimes of 2022 already read."""


def build_model(
    network: CompletionNetwork, variables: Variables, card: Card, *, finished: bool, half: bool
) -> onnx.ModelProto:
    """The network with its weights.

    Args:
        card: goes into the metadata, as JSON.
        finished: `completed` uint8 (N, H, W, 3) from `image`, of the same type and any size, and `mask` uint8
            (N, H, W, 1). Otherwise the bare network: `output` float (N, 3, H, W) in [0, 1] from `image`, of the same
            type, with sides that are multiples of 4, and `mask` float (N, 1, H, W), 1 = hole.
        half: store weights as float16.

    Raises: UserError if the network has what cannot be expressed.

    """
    description = describe(network, variables)
    nodes = Nodes({name: array for name, array in state_of(description, half).items() if not name.endswith(COUNT)})
    graph = _finished(nodes, description) if finished else _plain(nodes, description)
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="glcic-jax",
        producer_version=__version__,
        doc_string="Completes holes in photographs (GLCIC). Its card, with the licences, is in the metadata.",
    )
    about = {
        "card": card_to_json(card),
        "graph": "finished" if finished else "network",
        "margin_px": ",".join(map(str, MARGIN_PX)),
        "stride_px": str(STRIDE_PX),
        "opset": str(OPSET),
        "weights_sha256": hash_weights(graph.initializer),
    }
    helper.set_model_props(model, about)
    onnx.checker.check_model(model, full_check=True)
    return model


def hash_weights(tensors: Iterable[onnx.TensorProto]) -> str:
    """SHA-256 of all numbers in a graph, in the file's order."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.raw_data)
    return digest.hexdigest()


def _plain(nodes: Nodes, description: Description) -> onnx.GraphProto:
    hole = nodes.add("Greater", "mask", nodes.constant(0))
    nodes.add("Identity", add_network(nodes, description, "image", hole), output="output")
    sides = ["batch", 3, "height", "width"]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name in ("image", "output")]
    mask = helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["batch", 1, "height", "width"])
    return _graph(nodes, values[0], mask, values[1])


def _finished(nodes: Nodes, description: Description) -> onnx.GraphProto:
    add_photograph(nodes, description, "image", "mask", output="completed")
    sides = ["batch", "height", "width", 3]
    values = [helper.make_tensor_value_info(name, TensorProto.UINT8, sides) for name in ("image", "completed")]
    mask = helper.make_tensor_value_info("mask", TensorProto.UINT8, ["batch", "height", "width", 1])
    return _graph(nodes, values[0], mask, values[1])


def _graph(
    nodes: Nodes, image: onnx.ValueInfoProto, mask: onnx.ValueInfoProto, output: onnx.ValueInfoProto
) -> onnx.GraphProto:
    return helper.make_graph(nodes.nodes, "glcic", [image, mask], [output], initializer=nodes.initializers)
