"""The authors' model for Torch7, from files that a writer of our own makes by Torch7's documented layout."""

import numpy as np
import pytest

from glcic_jax.errors import UserError
from glcic_jax.inference.completer import Completer
from glcic_jax.interop.import_model import import_model
from glcic_jax.interop.torch7 import Function, read_torch7
from glcic_jax.models.completion import CompletionNetwork
from tests.support.authors import MEAN, WIDTH, content, modules
from tests.support.completion_reference import whole
from tests.support.otenim_weights import large_image
from tests.support.torch7_writer import Object, Writer


def written(path, value, **options):
    path.write_bytes(Writer(**options).write(value))
    return path


def variables(layers: list[Object]) -> dict:
    """What the reference takes, by its own reading of the modules; its eps is 1e-5."""
    params, statistics = {}, {}
    for number, place in enumerate(range(0, 49, 3), 1):
        fields = layers[place].fields
        transposed = layers[place].kind == "nn.SpatialFullConvolution"
        axes = (2, 3, 0, 1) if transposed else (2, 3, 1, 0)
        params[f"conv{number}"] = {"kernel": fields["weight"].transpose(axes), "bias": fields["bias"]}
        if place < 48:
            norm = layers[place + 1].fields
            params[f"norm{number}"] = {"scale": norm["weight"], "bias": norm["bias"]}
            var = norm["running_var"] + (norm["eps"] - 1e-5)
            statistics[f"norm{number}"] = {"mean": norm["running_mean"], "var": var.astype(np.float32)}
    return {"params": params, "batch_stats": statistics}


@pytest.fixture(scope="module")
def layers():
    return modules(np.random.default_rng(3))


def test_the_network(layers, tmp_path):
    """Against a reference in NumPy, whole and through windows; eps is the file's."""
    imported = import_model(written(tmp_path / "completionnet.t7", content(layers)))
    image, mask = large_image()
    image, mask = image[100:, 120:][:243, :270] / np.float32(255), mask[100:, 120:][:243, :270]
    network = CompletionNetwork(width_multiplier=WIDTH, mean_color=tuple(MEAN))
    expected = whole(network, variables(layers), image, mask)
    completed = Completer((imported.network, imported.variables, imported.card))(image, mask)
    assert np.abs(completed - np.where(mask > 0, expected, image)).max() < 2e-6
    assert imported.network.mean_color == tuple(MEAN) and imported.network.hole_fill == "mean_centred"
    assert imported.card.licences.weights.startswith("CC BY-NC-SA 4.0")


def same_network(found, expected) -> None:
    import jax

    assert found.network == expected.network
    for a, b in zip(jax.tree.leaves(found.variables), jax.tree.leaves(expected.variables), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_variants_of_the_same_file(layers, tmp_path):
    """On a GPU, in double, nested, without versions, with repeated objects, the mean as a tensor."""
    expected = import_model(written(tmp_path / "plain.t7", content(layers)))
    half = [Object("nn.Sequential", modules=layers[:20]), Object("nn.Sequential", modules=layers[20:])]
    cudnn = [Object(o.kind.replace("nn.Spatial", "cudnn.Spatial"), **o.fields) for o in layers]
    doubles = []
    for o in layers:
        arrays = {key: value.astype(float) for key, value in o.fields.items() if isinstance(value, np.ndarray)}
        doubles.append(Object(o.kind, **o.fields | arrays))
    flat = [Object(o.kind, **o.fields) for o in layers]
    everything = np.concatenate([o.fields["weight"].ravel() for o in flat[::3] if "weight" in o.fields])
    at = 0
    for o in flat[::3]:  # as after getParameters(): all weights are views of one storage
        if "weight" in o.fields:
            shape = o.fields["weight"].shape
            o.fields["weight"] = everything[at : at + int(np.prod(shape))].reshape(shape)
            at += int(np.prod(shape))
    shared = Object("nn.ReLU", threshold=0, val=0)
    one_relu = [shared if o.kind == "nn.ReLU" else o for o in layers]
    old = [Object(o.kind, None, **o.fields) for o in layers]
    inverse = []
    for o in layers:
        fields = dict(o.fields)
        if "running_var" in fields:
            fields["running_std"] = (1 / np.sqrt(fields.pop("running_var").astype(float) + 1e-3)).astype(np.float32)
        inverse.append(Object(o.kind, **fields))
    for name, value, options in (
        ("nested", content(half), {}),
        ("cudnn", content(cudnn), {}),
        ("double", content(doubles), {}),
        ("views", content(flat), {}),
        ("repeated", content(one_relu), {}),
        ("unversioned", content(old), {}),
        ("inverse", content(inverse), {}),
        ("tensor", content(layers, np.array(MEAN)), {}),
    ):
        found = import_model(written(tmp_path / f"{name}.t7", value, **options))
        same_network(found, expected)
    same_network(import_model(written(tmp_path / "gpu.t7", content(layers), tensor_class="Cuda")), expected)


def test_after_the_activation(layers, tmp_path):
    swapped = list(layers)
    for place in range(1, 48, 3):
        swapped[place], swapped[place + 1] = layers[place + 1], layers[place]
    imported = import_model(written(tmp_path / "swapped.t7", content(swapped)))
    assert imported.network.normalization == "batch_after_activation"


def changed(layers, place: int, **fields) -> list[Object]:
    copy = list(layers)
    copy[place] = Object(layers[place].kind, **layers[place].fields | fields)
    return copy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ls: content(changed(ls, 3, dW=1)), r"layer 2 of the file .*SpatialConvolution, dW = 1"),
        (lambda ls: content(changed(ls, 18, dilationW=3)), "layer 7 of the file .*dilationW = 3"),
        (lambda ls: content(changed(ls, 0, padW=0, padH=0)), "layer 1 of the file .*padW = 0"),
        (lambda ls: content(changed(ls, 2, threshold=1)), "another threshold than 0"),
        (lambda ls: content(changed(ls, 0, weight=None)), "has no weight"),
        (
            lambda ls: content(changed(ls, 4, running_mean=np.zeros(3, np.float32))),
            "BatchNorm 2 of the file has a mean",
        ),
        (lambda ls: content(ls[:-1]), "ends with nn.SpatialConvolution"),
        (lambda ls: content(ls[3:]), "has 16 convolutions"),
        (lambda ls: content([*ls[:3], Object("nn.Dropout", p=0.5), *ls[3:]]), "holds nn.Dropout"),
        (lambda ls: content([*ls[:2], *ls[3:]]), "not all a convolution with one BatchNorm and one ReLU"),
        (lambda ls: {"model": Object("nn.gModule", modules=ls), "mean": MEAN}, "nn.gModule"),
        (lambda ls: {"model": Object("nn.Sequential", modules=ls)}, "no table with `model` and `mean`"),
        (lambda ls: {"model": 3, "mean": MEAN}, "no table with `model` and `mean`"),
        (lambda ls: content(ls, [120.0, 110.0, 100.0]), "it must be three numbers"),
        (lambda ls: ls, "no table with `model` and `mean`"),
    ],
)
def test_surprises_are_refused_by_name(layers, change, message, tmp_path):
    with pytest.raises(UserError, match=message) as caught:
        import_model(written(tmp_path / "other.t7", change(layers)))
    assert "other.t7" in str(caught.value) and "\n" not in str(caught.value)


