"""Validation's figures, on networks and judges whose answers are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glcic_jax.data.batch import Batch
from glcic_jax.run.validation import Validation
from glcic_jax.training.mesh import make_mesh

SIDE, COUNT = 32, 5
"""More samples than a batch takes, and no multiple of it."""


class Painter:
    """Paints the photograph itself, blurred by `blend` towards grey."""

    def __init__(self, blend: float) -> None:
        self.blend = blend

    def apply(self, variables, image, mask):
        return (1 - self.blend) * image + self.blend * 0.5


def samples() -> Batch:
    rng = np.random.default_rng(0)
    image = rng.integers(64, 192, (COUNT, SIDE, SIDE, 3)).astype(np.uint8)
    mask = np.zeros((COUNT, SIDE, SIDE, 1), np.uint8)
    mask[:, 4:28, 4:28] = 1
    window = np.zeros((COUNT, 2), np.int32)
    return Batch(image, mask, window, window)


def judge_by_brightness(variables, completed, batch):
    """Calls everything brighter than a sample's `variables` real; photographs are always 1."""
    return jnp.ones(len(completed)), jnp.mean(completed, axis=(1, 2, 3)) - variables


def validate(blend: float, judge=None):
    validation = Validation(Painter(blend), samples(), 2, 2, make_mesh(jax.devices()[:1]), judge_by_brightness)
    result = validation({}, judge)
    assert result is not None
    return result


def test_photographs_themselves_have_all_of_their_detail():
    scores, grid = validate(0.0)
    assert scores["hole_l1"] == pytest.approx(0, abs=1e-6)
    for name in ("hole_contrast", "hole_detail", "hole_chroma_detail"):
        assert scores[name] == pytest.approx(1, abs=1e-5), name
    assert scores["hole_grid"] < 0.1  # noise repeats nothing
    assert grid.dtype == np.uint8 and "val_accuracy_real" not in scores


def test_half_the_contrast_is_a_quarter_of_the_energy():
    scores, _ = validate(0.5)
    assert scores["hole_contrast"] == pytest.approx(0.5, abs=0.01)
    assert scores["hole_detail"] == pytest.approx(0.25, abs=1e-4)
    assert scores["hole_chroma_detail"] == pytest.approx(0.25, abs=1e-4)


def test_the_judge_is_counted_once_a_sample():
    image = samples().image / 255
    means = np.sort(image.mean(axis=(1, 2, 3)))
    scores, _ = validate(0.0, jnp.float32((means[1] + means[2]) / 2))  # two of five lie below it
    assert scores["val_accuracy_real"] == 1
    assert scores["val_accuracy_completed"] == pytest.approx(2 / COUNT)


def test_it_ends_when_asked_to():
    validation = Validation(Painter(0.0), samples(), 2, 2, make_mesh(jax.devices()[:1]), judge_by_brightness)
    assert validation({}, None, lambda: False) is None
