"""Networks of any origin in ONNX files as rivals: how they are fed, and every bad file."""

import numpy as np
import pytest

from glcic_jax.errors import UserError
from glcic_jax.evaluation.onnx_files import OnnxNetwork, parse_onnx_file

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
FLOAT, HALF, BYTES = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.UINT8
OPEN = ("n", 3, "h", "w")


def write_network(file, nodes, image=("image", FLOAT, OPEN), mask=("mask", FLOAT, ("n", 1, "h", "w")), output=None):
    """A file with these nodes, (kind, inputs, output, attributes) each."""
    ports = [onnx.helper.make_tensor_value_info(*port) for port in (image, mask) if port]
    made = onnx.helper.make_tensor_value_info(*(output or ("out", *image[1:])))
    built = [onnx.helper.make_node(kind, inputs, [name], **more) for kind, inputs, name, more in nodes]
    graph = onnx.helper.make_graph(built, "g", ports, [made])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    file.write_bytes(model.SerializeToString())
    return file


SHOW_INPUT = [
    ("Mul", ["mask", "mask"], "m", {}),
    ("Sub", ["m", "m"], "zero", {}),
    ("Add", ["image", "zero"], "out", {}),
]
"""The network's result is what it saw."""
SHOW_MASK = [
    ("Sub", ["image", "image"], "zero", {}),
    ("Add", ["zero", "mask"], "out", {}),
]


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    image, mask = rng.integers(0, 256, (33, 40, 3)).astype(np.uint8), np.zeros((33, 40, 1), np.uint8)
    mask[8:20, 10:30] = 1
    return image, mask


def opened(file, settings=""):
    return OnnxNetwork(parse_onnx_file(f"it={file}{settings}"))


@pytest.mark.parametrize(
    ("settings", "kind"),
    [("", FLOAT), (",range=-1:1", FLOAT), (",range=0:255,output_range=0:255", FLOAT), ("", BYTES), ("", HALF)],
)
def test_known_pixels_arrive_and_the_truth_does_not(case, tmp_path, settings, kind):
    """Through every range and type, odd sizes too; the hole is black."""
    image, mask = case
    shapes = {"image": ("image", kind, OPEN), "mask": ("mask", kind, ("n", 1, "h", "w"))}
    network = opened(write_network(tmp_path / "a.onnx", SHOW_INPUT, **shapes), settings)
    np.testing.assert_array_equal(network(image, mask), np.where(mask > 0, 0, image))


@pytest.mark.parametrize(
    ("settings", "hole", "known"), [("", 255, 0), (",mask_range=1:0", 0, 255), (",mask_range=0:0.2", 51, 0)]
)
def test_masks(case, tmp_path, settings, hole, known):
    image, mask = case
    network = opened(write_network(tmp_path / "a.onnx", SHOW_MASK), settings)
    expected = np.broadcast_to(np.where(mask > 0, hole, known), image.shape)
    np.testing.assert_array_equal(network(image, mask), expected)


def test_channels_last_other_names_and_fill(case, tmp_path):
    image, mask = case
    nodes = [("Mul", ["b", "b"], "m", {}), ("Sub", ["m", "m"], "zero", {}), ("Add", ["a", "zero"], "out", {})]
    shapes = {"image": ("a", FLOAT, ("n", "h", "w", 3)), "mask": ("b", FLOAT, ("n", "h", "w", 1))}
    network = opened(write_network(tmp_path / "a.onnx", nodes, **shapes), ",fill=0.2,multiple=1")
    np.testing.assert_array_equal(network(image, mask), np.where(mask > 0, 51, image))


def test_fixed_sizes(tmp_path):
    """Scaled there and back; flat parts stay what they are, also where the truth in the hole is something else."""
    shapes = {"image": ("image", FLOAT, (1, 3, 64, 64)), "mask": ("mask", FLOAT, (1, 1, 64, 64))}
    network = opened(write_network(tmp_path / "a.onnx", SHOW_INPUT, **shapes), ",fill=0.4")
    assert "resized to 64 x 64 px" in network.description
    for side in (32, 128, 90):
        image, mask = np.full((side, side, 3), 102, np.uint8), np.zeros((side, side, 1), np.uint8)
        mask[4:18, 5:20] = 1
        image[4:18, 5:20] = 250
        np.testing.assert_array_equal(network(image, mask), np.full_like(image, 102))


def test_our_own_file_gives_what_the_model_gives(case, tmp_path):
    """By the bare network, and by the finished one."""
    import jax

    from glcic_jax.inference.completer import Completer
    from glcic_jax.interop.onnx.model import build_model
    from glcic_jax.models.card import Card
    from glcic_jax.models.completion import CompletionNetwork
    from tests.support.networks import calm

    network = CompletionNetwork(width_multiplier=0.0625, precision=jax.lax.Precision.HIGHEST)
    model = network, calm(network), Card()
    image, mask = case
    expected = Completer(model)(image, mask)
    for finished in (False, True):
        file = tmp_path / "ours.onnx"
        file.write_bytes(build_model(*model, finished=finished, half=False).SerializeToString())
        found = opened(file, ",multiple=1" if finished else ",multiple=4")(image, mask)
        np.testing.assert_allclose(np.where(mask > 0, found, image).astype(int), expected, atol=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lama.onnx", "write NAME=FILE"),
        ("a=b.onnx,rnage=0:1", "no setting 'rnage'; there are image, mask"),
        ("a=b.onnx,range=1:1", "range cannot be '1:1'"),
        ("a=b.onnx,range=0-1", "range cannot be '0-1'"),
        ("a=b.onnx,multiple=0", "multiple cannot be '0'"),
    ],
)
def test_bad_settings(text, message):
    with pytest.raises(UserError, match=message):
        parse_onnx_file(text)


def test_bad_files(case, tmp_path):
    def refused(settings="", file=tmp_path / "a.onnx"):
        with pytest.raises(UserError) as caught:
            opened(file, settings)(*case)
        assert "\n" not in str(caught.value) and str(file) in str(caught.value)
        return str(caught.value)

    assert "no file" in refused()
    (tmp_path / "a.onnx").write_bytes(b"no network")
    assert "cannot be opened" in refused()
    whole = write_network(tmp_path / "a.onnx", SHOW_INPUT).read_bytes()
    (tmp_path / "a.onnx").write_bytes(whole[: len(whole) // 2])
    assert "cannot be opened" in refused()
    write_network(tmp_path / "a.onnx", [("Identity", ["image"], "out", {})], mask=None)
    assert "has 1 inputs (image ['n', 3, 'h', 'w']); it must have an image and a mask" in refused()
    write_network(tmp_path / "a.onnx", SHOW_INPUT)
    assert "has no mask 'hole' (mask" in refused(",mask=hole")
    write_network(tmp_path / "a.onnx", SHOW_INPUT, image=("image", FLOAT, (1, 4, "h", "w")))
    assert "which one is the image" in refused()
    write_network(tmp_path / "a.onnx", SHOW_INPUT, image=("image", onnx.TensorProto.DOUBLE, OPEN))
    assert "must be float" in refused() or "cannot be opened" in refused()
    write_network(tmp_path / "a.onnx", [("Div", ["mask", "mask"], "d", {}), ("Mul", ["image", "d"], "out", {})])
    assert "no numbers" in refused()
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = [*SHOW_INPUT[:2], ("Add", ["image", "zero"], "all", {}), ("AveragePool", ["all"], "out", pool)]
    write_network(tmp_path / "a.onnx", nodes, output=("out", FLOAT, ("n", 3, "y", "x")))
    assert "sizes must stay" in refused()