def test_values(tmp_path):
    """Every kind of value, written and read."""
    tensor = np.arange(24.0).reshape(2, 3, 4)
    value = {"a": 1, "b": [True, None, "text"], 3: tensor, "part": tensor[:, 1:, ::2], "again": tensor}
    found = read_torch7(written(tmp_path / "values.t7", value))
    assert found["a"] == 1.0 and found["b"] == {1.0: True, 2.0: None, 3.0: "text"}
    np.testing.assert_array_equal(found[3.0], tensor)
    np.testing.assert_array_equal(found["part"], tensor[:, 1:, ::2])
    assert found["again"] is found[3.0]


def test_functions_are_skipped_over(tmp_path):
    import struct

    def i(*values):
        return struct.pack(f"<{len(values)}i", *values)

    code = b"\x1bLuaS not run"
    data = i(3, 1, 1) + i(2, 1) + b"f" + i(8, 2, len(code)) + code + i(3, 3, 0)
    (tmp_path / "f.t7").write_bytes(data)
    assert isinstance(read_torch7(tmp_path / "f.t7")["f"], Function)


def test_damaged_files(layers, tmp_path):
    data = written(tmp_path / "whole.t7", content(layers[:6])).read_bytes()
    rng = np.random.default_rng(2)
    errors = 0
    for trial in range(300):
        damaged = bytearray(data[: int(rng.integers(len(data)))] if trial % 2 else data)
        if not trial % 2:
            damaged[int(rng.integers(min(len(data), 3000)))] ^= int(rng.integers(1, 256))
        (tmp_path / "damaged.t7").write_bytes(damaged)
        try:
            read_torch7(tmp_path / "damaged.t7")
        except UserError as error:
            errors += 1
            assert "\n" not in str(error)
    assert errors > 150


def test_other_files(tmp_path):
    (tmp_path / "ascii.t7").write_text("4\n1\n3\nV 1\n13\nnn.Sequential\n")
    with pytest.raises(UserError, match="in Torch's ASCII format"):
        read_torch7(tmp_path / "ascii.t7")
    (tmp_path / "page.t7").write_text("<html>not found</html>")
    with pytest.raises(UserError, match=r"not a whole .t7 file"):
        read_torch7(tmp_path / "page.t7")
    deep = b"".join(b"\x03\0\0\0" + n.to_bytes(4, "little") + b"\x01\0\0\0\x05\0\0\0\x01\0\0\0" for n in range(1, 5000))
    (tmp_path / "deep.t7").write_bytes(deep)
    with pytest.raises(UserError, match="more than 100 objects within each other"):
        read_torch7(tmp_path / "deep.t7")
