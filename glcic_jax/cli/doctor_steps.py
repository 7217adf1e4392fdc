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
        what = f"stage {stage.number}, {stage.name}"
        step: Any = map_over_mesh(functools.partial(stage.step, problem=self._problem), self._mesh)
        start = time.perf_counter()
        try:
            compiled = step.lower(self._shapes, batch).compile()
            compiling = time.perf_counter() - start
            if too_much := self._memory(compiled):
                return Finding(Mark.PROBLEM, what, *too_much)
            seconds = self._measure(compiled, batch)
        except jax.errors.JaxRuntimeError as error:
            self._state = None  # donated to the step that failed
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            return Finding(Mark.PROBLEM, what, "out of memory", self._less())
        return self._judged(stage, what, seconds, compiling)

    def _judged(self, stage: Stage, what: str, seconds: float, compiling: float) -> Finding:
        batch_size, left = self._config.batch_size, max(0, stage.stop - max(stage.start, self._done))
        loading = batch_size / self._loader_rate if self._loader_rate else 0.0
        self._remaining.append(left * max(seconds, loading))
        said = (
            f"{duration(seconds)} a step, {batch_size / seconds:,.1f} images/s, compiles in {duration(compiling)}; "
            f"{left:,} steps: {duration(self._remaining[-1])}"
        )
        if loading > seconds:
            return Finding(
                Mark.WARNING, what, f"{said}, for the loader makes only {self._loader_rate:,.0f} images/s",
                "more CPU cores, or a smaller --max_short_side_px when preparing",
            )  # fmt: skip
        return Finding(Mark.OK, what, said)

    def _memory(self, compiled: Any) -> tuple[str, str] | None:
        """What is said if the compiled step will not find room; running it could take the whole machine down."""
        analysis = compiled.memory_analysis()
        if analysis is None:
            return None
        needed = (
            analysis.argument_size_in_bytes
            + analysis.output_size_in_bytes
            - analysis.alias_size_in_bytes
            + analysis.temp_size_in_bytes
        )
        if not self._room or needed < self._room:
            return None
        return f"a step needs {size(needed)} of memory on each device, {size(self._room)} are there", self._less()

    def _measure(self, compiled: Any, batch: Batch) -> float:
        """Seconds a step: the median of a few after the first, or the first alone where it takes very long."""
        if self._state is None:
            self._state = put_replicated(self._mesh, initial_state(self._config, self._problem))
        jax.block_until_ready(self._state)
        seconds: list[float] = []
        while len(seconds) <= STEPS and sum(seconds) < _ENOUGH_SECS:
            start = time.perf_counter()
            self._state, metrics = compiled(self._state, batch)
            jax.block_until_ready((self._state, metrics))
            seconds.append(time.perf_counter() - start)
        return statistics.median(seconds[1:] or seconds)

    def _less(self) -> str:
        smaller = max(self._mesh.size, self._config.batch_size // 2 // self._mesh.size * self._mesh.size)
        return f"--config.batch_size={smaller}, --config.compute_dtype=bfloat16, or more devices"
