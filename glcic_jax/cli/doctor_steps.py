"""Training steps as `doctor` measures them: memory and time of each stage, and from it the time to the end."""

import functools
import statistics
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from glcic_jax.cli.doctor_machine import host_memory, memory_limit
from glcic_jax.cli.findings import Finding, Mark, duration, size
from glcic_jax.data.batch import Batch
from glcic_jax.data.holes import random_window
from glcic_jax.data.loader import stack
from glcic_jax.training.mesh import map_over_mesh, put_batch, put_replicated, replicated
from glcic_jax.training.setup import Config, Stage, hole_drawer, initial_state, stages
from glcic_jax.training.state import TrainState
from glcic_jax.training.step import Problem

STEPS = 3
_ENOUGH_SECS = 60.0


def state_shapes(config: Config, problem: Problem) -> TrainState:
    """Shapes and types of a run's state, without computing it."""
    return jax.eval_shape(lambda: initial_state(config, problem))


def state_bytes(shapes: TrainState) -> int:
    """Size of a state with those shapes."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))


def synthetic_batch(config: Config) -> Batch:
    """Noise with the recipe's holes, in the recipe's sizes."""
    rng = np.random.default_rng(0)
    draw_hole = hole_drawer(config)
    samples = []
    for _ in range(config.batch_size):
        mask, window = draw_hole(rng)
        image = rng.integers(0, 256, (config.crop_px, config.crop_px, 3), dtype=np.uint8)
        samples.append(Batch(image, mask, window, random_window(rng, config.crop_px, config.window_px)))
    return stack(samples)


def judged(
    stage: Stage, seconds: float, compiling: float, batch_size: int, *, done: int, loader_rate: float | None
) -> tuple[Finding, float]:
    """What a stage's measured step means, and the seconds that the rest of the stage takes.

    Args:
        stage: with its borders.
        seconds: of a step on the devices.
        compiling: seconds.
        batch_size: samples in a step.
        done: steps of the run that are behind.
        loader_rate: images per second; loading and computing go on side by side, so the slower one counts.

    """
    left = max(0, stage.stop - max(stage.start, done))
    loading = batch_size / loader_rate if loader_rate else 0.0
    remaining = left * max(seconds, loading)
    said = (
        f"{duration(seconds)} a step, {batch_size / seconds:,.1f} images/s, compiles in {duration(compiling)}; "
        f"{left:,} steps: {duration(remaining)}"
    )
    if loading <= seconds:
        return Finding(Mark.OK, _title(stage), said), remaining
    said += f", since the loader makes only {loader_rate:,.0f} images/s"
    hint = "more CPU cores, or a smaller --max_short_side_px when preparing"
    return Finding(Mark.WARNING, _title(stage), said, hint), remaining


def needed_bytes(compiled: Any) -> int:
    """Memory that a compiled function needs on each device, arguments included; 0 where the compiler does not tell."""
    analysis = compiled.memory_analysis()
    if analysis is None:
        return 0
    held = analysis.argument_size_in_bytes + analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    return held + analysis.temp_size_in_bytes


def _title(stage: Stage) -> str:
    return f"stage {stage.number}, {stage.name}"


def _some_state(shapes: TrainState) -> TrainState:
    """Small positive numbers: as fast to train from as initial values, whose computation would take long to compile."""
    rng = np.random.default_rng(0)

    def some(leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        whole = np.issubdtype(leaf.dtype, np.integer)
        return np.zeros(leaf.shape, leaf.dtype) if whole else rng.random(leaf.shape, np.float32).astype(leaf.dtype) / 50

    return jax.tree.map(some, shapes)


class Steps:
    """Measures a few steps of every stage, and says how long the rest will take."""

    def __init__(
        self,
        config: Config,
        problem: Problem,
        shapes: TrainState,
        mesh: Mesh,
        *,
        done: int,
        loader_rate: float | None,
    ):
        """shapes: of the state; done: steps behind; loader_rate: images per second, if it could be measured."""
        self._config, self._problem, self._mesh = config, problem, mesh
        self._done, self._loader_rate = done, loader_rate
        self._shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicated(mesh)), shapes)
        self._state: TrainState | None = None
        self._remaining: list[float] = []
        self._room = 0

    def check(self) -> Iterator[Finding]:
        """A line for every stage that has steps, and one for all."""
        config, device = self._config, self._mesh.devices.flat[0]
        # Of the CPU's devices each gets its part of what is there before the first step.
        self._room = host_memory()[1] // self._mesh.size if device.platform == "cpu" else memory_limit(device) or 0
        batch = put_batch(self._mesh, synthetic_batch(config))
        plan = [stage for stage in stages(config) if stage.stop > stage.start]
        for stage in plan:
            yield self._stage(stage, batch)
        if len(self._remaining) == len(plan):
            rest = duration(sum(self._remaining))
            yield Finding(Mark.OK, "time to the end", f"{rest}, without validation, checkpoints and restarts")

    def _stage(self, stage: Stage, batch: Batch) -> Finding:
        what = _title(stage)
        step: Any = map_over_mesh(functools.partial(stage.step, problem=self._problem), self._mesh)
        start = time.perf_counter()
        try:
            compiled = step.lower(self._shapes, batch).compile()
            compiling = time.perf_counter() - start
            needed = needed_bytes(compiled)
            if 0 < self._room <= needed:  # running it could take the whole machine down
                said = f"a step needs {size(needed)} of memory on each device, {size(self._room)} are there"
                return Finding(Mark.PROBLEM, what, said, self._less())
            seconds = self._measure(compiled, batch)
        except jax.errors.JaxRuntimeError as error:
            self._state = None  # donated to the step that failed
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            return Finding(Mark.PROBLEM, what, "out of memory", self._less())
        finding, remaining = judged(
            stage, seconds, compiling, self._config.batch_size, done=self._done, loader_rate=self._loader_rate
        )
        self._remaining.append(remaining)
        return finding

    def _measure(self, compiled: Any, batch: Batch) -> float:
        """Seconds a step: the median of a few after the first, or the first alone where it takes very long."""
        if self._state is None:
            self._state = put_replicated(self._mesh, _some_state(self._shapes))
        jax.block_until_ready(self._state)
        seconds: list[float] = []
        while len(seconds) <= STEPS and sum(seconds) < _ENOUGH_SECS:
            start = time.perf_counter()
            self._state, metrics = compiled(self._state, batch)
            jax.block_until_ready((self._state, metrics))
            seconds.append(time.perf_counter() - start)
        return statistics.median(seconds[1:] or seconds)

    def _less(self) -> str:
        halved = f"--config.microbatches={2 * self._config.microbatches}"
        return f"{halved}, --config.remat=True, --config.compute_dtype=bfloat16, a smaller batch, or more devices"
