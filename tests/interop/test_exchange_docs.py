"""docs/exchange.md: every command and every example runs, and every format is in its table."""

import json
import re
import shlex
import sys

import numpy as np
import pytest

from glcic_jax.cli.export import FORMATS
from glcic_jax.cli.main import run
from glcic_jax.interop import export_model
from glcic_jax.interop.state_dicts import write_state_dict
from glcic_jax.models import folder as model_folder
from glcic_jax.models.card import Card, Licences
from glcic_jax.models.completion import CompletionNetwork
from tests.support.authors import content, modules
from tests.support.networks import shaken
from tests.support.otenim_weights import MEAN, load_fixture
from tests.support.paths import FIXTURES, ROOT
from tests.support.torch7_writer import Writer

TEXT = (ROOT / "docs" / "exchange.md").read_text()
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def here(photographs, tmp_path_factory):
    """A folder with what the commands name."""
    folder = tmp_path_factory.mktemp("exchange")
    network = CompletionNetwork(width_multiplier=0.03125)
    (folder / "runs" / "mine").mkdir(parents=True)
    card = Card(licences=Licences(code="Apache-2.0", weights="MIT", data="ours"))
    model_folder.save(folder / "runs" / "mine" / "model", (network, shaken(network, seed=3)), None, card)
    with (folder / "model_cn.pt").open("wb") as stream:
        write_state_dict(stream, load_fixture(FIXTURES / "otenim.npz")[0])
    sizes = {f"hole_{end}_{axis}": 48 for end in ("min", "max") for axis in "wh"}
    config = {"mpv": list(MEAN), "cn_input_size": 160, "ld_input_size": 96, **sizes}
    (folder / "config.json").write_text(json.dumps(config))
    authors = Writer().write(content(modules(np.random.default_rng(3))))
    (folder / "completionnet_places2.t7").write_bytes(authors)
    make = ["make", "--count=4", "--crop_px=32", "--hole_px=12,16", "--masks=rect"]
    assert run("evaluate", [*make, f"--images={photographs}", f"--output={folder / 'bench'}"]) == 0
    return folder


def test_commands_and_examples(here, unchecked_shapes, monkeypatch, capsys):
    for package in ("onnxruntime", "onnx", "huggingface_hub"):
        pytest.importorskip(package)
    monkeypatch.chdir(here)
    monkeypatch.syspath_prepend(here)
    for line in [line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()]:
        command, *arguments = shlex.split(line)
        assert command == "glcic"
        assert run(arguments[0], arguments[1:]) == 0, (line, capsys.readouterr().err)
    image, mask = np.full((1, 32, 40, 3), 0.5, np.float32), np.zeros((1, 32, 40, 1), np.float32)
    mask[:, 8:20, 10:30] = 1
    names = {"image": image, "mask": mask, "photographs": np.uint8(255 * image), "masks": np.uint8(255 * mask)}
    for block in [block for kind, block in BLOCKS if kind == "python"]:
        if "import torch" in block:
            try:
                import torch
            except ImportError:
                continue
            names |= {
                f"torch_{name}": torch.from_numpy(names[name].transpose(0, 3, 1, 2)) for name in ("image", "mask")
            }
        if "hf://" not in block:  # fetched from a Hub on this machine by test_hub.py
            exec(block, names)
    sys.modules.pop("network", None)
    assert names["output"].shape[0] == 1 and names["completed"].dtype == np.uint8


def test_the_table_has_every_format():
    built_by_interop = {*export_model.FORMATS, "web"}  # which `serve` builds, with its page
    assert set(FORMATS) == built_by_interop == set(re.findall(r"^\| `(\w+)` \|", TEXT, re.M))
