"""`pip install glcic-jax` without extras: completing works without the packages that only training needs."""

import os
import re
import subprocess
import sys
import tomllib

import numpy as np

from glcic_jax.data.images import read_image, write_image
from glcic_jax.models.shipped import shipped_model
from glcic_jax.system.packages import describe_missing_package
from tests.support.paths import ROOT
from tests.support.pictures import photograph

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TRAINING = {"array_record", "grain", "matplotlib", "ml_collections", "optax", "orbax", "tensorboardX", "zstandard"}

WITHOUT = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {TRAINING!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
from glcic_jax.cli.main import run
"""


def without_training(code: str, folder) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT + code], cwd=folder, capture_output=True, text=True, timeout=300, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_NUM_CPU_DEVICES": "1"},
    )  # fmt: skip


def packages(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w-]+", requirement)[0] for requirement in requirements}


def test_what_the_extra_brings():
    names = {"absl-py": "absl", "array-record": "array_record", "orbax-checkpoint": "orbax"}
    extra = packages(PROJECT["optional-dependencies"]["train"])
    found = {names.get(package, package.replace("-", "_")) for package in extra}
    assert found - {"absl"} == TRAINING, "absl is Flax's as well"
    assert not packages(PROJECT["dependencies"]) & extra


def test_a_photograph_is_completed_without_the_packages_of_training(tmp_path):
    """And what asks for them says in one line how to get them, before it does anything."""
    image, hole = photograph(0, 40, 52), np.zeros((40, 52, 3), np.uint8)
    hole[12:24, 20:36] = 255
    write_image(tmp_path / "photo.png", image)
    write_image(tmp_path / "mask.png", hole)
    result = without_training(
        f"""
assert run("complete", ["photo.png", "--mask=mask.png", "--noblend", "--model={shipped_model()}"]) == 0
import glcic_jax.evaluation.compare, glcic_jax.interop.export_model, glcic_jax.interop.import_model
assert not {TRAINING!r} & {{name.partition(".")[0] for name in sys.modules}}
for verb, arguments in [
    ("prepare", ["--source=.", "--output=set"]),
    ("train", ["--config=places2"]),
    ("doctor", ["--config=places2"]),
    ("holes", ["--config=places2", "--output=holes.png"]),
]:
    assert run(verb, arguments) == 2, verb
""",
        tmp_path,
    )
    assert result.returncode == 0, result.stderr
    found, known = read_image(tmp_path / "photo_completed.png"), hole[..., 0] == 0
    np.testing.assert_array_equal(found[known], image[known])
    assert (found != image)[~known].any(axis=-1).mean() > 0.9
    said = [line for line in result.stderr.splitlines() if "error:" in line]
    assert [line.partition(":")[0] for line in said] == ["prepare", "train", "doctor", "holes"]
    assert all("install it: pip install 'glcic-jax[train]'" in line for line in said), said
    assert not (tmp_path / "set").exists()


def test_other_missing_packages_are_not_explained_away():
    assert describe_missing_package(ModuleNotFoundError("No module named 'jax'", name="jax")) is None
    assert describe_missing_package(ImportError("cannot import name 'x' from 'optax'", name="optax")) is None
    assert "needs optax" in describe_missing_package(
        ModuleNotFoundError("No module named 'optax'", name="optax.losses")
    )
    assert "needs Linux or macOS" in describe_missing_package(
        ModuleNotFoundError("No module named 'fcntl'", name="fcntl")
    )
