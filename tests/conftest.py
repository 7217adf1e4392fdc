"""Strict switches for all tests, set before JAX starts: eight fake CPU devices, so that sharding is exercised."""

import os
import tempfile

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_NUM_CPU_DEVICES"] = "8"
# Nearly all of the tests' time goes into compiling; what runs is small, and as right without LLVM's optimisations.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0".strip()
# Many tests, also in processes of their own, compile the same steps: once a session is enough.
if "PYTEST_XDIST_WORKER" not in os.environ:  # workers share the one of the session
    _COMPILED = tempfile.TemporaryDirectory(prefix="glcic-jax-tests-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _COMPILED.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.5"

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from glcic_jax.cli.recipes import load_recipe
from glcic_jax.data.prepare import Settings, prepare

ROOT = Path(__file__).parents[1]
FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def float64():
    """64-bit arithmetic, for equalities that float32's rounding would blur."""
    import jax

    with jax.enable_x64(True):
        yield


def photograph(seed: int, height: int = 80, width: int = 96) -> np.ndarray:
    """A smooth random picture, uint8 (H, W, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def encoded(image: np.ndarray, kind: str = "JPEG") -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind)
    return buffer.getvalue()


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


# A network and pictures so small that training takes seconds.
TINY_SIZES = [
    "--config.short_side_px=(40, 48)",
    "--config.crop_px=32",
    "--config.hole_px=(8, 16)",
    "--config.window_px=16",
    "--config.completion.width_multiplier=0.03125",
    "--config.discriminator.width_multiplier=0.03125",
]


def tiny_recipe(shards: Path):
    """A tiny recipe: stages end at steps 4, 7 and 10; eight samples a step, one for each device."""
    return load_recipe(
        ROOT / "configs" / "quickstart.py",
        [
            *TINY_SIZES,
            f"--config.data_dir={shards}",
            "--config.batch_size=8",
            "--config.completion_steps=4",
            "--config.discriminator_steps=3",
            "--config.joint_steps=3",
            "--config.log_every_steps=2",
            "--config.validate_every_steps=5",
            "--config.validation_samples=8",
            "--config.checkpoint_every_steps=5",
        ],
    )


@pytest.fixture
def tiny(shards):
    """That recipe, to be changed."""
    return tiny_recipe(shards)


@pytest.fixture
def quiet() -> Console:
    """A console whose text nobody sees."""
    return Console(file=io.StringIO())
