"""StableHLO programs, run by processes that have JAX and nothing of ours."""

import subprocess
import sys

import jax
import numpy as np
import pytest

from glcic_jax.cli.main import run
from glcic_jax.models import folder as model_folder
from glcic_jax.models.completion import CompletionNetwork
from tests.support.networks import OPTIONS, calm
from tests.support.shapes import without_checks

PROGRAM = """
import sys
sys.modules["glcic_jax"] = None
import jax.export, numpy as np
from pathlib import Path
for file in sys.argv[1:]:
    exported = jax.export.deserialize(bytearray(Path(file).read_bytes()))
    assert set(exported.platforms) == {"cpu", "cuda", "tpu"}
    for name in ("a", "b", "c"):
        held = np.load(name + ".npz")
        np.save(f"{file}_{name}.npy", exported.call(held["image"], held["mask"]))
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Programs of two networks, one with half weights, three inputs of different sizes, and what the process made."""
    folder = tmp_path_factory.mktemp("stablehlo")
    rng, models = np.random.default_rng(0), {}
    for name, options, half in (("plain", OPTIONS[0], []), ("other", OPTIONS[1], ["--half"])):
        network = CompletionNetwork(width_multiplier=0.0625, precision=jax.lax.Precision.HIGHEST, **options)
        variables = calm(network)
        model_folder.save(folder / name, (network, variables), None)
        file = folder / f"{name}.stablehlo"
        with without_checks():  # sizes are symbols there, not whole numbers
            assert run("export", [str(folder / name), "--format=stablehlo", f"--output={file}", *half]) == 0
        models[name] = network, model_folder.to_half(variables) if half else variables
    for name, shape in (("a", (1, 32, 32, 3)), ("b", (3, 16, 64, 3)), ("c", (2, 60, 40, 3))):
        image, mask = rng.random(shape, np.float32), np.zeros((*shape[:3], 1), np.float32)
        mask[:, 4:12, 5:13] = 1
        np.savez(folder / f"{name}.npz", image=image, mask=mask)
    files = [f"{name}.stablehlo" for name in models]
    subprocess.run([sys.executable, "-c", PROGRAM, *files], cwd=folder, check=True)
    return folder, models


@pytest.mark.parametrize("name", ["plain", "other"])
def test_three_sizes(written, name):
    folder, models = written
    network, variables = models[name]
    apply = jax.jit(network.apply)
    for size in ("a", "b", "c"):
        held = np.load(folder / f"{size}.npz")
        weights = jax.tree.map(np.float32, variables)
        expected = np.asarray(apply(weights, held["image"], held["mask"]))
        found = np.load(folder / f"{name}.stablehlo_{size}.npy")
        assert expected.std((0, 1, 2)).max() > 0.05
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
        assert expected.std() > 0.01


def test_sizes_that_it_cannot_take(written):
    exported = jax.export.deserialize(bytearray((written[0] / "plain.stablehlo").read_bytes()))
    with pytest.raises(ValueError, match="4\\*h"):
        exported.call(np.zeros((1, 30, 32, 3), np.float32), np.zeros((1, 30, 32, 1), np.float32))
