"""One file of plain PyTorch: there and back bit-equal, the same outputs, and nothing in it is run to read it."""

import importlib.util
import re

import jax
import numpy as np
import pytest

import glcic_jax
from glcic_jax.cli.main import run
from glcic_jax.errors import UserError
from glcic_jax.interop.torch_file import MODULE, format_torch_file, read_torch_file
from glcic_jax.models import folder as model_folder
from glcic_jax.models.card import Card, Licences, Trained
from glcic_jax.models.completion import CompletionNetwork
from tests.support.networks import OPTIONS, calm, shaken

CARD = Card(
    licences=Licences(code="Apache-2.0", weights="CC BY 4.0", data="it's mine"),
    trained=Trained(crop_px=64, hole_px=(16, 32)),
)


def network_of(options: dict) -> CompletionNetwork:
    return CompletionNetwork(width_multiplier=0.0625, mean_color=(0.5, 0.4, 0.3), **options)


def same(found, expected) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_there_and_back(options, tmp_path):
    network = network_of(options)
    variables, file = shaken(network), tmp_path / "m.py"
    for half in (False, True):
        kept = model_folder.to_half(variables) if half else variables
        file.write_text(format_torch_file(network, kept, CARD, half))
        found, weights, card = read_torch_file(file)
        assert found == network and card == CARD
        same(weights, jax.tree.map(np.float32, kept))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_pytorch_paints_the_same(options, tmp_path):
    torch = pytest.importorskip("torch")
    network = network_of(options).clone(precision=jax.lax.Precision.HIGHEST)
    variables = calm(network)
    (tmp_path / "m.py").write_text(format_torch_file(network, variables, CARD, half=False))
    specification = importlib.util.spec_from_file_location("m", tmp_path / "m.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    rng = np.random.default_rng(0)
    image, mask = rng.random((2, 32, 40, 3), np.float32), np.zeros((2, 32, 40, 1), np.float32)
    mask[:, 8:20, 10:30] = 1
    with torch.no_grad():
        arrays = (torch.from_numpy(array.transpose(0, 3, 1, 2).copy()) for array in (image, mask))
        found = module.load()(*arrays).numpy().transpose(0, 2, 3, 1)
    expected = jax.jit(network.apply)(variables, image, mask)
    assert found.std((0, 1, 2)).max() > 0.05
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)  # rounding, as in test_onnx.py


def test_it_needs_pytorch_alone():
    imports = re.findall(r"^(?:import|from) (\w+)", MODULE.read_text(), re.M)
    assert set(imports) == {"base64", "io", "typing", "torch"}


def test_by_the_commands(tmp_path, capsys):
    network = network_of(OPTIONS[1])
    variables = shaken(network)
    model_folder.save(tmp_path / "model", (network, variables), None, CARD)
    file, back = tmp_path / "m.py", tmp_path / "back"
    assert run("export", [str(tmp_path / "model"), "--format=torch_module", f"--output={file}"]) == 0
    assert run("import", [str(file), f"--output={back}"]) == 0
    assert "licence of the weights: CC BY 4.0" in capsys.readouterr().out
    loaded, weights, card = glcic_jax.load(back)
    same(weights, variables)
    assert card.licences == CARD.licences and card.trained == CARD.trained
    assert loaded == network.clone(precision=jax.lax.Precision.HIGHEST)
    # The format of GLCIC-PyTorch cannot hold it, and says which one can.
    arguments = [str(tmp_path / "model"), "--format=torch", f"--output={tmp_path / 'm.pt'}"]
    assert run("export", arguments) == 2 and "--format=torch_module" in capsys.readouterr().err
    assert run("import", [str(file), f"--output={back}", "--mean_color=0.1,0.1,0.1"]) == 2
    assert "tells its mean colour itself" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[: len(text) // 2], "damaged|has no"),
        (lambda text: text.replace("WEIGHTS = 'U", "WEIGHTS = '*U"), "damaged"),
        (lambda text: re.sub("'UEsDB.*'", "'UEsDBBQAAAAI'", text), "not a whole file of PyTorch's"),
        (lambda text: re.sub("^WEIGHTS = .*$", "", text, flags=re.M), "has no 'WEIGHTS'"),
        (lambda text: re.sub("^WEIGHTS = .*$", "WEIGHTS = open('witness', 'w')", text, flags=re.M), "damaged"),
        (lambda text: text.replace("'output': 'sigmoid'", "'output': 'softmax'"), "output is 'softmax'"),
        (lambda text: text.replace("'width_multiplier': 0.0625", "'width_multiplier': 'x'"), "width_multiplier is 'x'"),
        (lambda text: text.replace("'width_multiplier': 0.0625", "'width_multiplier': 0.125"), "has shape"),
        (lambda text: text.replace("'residual': False, ", ""), "its fields are not"),
        (lambda text: "FIELDS = " + "(" * 5000, "damaged"),
        (lambda text: "import os\n\n\nos.mkdir('witness')\n", "has no 'FIELDS'"),
        (lambda text: text + "\nopen('witness', 'w')\n", None),
    ],
)
def test_nothing_runs_and_bad_files_are_refused(change, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network = network_of({})
    text = format_torch_file(network, shaken(network), CARD, half=False)
    (tmp_path / "m.py").write_text(change(text))
    if message is None:
        read_torch_file(tmp_path / "m.py")
    else:
        with pytest.raises(UserError, match=message) as caught:
            read_torch_file(tmp_path / "m.py")
        assert "\n" not in str(caught.value) and "m.py" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["m.py"]
