"""How much memory and time a training step of each stage takes, and so how long the run will take to its end."""

import functools
import statistics
import time
from collections.abc import Iterator
from typing import Any

import jax
from jax.sharding import Mesh

from glcic_jax.data.batch import Batch
from glcic_jax.run.config import Config
from glcic_jax.run.loop import choose_step
from glcic_jax.run.schedule import Stage, stages
from glcic_jax.system.memory import host_memory
from glcic_jax.system.units import format_bytes, format_seconds
from glcic_jax.tools.doctor.checks import Check, Status
from glcic_jax.tools.doctor.machine import memory_limit
from glcic_jax.tools.synthetic import make_batch, make_state, needed_bytes
from glcic_jax.training.mesh import map_over_mesh, put_batch, put_replicated, replicated
from glcic_jax.training.specification import TrainingSpecification
from glcic_jax.training.state import TrainState

MEASURED_STEPS = 3
_ENOUGH_SECS = 60.0


def assess_stage(
    stage: Stage, step_secs: float, compile_secs: float, batch_size: int, *, done: int, loader_rate: float | None
) -> tuple[Check, float]:
    """What the measured step of a stage means, and how many seconds the rest of the stage takes.

    Args:
        stage: its first and last steps.
        step_secs: seconds of a step on the devices.
        compile_secs: seconds to compile it.
        batch_size: samples in a step.
        done: steps of the run that are done already.
        loader_rate: images per second; loading and computing overlap, so the slower one counts.

    """
    left = max(0, stage.stop - max(stage.start, done))
    loading = batch_size / loader_rate if loader_rate else 0.0
    remaining = left * max(step_secs, loading)
    result = (
        f"{format_seconds(step_secs)} a step, {batch_size / step_secs:,.1f} images/s, compiles in "
        f"{format_seconds(compile_secs)}; {left:,} steps: {format_seconds(remaining)}"
    )
    if loading <= step_secs:
        return Check(Status.OK, _title(stage), result), remaining
    result += f", since the loader makes only {loader_rate:,.0f} images/s"
    advice = "more CPU cores, or a smaller --max_short_side_px when preparing"
    return Check(Status.WARNING, _title(stage), result, advice), remaining


def _title(stage: Stage) -> str:
    return f"stage {stage.number}, {stage.name}"


class StepTimer:
    """Measures a few steps of every stage and estimates how long the rest will take."""

    def __init__(
        self,
        config: Config,
        spec: TrainingSpecification,
        shapes: TrainState,
        mesh: Mesh,
        *,
        done: int,
        loader_rate: float | None,
    ):
        """shapes: of the state; done: steps done already; loader_rate: images per second, if it could be measured."""
        self._config, self._spec, self._mesh = config, spec, mesh
        self._done, self._loader_rate = done, loader_rate
        self._shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicated(mesh)), shapes)
        self._state: TrainState | None = None
        self._remaining: list[float] = []
        self._free_bytes = 0

    def check(self) -> Iterator[Check]:
        """A line for every stage that has steps, and one for all."""
        config, device = self._config, self._mesh.devices.flat[0]
        if device.platform == "cpu":  # its devices share what is free before the first step
            self._free_bytes = host_memory()[1] // self._mesh.size
        else:
            self._free_bytes = memory_limit(device) or 0
        batch = put_batch(self._mesh, make_batch(config))
        plan = [stage for stage in stages(config) if stage.stop > stage.start]
        for stage in plan:
            yield self._check_stage(stage, batch)
        if len(self._remaining) == len(plan):
            rest = format_seconds(sum(self._remaining))
            yield Check(Status.OK, "time to the end", f"{rest}, without validation, checkpoints and restarts")

    def _check_stage(self, stage: Stage, batch: Batch) -> Check:
        step: Any = map_over_mesh(functools.partial(choose_step(stage, self._config), spec=self._spec), self._mesh)
        start = time.perf_counter()
        try:
            compiled = step.lower(self._shapes, batch).compile()
            compile_secs = time.perf_counter() - start
            needed = needed_bytes(compiled)
            if 0 < self._free_bytes <= needed:  # running it could take the whole machine down
                result = (
                    f"a step needs {format_bytes(needed)} of memory on each device, "
                    f"{format_bytes(self._free_bytes)} are there"
                )
                return Check(Status.PROBLEM, _title(stage), result, self._advise_less_memory())
            step_secs = self._measure(compiled, batch)
        except jax.errors.JaxRuntimeError as error:
            self._state = None  # donated to the step that failed
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            return Check(Status.PROBLEM, _title(stage), "out of memory", self._advise_less_memory())
        check, remaining = assess_stage(
            stage, step_secs, compile_secs, self._config.batch_size, done=self._done, loader_rate=self._loader_rate
        )
        self._remaining.append(remaining)
        return check

    def _measure(self, compiled: Any, batch: Batch) -> float:
        """Seconds of a step: the median of a few after the first, or the first alone if it takes very long."""
        if self._state is None:
            self._state = put_replicated(self._mesh, make_state(self._shapes))
        jax.block_until_ready(self._state)
        seconds: list[float] = []
        while len(seconds) <= MEASURED_STEPS and sum(seconds) < _ENOUGH_SECS:
            start = time.perf_counter()
            self._state, metrics = compiled(self._state, batch)
            jax.block_until_ready((self._state, metrics))
            seconds.append(time.perf_counter() - start)
        return statistics.median(seconds[1:] or seconds)

    def _advise_less_memory(self) -> str:
        halved = f"--config.microbatches={2 * self._config.microbatches}"
        return f"{halved}, --config.remat=True, --config.compute_dtype=bfloat16, a smaller batch, or more devices"
