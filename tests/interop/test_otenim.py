"""GLCIC-PyTorch's completion network, against what its own classes compute (see tests/support/otenim_weights.py)."""

import json

import jax
import numpy as np
import pytest

import glcic_jax
from glcic_jax.errors import UserError
from glcic_jax.inference.completer import Completer
from glcic_jax.interop.import_model import import_model
from glcic_jax.interop.state_dicts import write_state_dict
from tests.support.otenim_weights import HOLE, MEAN, calibrated, large_image, load_fixture, small_image
from tests.support.paths import FIXTURES

CONFIG = {
    "mpv": list(MEAN), "cn_input_size": 160, "ld_input_size": 96, "hole_min_w": 48, "hole_max_w": 96,
    "hole_min_h": 40, "hole_max_h": 80, "data_parallel": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def otenim(tmp_path_factory):
    """A state dict as `model_cn_stepN`, its config.json, and what the fixture holds."""
    folder = tmp_path_factory.mktemp("otenim")
    state, held = load_fixture(FIXTURES / "otenim.npz")
    with (folder / "model_cn.pt").open("wb") as stream:
        write_state_dict(stream, state)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder, state, held


@pytest.fixture(scope="module")
def imported(otenim):
    return import_model(otenim[0] / "model_cn.pt", config=otenim[0] / "config.json")


def test_its_own_classes_paint_the_same(otenim, imported):
    """A random network on two small images, and on a large one, of which windows are seen; float32."""
    held, model = otenim[2], (imported.network, imported.variables, imported.card)
    image, mask = small_image()
    painted = jax.jit(imported.network.apply)(imported.variables, np.float32(image / 255), np.float32(mask))
    assert held["small"].std((0, 1, 2)).min() > 0.01
    np.testing.assert_allclose(painted, held["small"], rtol=0, atol=1e-6)
    image, mask = large_image()
    top, left, height, width = HOLE
    found = Completer(model)(np.float32(image / 255), mask, coarse=False, blend=False)
    found = found[top : top + height, left : left + width]
    np.testing.assert_allclose(found, held["large"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", ["small", pytest.param("large", marks=pytest.mark.long)])
def test_every_layer_counts_in_float64(otenim, float64, size, tmp_path):
    """With statistics of an image's own, values do not fade from layer to layer; what is left is rounding."""
    with (tmp_path / "model_cn.pt").open("wb") as stream:
        write_state_dict(stream, calibrated(*otenim[1:]))
    model = import_model(tmp_path / "model_cn.pt", mean_color=MEAN)
    image, mask = small_image() if size == "small" else (array[None] for array in large_image())
    # The fixture was made of images and a mean colour in float32.
    inputs = np.float32(image / 255).astype(float), mask.astype(float)
    painted = jax.jit(model.network.apply)(jax.tree.map(np.float64, model.variables), *inputs)
    if size == "large":
        top, left, height, width = HOLE
        painted = painted[0, top : top + height, left : left + width]
    expected = otenim[2][f"{size}64"]
    assert expected.reshape(-1, 3).std(0).min() > 0.05
    np.testing.assert_allclose(painted, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("new", [True, False])
def test_files_as_torch_writes_them(otenim, imported, new, tmp_path):
    """Both formats, and from inside DataParallel."""
    torch = pytest.importorskip("torch")
    state = {f"module.{name}": torch.from_numpy(np.array(array)) for name, array in otenim[1].items()}
    torch.save(state, tmp_path / "model_cn", _use_new_zipfile_serialization=new)
    again = import_model(tmp_path / "model_cn", mean_color=MEAN)
    assert again.network == imported.network
    same(again.variables, imported.variables)


def same(found, expected) -> None:
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_card(imported):
    assert imported.card.trained.hole_px == (40, 96) and imported.card.trained.crop_px == 160
    assert imported.card.licences.weights.startswith("not stated")
    assert imported.card.provenance.sources[0]["layout"] == "GLCIC-PyTorch"
    assert imported.network.mean_color == MEAN and imported.network.hole_fill == "mean"


def test_by_the_command(otenim, imported, tmp_path, capsys):
    from glcic_jax.cli.main import run

    file, config = otenim[0] / "model_cn.pt", f"--config={otenim[0] / 'config.json'}"
    assert run("import", [str(file), config, f"--output={tmp_path / 'model'}", "--licence=CC BY 4.0"]) == 0
    assert "licence of the weights: CC BY 4.0" in capsys.readouterr().out
    network, variables, card = glcic_jax.load(tmp_path / "model")
    same(variables, imported.variables)
    assert card.licences.weights == "CC BY 4.0" and network.normalization == "batch_after_activation"
    # And back: the state dict that it came from, bit for bit.
    out = tmp_path / "back.pt"
    assert run("export", [str(tmp_path / "model"), "--format=torch", f"--output={out}"]) == 0
    torch = pytest.importorskip("torch")
    state = torch.load(out, weights_only=True)
    assert list(state) == list(otenim[1])
    for name, array in otenim[1].items():
        if not name.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(state[name].numpy(), array)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("bn3.running_var"), "has no norm3.running_var; it holds another network"),
        (lambda s: s.update({"conv5.weight": s["conv5.weight"][:, :3]}), r"conv5.weight has shape \(256, 3, 3, 3\)"),
        (lambda s: s.update({"fc.weight": np.zeros(3, np.float32)}), "holds fc.weight, which this network has not"),
        (lambda s: s.pop("conv1.weight"), "no completion network of GLCIC-PyTorch's: no conv1"),
        (lambda s: s.update({"bn1.weight": np.full(64, np.nan, np.float32)}), "not finite"),
        (lambda s: s.update({"bn1.weight": np.zeros(100_000, np.float32)}), "bn1|conv1"),
    ],
)
def test_other_networks(otenim, change, message, tmp_path):
    state = dict(otenim[1])
    change(state)
    with (tmp_path / "other.pt").open("wb") as stream:
        write_state_dict(stream, state)
    with pytest.raises(UserError, match=message):
        import_model(tmp_path / "other.pt", mean_color=MEAN)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not a config.json"),
        ("{}", "mpv"),
        (json.dumps(CONFIG | {"mpv": [120, 110, 100]}), r"it must be three numbers in \[0, 1\]"),
        (json.dumps(CONFIG | {"hole_min_w": "wide"}), "is not a config.json"),
    ],
)
def test_other_configs(otenim, text, message, tmp_path):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=message):
        import_model(otenim[0] / "model_cn.pt", config=tmp_path / "config.json")


def test_without_a_mean_colour(otenim):
    with pytest.raises(UserError, match=r"give --config=config\.json, or --mean_color=R,G,B"):
        import_model(otenim[0] / "model_cn.pt")
