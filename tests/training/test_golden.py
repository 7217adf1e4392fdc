"""The figures of one step of each stage, as they were when this file was written: the paper's recipe, made small."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glcic_jax.recipes import load_recipe
from glcic_jax.run.setup import build_specification
from tests.support.paths import ROOT
from tests.support.small import MEAN
from tests.support.steps import SIZE, STEPS, WINDOW, after, batches, initial
from tests.support.tiny import checked

GOLDEN = {
    "completion": {
        "completion_loss": 0.01113976709,
        "completion moves by": 0.03933969246,
        "discriminator moves by": 0.0,
    },
    "discriminator": {
        "accuracy_completed": 0.375,
        "accuracy_real": 0.6875,
        "discriminator_loss": 1.374881148,
        "logit_completed": 0.0447871089,
        "logit_real": 0.07983545959,
        "completion moves by": 0.0,
        "discriminator moves by": 0.281281528,
    },
    "joint": {
        "accuracy_completed": 0.375,
        "accuracy_real": 0.6875,
        "adversarial_loss": 0.8313513398,
        "completion_loss": 0.01113976709,
        "discriminator_loss": 1.374881148,
        "logit_completed": 0.0447871089,
        "logit_real": 0.07983545959,
        "output_gradient_adversarial": 1.870431495e-05,
        "output_gradient_squared_error": 0.0009521326479,
        "completion moves by": 0.03929352766,
        "discriminator moves by": 0.281281528,
    },
}

RENEW = """
A step of places2 gives other numbers than it did. If nothing was to change, something broke: the parity tests
(tests/training/test_step_parity.py) say whether it is the steps or the recipe. If the mathematics or the recipe has
changed on purpose, put this in the place of GOLDEN[{stage!r}], and the reason into the commit:

{found}
"""


@pytest.mark.parametrize("stage", STEPS)
def test_one_step(float64, stage):
    """In float64; only initial values are drawn in float32, whose last digit differs from one CPU to another."""
    widths = [f"--config.{network}.width_multiplier=0.0625" for network in ("completion", "discriminator")]
    sizes = [f"--config.crop_px={SIZE}", f"--config.window_px={WINDOW}", "--config.hole_px=(10, 12)"]
    spec = build_specification(checked(load_recipe(ROOT / "configs" / "places2.py", [*widths, *sizes])), MEAN)
    before = jax.device_get(initial(spec, jnp.float64))
    state, metrics = after(spec, STEPS[stage], 1, jnp.float64, batches(1), before)
    found = {name: float(value) for name, value in metrics.items()}
    for role in ("completion", "discriminator"):
        found[f"{role} moves by"] = distance(getattr(before, role), getattr(state, role))
    found = {name: float(f"{value:.10g}") for name, value in found.items()}
    assert found == pytest.approx(GOLDEN[stage], rel=1e-5), RENEW.format(stage=stage, found=found)


def distance(before, after) -> float:
    """Euclidean, of the parameters of a network before and after."""
    pairs = zip(jax.tree.leaves(before.params), jax.tree.leaves(after.params), strict=True)
    return float(np.sqrt(sum(np.square(b - a).sum() for a, b in pairs)))
