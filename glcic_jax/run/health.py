"""Whether a run goes well: alarms in plain words, from the figures that it logs anyway."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from glcic_jax.run.metrics_file import read_metrics_file

Figures = dict[str, float]

PATIENCE = 5
"""Readings in a row before something is an alarm: single intervals scatter."""


class Alarm(NamedTuple):
    """What to watch.

    Fields:
        needs: figures without which a reading says nothing.
        stages: where it counts.
        holds: whether a reading is bad.
        words: what to say of it, after "since step N".
        fooling: counts only where C is to fool D.

    """

    name: str
    needs: tuple[str, ...]
    stages: tuple[int, ...]
    holds: Callable[[Figures], bool]
    words: Callable[[Figures], str]
    fooling: bool = False


ALARMS = (
    Alarm(
        "the discriminator has won",
        ("accuracy_real", "accuracy_completed"),
        (3,),
        lambda v: min(v["accuracy_real"], v["accuracy_completed"]) >= 0.98,
        lambda v: (
            f"it is right on {v['accuracy_real']:.0%} of real and {v['accuracy_completed']:.0%} of completed "
            "images, and C learns little from a judge that it never fools; give D a smaller learning rate"
        ),
        fooling=True,
    ),
    Alarm(
        "the discriminator has given up",
        ("accuracy_real", "accuracy_completed"),
        (2, 3),
        lambda v: min(v["accuracy_real"], v["accuracy_completed"]) <= 0.05,
        lambda v: (
            f"it gives nearly all images one answer (right on {v['accuracy_real']:.0%} of real and "
            f"{v['accuracy_completed']:.0%} of completed ones); train it longer in stage 2"
        ),
    ),
    Alarm(
        "the discriminator has nothing left to learn",
        ("discriminator_loss",),
        (2,),
        lambda v: v["discriminator_loss"] < 0.01,
        lambda v: (
            f"its loss is {v['discriminator_loss']:.2g}: it tells completions from photographs with certainty, and C "
            "would learn little from it in stage 3; shorten stage 2 (config.discriminator_steps), or give D a smaller "
            "learning rate"
        ),
        fooling=True,
    ),
    Alarm(
        "the discriminator is saturated",
        ("logit_real", "logit_completed"),
        (3,),
        lambda v: v["logit_real"] - v["logit_completed"] > 20,
        lambda v: f"its logits lie {v['logit_real'] - v['logit_completed']:.0f} apart, where its sigmoid is flat",
    ),
    Alarm(
        "C hardly learns from the discriminator",
        ("output_gradient_squared_error", "output_gradient_adversarial"),
        (3,),
        lambda v: v["output_gradient_adversarial"] < 0.01 * v["output_gradient_squared_error"],
        lambda v: (
            "its gradient at C's output is below a hundredth of the error's; hold the two at a ratio "
            "(config.adversarial_ratio), or raise config.alpha"
        ),
        fooling=True,
    ),
    Alarm(
        "the discriminator drowns the error",
        ("output_gradient_squared_error", "output_gradient_adversarial"),
        (3,),
        lambda v: v["output_gradient_adversarial"] > 2 * v["output_gradient_squared_error"],
        lambda v: (
            "its gradient at C's output is more than twice the error's; lower config.alpha, or hold the two at "
            "a ratio (config.adversarial_ratio)"
        ),
    ),
    Alarm(
        "completions are flat",
        ("hole_contrast",),
        (1, 2, 3),
        lambda v: v["hole_contrast"] < 0.1,
        lambda v: (
            f"inside holes their colours vary {v['hole_contrast']:.0%} as much as the photographs' do: C paints "
            "one colour; look at grids/, and at the learning rate"
        ),
    ),
    Alarm(
        "completions show a grid",
        ("hole_grid", "hole_detail"),
        (3,),
        lambda v: v["hole_grid"] > 0.2 and v["hole_detail"] > 0.02,
        lambda v: (
            f"{v['hole_grid']:.0%} of their fine detail repeats with C's upsampling, a pattern that a weak "
            "discriminator takes for texture; train it longer in stage 2, or lower config.adversarial_ratio"
        ),
        fooling=True,
    ),
    Alarm(
        "completions are clipped",
        ("hole_clipped",),
        (1, 2, 3),
        lambda v: v["hole_clipped"] > 0.3,
        lambda v: (
            f"{v['hole_clipped']:.0%} of their values are black or white: C's output function is saturated; try "
            "a smaller learning rate"
        ),
    ),
    Alarm(
        "completions have become worse",
        ("psnr_fall",),
        (1, 2, 3),
        lambda v: v["psnr_fall"] > 2,
        lambda v: f"in-hole PSNR is {v['psnr_fall']:.1f} dB below its best; an earlier checkpoint is better",
    ),
    Alarm(
        "the data cannot keep up",
        ("data_wait_share",),
        (1, 2, 3),
        lambda v: v["data_wait_share"] > 0.1,
        lambda v: f"{v['data_wait_share']:.0%} of the time is spent waiting for images; see glcic benchmark loader",
    ),
)


class Health:
    """Watches a run's readings in order. fooling: whether C is to fool D, as in the paper."""

    def __init__(self, fooling: bool = True) -> None:
        self._alarms = [alarm for alarm in ALARMS if fooling or not alarm.fooling]
        self._since: dict[str, list[int]] = {}  # bad readings in a row, by alarm
        self._best_psnr = float("-inf")

    def read(self, step: int, stage: int, values: Figures) -> list[str]:
        """Takes one reading; returns the alarms that it raises, each once until things have been well again."""
        if "hole_psnr" in values:
            self._best_psnr = max(self._best_psnr, values["hole_psnr"])
            values = values | {"psnr_fall": self._best_psnr - values["hole_psnr"]}
        raised = []
        for alarm in self._alarms:
            if stage not in alarm.stages or any(name not in values for name in alarm.needs):
                continue
            if not alarm.holds(values):
                self._since.pop(alarm.name, None)
                continue
            bad = self._since.setdefault(alarm.name, [])
            bad.append(step)
            if len(bad) == PATIENCE:
                raised.append(f"{alarm.name} since step {bad[0]}: {alarm.words(values)}")
        return raised

    def replay(self, metrics: Path) -> list[tuple[int, str]]:
        """Reads a run's metrics file; returns (step, alarm) as they were raised."""
        raised = []
        for record in read_metrics_file(metrics):
            if "stage" in record:
                step, stage = int(record["step"]), int(record["stage"])
                raised += [(step, alarm) for alarm in self.read(step, stage, record)]
        return raised
