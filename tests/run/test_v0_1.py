"""What version 0.1.0 wrote: a run is continued, shards are read, a model completes, all with the same numbers.

tests/fixtures/v0_1.tar.xz was made by that version from 24 drawn pictures. It holds shards; of a run the recipe with
every key that there was, the checkpoint of step 5 and the model of step 10; another model, whose output varies; and
what was read from all of them.
"""

import hashlib
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import glcic_jax
from glcic_jax.data.manifest import read_manifest
from glcic_jax.data.shards import open_split
from glcic_jax.run.restore import read_checkpoint
from tests.support.comparison import norm_relative, split_dead_biases
from tests.support.paths import FIXTURES, ROOT

RECIPE = """
import json, pathlib
import ml_collections

def tuples(value):
    if isinstance(value, dict):
        return {key: tuples(below) for key, below in value.items()}
    return tuple(value) if isinstance(value, list) else value

def get_config():
    return ml_collections.ConfigDict(tuples(json.loads(pathlib.Path(__file__).with_name("config.json").read_text())))
"""


@pytest.fixture(scope="module")
def old(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("v0_1")
    with tarfile.open(FIXTURES / "v0_1.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def expected(old):
    return json.loads((old / "expected.json").read_text())


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def fingerprints(checkpoint: Path) -> dict[str, str]:
    leaves = jax.tree_util.tree_leaves_with_path(read_checkpoint(checkpoint)[0])
    return {jax.tree_util.keystr(p, simple=True, separator="/"): sha256(np.asarray(x).tobytes()) for p, x in leaves}


def test_records(old, expected):
    manifest = read_manifest(old / "shards")
    for split, sums in expected["records"].items():
        records = open_split(old / "shards", manifest, split)
        assert [sha256(records[i]) for i in range(len(records))] == sums


def test_a_checkpoint(old, expected):
    """Bit for bit, everywhere."""
    assert fingerprints(old / "run" / "checkpoints" / "5") == expected["arrays"]["5"]


def test_a_model(old, expected):
    network, variables, card = glcic_jax.load(old / "model")
    assert card.trained.steps == 10
    image = np.asarray(Image.open(old / "photograph.png"), np.float32) / 255
    mask = np.zeros((*image.shape[:2], 1), np.float32)
    y, x, height, width = expected["hole"]
    mask[y : y + height, x : x + width] = 1
    output = np.asarray(network.apply(variables, image, mask))[y : y + height, x : x + width]
    np.testing.assert_allclose(output, np.load(old / "output.npy"), rtol=0, atol=1e-6)


@pytest.mark.slow
def test_a_run_goes_on(old, expected):
    """Bit for bit on the kind of CPU that the old one ran on; on others, as far as rounding goes."""
    (old / "run" / "recipe.py").write_text(RECIPE)
    environment = {k: v for k, v in os.environ.items() if k not in ("JAX_NUM_CPU_DEVICES", "PYTHONPATH", "XLA_FLAGS")}
    model = glcic_jax.load(old / "run" / "model")[1]  # of step 10, to be written anew
    result = subprocess.run(
        [sys.executable, str(ROOT / "launch" / "train.py"), "--config=run/recipe.py", "--workdir=run"],
        cwd=old, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "continuing from the checkpoint of step 5" in result.stdout
    found = fingerprints(old / "run" / "checkpoints" / "10")
    assert found.keys() == expected["arrays"]["10"].keys()
    if found != expected["arrays"]["10"]:
        ours, theirs = glcic_jax.load(old / "run" / "model")[1], model
        # Biases in front of BatchNorm have no gradient but rounding noise, which Adam makes a step of.
        assert norm_relative(split_dead_biases(ours["params"])[1], split_dead_biases(theirs["params"])[1]) < 1e-3
        assert norm_relative(ours["batch_stats"], theirs["batch_stats"]) < 1e-3
