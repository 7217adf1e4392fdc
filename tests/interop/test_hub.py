"""Folders for the Hugging Face Hub: validated by its own classes, fetched by its own client from a local Hub."""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

import glcic_jax
from glcic_jax.cli.main import run
from glcic_jax.errors import UserError
from glcic_jax.interop.hub import find_licence
from glcic_jax.models import folder as model_folder
from glcic_jax.models.card import Card, Licences, Provenance, Published, Trained
from glcic_jax.models.completion import CompletionNetwork
from glcic_jax.models.hub import fetch_model
from tests.support.fake_hub import commit_of, serve
from tests.support.networks import OPTIONS, shaken
from tests.support.paths import ROOT

hub = pytest.importorskip("huggingface_hub")

SCORES = {"cases": 300, "in_hole": {"ours": {"psnr": [17.123456, 16, 18], "ssim": [0.3, 0, 1], "l1": [0.1, 0, 1]}}}
CARD = Card(
    licences=Licences(code="Apache-2.0", weights="CC BY-NC-SA 4.0 (somebody)", data="our own photographs"),
    trained=Trained(crop_px=64, hole_px=(16, 32)),
    provenance=Provenance(config={"data_dir": "/home/me/mine", "init_from": ""}),
    published=Published(data="d", cost="a day", scores=SCORES, limits="small: 16 to 32 px", licence_note="n"),
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A model, and the folder that was made of it."""
    folder = tmp_path_factory.mktemp("hub")
    network = CompletionNetwork(width_multiplier=0.03125, **OPTIONS[1])
    model_folder.save(folder / "model", (network, shaken(network)), None, CARD)
    arguments = ["export", str(folder / "model"), "--format=hub", f"--output={folder / 'mine'}"]
    assert run(arguments[0], [*arguments[1:], f"--picture={ROOT / 'docs' / 'rivals.jpg'}"]) == 0
    return folder / "model", folder / "mine"


def same(found, expected) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a, b)


def test_there_and_back(folders):
    (network, variables, _), (found, weights, card) = (glcic_jax.load(folder) for folder in folders)
    assert found == network and card.licences == CARD.licences and card.published == CARD.published
    assert card.provenance.config["data_dir"] == "mine"  # folders of the machine are nobody's business
    same(weights, variables)


def test_readme(folders):
    text = (folders[1] / "README.md").read_text()
    card = hub.ModelCard(text)  # raises for front matter that the Hub does not understand
    data = card.data
    assert isinstance(data, hub.ModelCardData)
    assert data.license == "cc-by-nc-sa-4.0" and data.library_name == "glcic-jax"
    assert data.pipeline_tag == "image-to-image" and "inpainting" in data.tags
    (psnr,) = (result for result in data.eval_results if result.metric_type == "psnr")
    assert psnr.metric_value == 17.1235 and data.model_name == "mine"
    for words in ("small: 16 to 32 px", "our own photographs", "a day", "(example.jpg)", 'glcic_jax.load("hf://'):
        assert words in card.text
    assert (folders[1] / "example.jpg").read_bytes() == (ROOT / "docs" / "rivals.jpg").read_bytes()


def test_again(folders, tmp_path):
    """Other files stay, such as Git's; a folder of something else is left alone."""
    model, output = folders[0], tmp_path / "mine"
    arguments = [str(model), "--format=hub", f"--output={output}"]
    assert run("export", arguments) == 0
    (output / ".gitattributes").write_text("kept")
    before = sorted(path.name for path in output.iterdir())
    assert run("export", [*arguments, "--half"]) == 0
    assert sorted(path.name for path in output.iterdir()) == before == [
        ".gitattributes", "README.md", "card.json", "completion.safetensors"
    ]  # fmt: skip
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x").write_text("mine")
    assert run("export", [*arguments[:2], f"--output={tmp_path / 'other'}"]) == 2
    assert run("export", [*arguments, "--picture=gone.jpg"]) == 2
    assert run("export", [str(model), "--format=onnx", "--output=m.onnx", "--picture=gone.jpg"]) == 2


@pytest.mark.parametrize(
    ("words", "licence"),
    [
        ("CC BY-NC-SA 4.0 (Iizuka): not for commercial use", "cc-by-nc-sa-4.0"), ("Apache-2.0", "apache-2.0"),
        ("MIT", "mit"), ("CC BY 4.0", "cc-by-4.0"), ("CC BY 4.0 in part", None), ("not stated", None), ("", None),
    ],
)  # fmt: skip
def test_licences(words, licence):
    assert find_licence(words) == licence


def test_cards_that_say_too_little(tmp_path, capsys):
    network = CompletionNetwork(width_multiplier=0.03125)
    published = Published(data="d", cost="c", scores={"cases": "many"}, limits="l", licence_note="n")
    for card, message in (
        (Card(), "states no licences"),
        (Card(licences=CARD.licences, published=published), "the scores in the model's card cannot be read"),
    ):
        model_folder.save(tmp_path / "model", (network, shaken(network)), None, card)
        assert run("export", [str(tmp_path / "model"), "--format=hub", f"--output={tmp_path / 'out'}"]) == 2
        assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def load_all(addresses: list[str], **environment: str) -> list[str]:
    """What a process of its own gets from each address: a sum of the weights, or the error."""
    program = (
        "import sys, jax, glcic_jax\n"
        "from glcic_jax.errors import UserError\n"
        "for address in sys.argv[1:]:\n"
        "    try:\n"
        "        leaves = jax.tree.leaves(glcic_jax.load(address)[1])\n"
        "        print(sum(float(abs(leaf).sum()) for leaf in leaves))\n"
        "    except UserError as error:\n"
        "        print('error:', error)\n"
    )
    variables = os.environ | {"HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"} | environment
    command = [sys.executable, "-c", program, *addresses]
    done = subprocess.run(command, env=variables, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_addresses(folders, tmp_path):
    """By tag and by commit; other revisions, repositories and altered weights are refused; then all of it offline."""
    leaves = jax.tree.leaves(glcic_jax.load(folders[1])[1])
    expected = str(sum(float(abs(leaf).sum()) for leaf in leaves))
    bad = tmp_path / "bad"
    bad.mkdir()
    for file in folders[1].iterdir():
        content = bytearray(file.read_bytes())
        content[-1] ^= file.suffix == ".safetensors"
        (bad / file.name).write_bytes(content)
    commit = commit_of(folders[1])
    addresses = ["hf://me/mine@v1", f"hf://me/mine@{commit}", "hf://me/mine@v2", "hf://me/other@v1", "hf://me/mine@bad"]
    home = {"HF_HOME": str(tmp_path / "home")}
    with serve({"me/mine": {"v1": folders[1], "bad": bad}}) as address:
        found = load_all(addresses, HF_ENDPOINT=address, **home)
    assert found[:2] == [expected, expected]
    assert "RevisionNotFound" in found[2] and "RepositoryNotFound" in found[3] and "was altered" in found[4]
    kept = [path.name for path in (tmp_path / "home").rglob("snapshots/*/*")]
    assert "card.json" in kept and "example.jpg" not in kept
    offline = load_all(addresses[:4], HF_HUB_OFFLINE="1", HF_ENDPOINT=address, **home)
    assert offline[:2] == [expected, expected]
    assert all(line.startswith("error: hf://me/") for line in offline[2:])


@pytest.mark.parametrize("address", ["hf://me/mine", "hf://mine@v1", "hf://@v1", "hf://me/mine@", "hf://a/b/c@v1"])
def test_bad_addresses(address):
    with pytest.raises(UserError, match="write hf://OWNER/NAME@REVISION"):
        glcic_jax.load(address)


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"pip install 'glcic-jax\[hub\]'"):
        fetch_model("hf:/me/mine@v1")  # as a path spells it


def test_the_card_is_json(folders):
    assert json.loads((folders[1] / "card.json").read_text())["format"] == "glcic-jax model"
