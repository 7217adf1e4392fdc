"""A small benchmark, for the tests of `glcic evaluate`."""

import shutil

import pytest

from glcic_jax.cli.main import run
from tests.support.benchmarks import MAKE


@pytest.fixture(scope="module")
def benchmark(photographs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate") / "bench"
    assert run("evaluate", [*MAKE, f"--images={photographs}", f"--output={folder}"]) == 0
    return folder


@pytest.fixture
def copy(benchmark, tmp_path):
    return shutil.copytree(benchmark, tmp_path / "copy")
