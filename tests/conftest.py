"""Strict switches for all tests, set before JAX starts: eight fake CPU devices, so that sharding is exercised."""

import importlib.metadata
import os
import tempfile

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_NUM_CPU_DEVICES"] = "8"
# Nearly all of the tests' time goes into compiling; what runs is small, and as right without LLVM's optimisations and
# with XLA's older way to emit fusions, which takes half as long. Later versions have only the newer one.
_QUICK_TO_COMPILE = "--xla_backend_optimization_level=0"
if importlib.metadata.version("jaxlib").startswith("0.10."):
    _QUICK_TO_COMPILE += " --xla_cpu_use_fusion_emitters=false"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_QUICK_TO_COMPILE}".strip()
# Many tests, also in processes of their own, compile the same steps: once a session is enough.
if "PYTEST_XDIST_WORKER" not in os.environ:  # workers share the one of the session
    _COMPILED = tempfile.TemporaryDirectory(prefix="glcic-jax-tests-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _COMPILED.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.5"

import io
from pathlib import Path

import pytest
from rich.console import Console

from tests.support.shapes import check_shapes, without_checks

check_shapes()  # before anything of ours is imported

from glcic_jax.prepare.pipeline import prepare
from glcic_jax.prepare.plan import Settings
from tests.support.pictures import encoded, photograph
from tests.support.tiny import tiny_recipe


@pytest.fixture
def float64():
    """64-bit arithmetic, for equalities that float32's rounding would blur."""
    import jax

    with jax.enable_x64(True):
        yield


@pytest.fixture(autouse=True)
def strict_ranks(request):
    """In tests of networks and steps, arrays of different ranks meet on purpose, or not at all."""
    if request.path.parent.name not in ("models", "training"):
        yield
        return
    import jax

    with jax.numpy_rank_promotion("raise"):
        yield


@pytest.fixture
def unchecked_shapes():
    """For tests of what users are told, who have no such checks."""
    with without_checks():
        yield


@pytest.fixture
def strict_types():
    """Arrays of different types meet on purpose, or not at all.

    Not for all tests: Flax's BatchNorm takes its float32 statistics from bfloat16 and float64 maps as they are, and the
    networks ask JAX itself which type is the finer one.
    """
    import jax

    with jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture(scope="session")
def photographs(tmp_path_factory) -> Path:
    """A folder with 40 small photographs in two subfolders."""
    folder = tmp_path_factory.mktemp("photographs")
    for index in range(40):
        path = folder / "ab"[index % 2] / f"{index:02d}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded(photograph(index)))
    return folder


@pytest.fixture(scope="session")
def shards(photographs, tmp_path_factory) -> Path:
    """Those photographs prepared, a fifth of them as val."""
    folder = tmp_path_factory.mktemp("shards")
    prepare([str(photographs)], folder / "set", Settings(val_fraction=0.2))
    return folder / "set"


@pytest.fixture
def tiny(shards):
    """That recipe, to be changed."""
    return tiny_recipe(shards)


@pytest.fixture
def quiet() -> Console:
    """A console whose text nobody sees."""
    return Console(file=io.StringIO())
