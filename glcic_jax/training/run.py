"""What a run holds open, and what it does beside its steps: saving, telling, refusing what is not finite."""

import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from glcic_jax.data.reading import Reader
from glcic_jax.errors import UserError
from glcic_jax.training.checkpoint import Checkpoints, steps_in
from glcic_jax.training.export import versions
from glcic_jax.training.health import Health
from glcic_jax.training.processes import Watchdog, as_first_says
from glcic_jax.training.profile import Profile
from glcic_jax.training.progress import Progress
from glcic_jax.training.resume import about_run
from glcic_jax.training.setup import Config, Stage
from glcic_jax.training.state import TrainState
from glcic_jax.training.step import Problem
from glcic_jax.training.telemetry import NoTelemetry, Telemetry, has_scores
from glcic_jax.training.validation import Validation


@dataclasses.dataclass
class Run:
    """What one call of `train` holds open."""

    config: Config
    workdir: Path
    mesh: Mesh
    problem: Problem
    manifest: dict[str, Any]
    reader: Reader
    validation: Validation | None
    checkpoints: Checkpoints
    telemetry: Telemetry | NoTelemetry
    progress: Progress
    should_stop: Callable[[int], bool]
    watchdog: Watchdog
    health: Health
    profile: Profile
    began: float | None
    damaged_told: int = 0

    def owes_validation(self, step: int, stage_end: bool) -> bool:
        """Whether the run was stopped at `step` before a validation that is due there."""
        due = stage_end or step % self.config.validate_every_steps == 0
        return due and not as_first_says(has_scores(self.workdir, step))

    def stops_alone(self, step: int) -> bool:
        """Whether it is to stop, asked where several processes could not agree upon it."""
        return jax.process_count() == 1 and self.should_stop(step)

    def still_alive(self, step: int) -> bool:
        """Tells the watchdog that something long goes on; returns whether it is to go on."""
        self.watchdog.pat()
        return not self.should_stop(step)

    def tell_damaged(self, step: int) -> dict[str, float]:
        """Names the records that have turned out to be damaged; returns their number as a metric."""
        damaged = self.reader.damaged()
        for reason in damaged[self.damaged_told :]:
            self.progress.say(f"step {step}: {reason}; the next one takes its place")
            self.telemetry.text(step, "damaged_record", reason)
        self.damaged_told = len(damaged)
        return {"damaged_records": float(len(damaged))}

    def tell_first_step(self, metrics: dict[str, jax.Array], dispatched: float) -> None:
        """Waits for the first step of this call of `train`, and says how long it took; nothing for later ones."""
        if self.began is None:
            return
        jax.block_until_ready(metrics)
        now = time.perf_counter()
        compiling = now - dispatched
        self.progress.say(f"first step after {now - self.began:.1f} s, of them {compiling:.1f} s to compile and run it")
        self.began = None

    def tell_alarms(self, step: int, stage: Stage, values: dict[str, float]) -> None:
        """Says what goes wrong, if these figures show it."""
        for alarm in self.health.read(step, stage.number, values):
            self.progress.say(f"step {step}: ALARM: {alarm}")
            self.telemetry.text(step, "alarm", alarm)

    def save(self, step: int, state: TrainState) -> None:
        """Saves a checkpoint with what it was made from, in the background."""
        self.checkpoints.wait()
        if failure := self.checkpoints.failure():
            self.progress.say(f"step {step}: the last checkpoint could not be saved ({failure})")
        about = about_run(self.config, self.manifest, self.problem.completion.mean_color)
        self.checkpoints.save(step, state, about | {"versions": versions()})

    def save_again_if_failed(self, step: int, state: TrainState) -> None:
        """Says so if the last save came to nothing, and tries anew."""
        if failure := self.checkpoints.failure():
            self.progress.say(f"step {step}: the last checkpoint could not be saved ({failure}); trying again")
            self.save(step, state)

    def save_for_sure(self, step: int, state: TrainState) -> None:
        """Saves, and waits until it is on the disk. Raises: UserError if it cannot be."""
        for _ in range(2):
            self.save(step, state)
            self.checkpoints.wait()
            failure = self.checkpoints.failure()
            if not failure:
                return
        kept = steps_in(self.checkpoints.folder)
        raise UserError(
            f"the checkpoint of step {step} cannot be saved in {self.checkpoints.folder} ({failure}); make room and "
            f"run the same command again: it goes on from {f'step {kept[-1]}' if kept else 'the start'}"
        )


def read_metrics(metrics: dict[str, jax.Array], step: int, stage: Stage, checkpoints: Path) -> dict[str, float]:
    """The figures of a step. Raises: FloatingPointError if one is not finite."""
    values = {name: float(value) for name, value in jax.device_get(metrics).items()}
    for name, value in values.items():
        if not math.isfinite(value):
            raise FloatingPointError(_not_finite(name, step, stage, checkpoints))
    return values


def require_finite(state: TrainState, step: int, stage: Stage, checkpoints: Path) -> None:
    """Raises FloatingPointError naming the network that has a parameter or a statistic that is not finite."""
    for network, finite in _finite(state).items():
        if not finite:
            raise FloatingPointError(_not_finite(f"a parameter of the {network} network", step, stage, checkpoints))


def _not_finite(name: str, step: int, stage: Stage, checkpoints: Path) -> str:
    steps = steps_in(checkpoints)
    last = f"the last good checkpoint is of step {steps[-1]}" if steps else "there is no checkpoint yet"
    return (
        f"{name} is not finite at step {step} (stage {stage.number}, {stage.name}); {last}; try a smaller learning "
        "rate, or float32 if this was bfloat16"
    )


@jax.jit
def _finite(state: TrainState) -> dict[str, jax.Array]:
    return {
        name: jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(network.variables)]))
        for name, network in (("completion", state.completion), ("discriminator", state.discriminator))
    }
