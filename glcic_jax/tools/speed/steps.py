"""Our side of the benchmark of training: C's forward pass and the three stages' steps, compiled and run."""

import functools
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from glcic_jax.data.batch import Batch
from glcic_jax.models.completion import composite
from glcic_jax.models.costs import completion_cost, discriminator_cost, step_costs
from glcic_jax.run.config import Config
from glcic_jax.run.loop import choose_step
from glcic_jax.run.schedule import stages
from glcic_jax.run.setup import build_specification, initial_state
from glcic_jax.tools.speed.timing import Stopwatch
from glcic_jax.tools.synthetic import make_batch, needed_bytes, state_shapes
from glcic_jax.training.mesh import AXIS, map_over_mesh, put_batch, put_replicated, replicated
from glcic_jax.training.state import TrainState

FORWARD = "forward"
PARTS = (FORWARD, "1", "2", "3")
_MEAN_COLOR = (0.5, 0.5, 0.5)


class Program(NamedTuple):
    """A compiled part.

    compile_secs: from tracing to the end, with nothing found on disk.
    needed_bytes: of memory on each device, arguments included; 0 where the compiler does not tell.
    moved_bytes: read and written, as the compiler estimates; None where it does not.
    """

    run: Any
    compile_secs: float
    needed_bytes: int
    moved_bytes: float | None


class Steps:
    """The parts of a recipe's training on synthetic samples; nothing is allocated before `stopwatch`."""

    def __init__(self, config: Config, mesh: Mesh):
        """config: a recipe of the paper's networks."""
        self._config, self._mesh = config, mesh
        self._spec = build_specification(config, _MEAN_COLOR)
        self._programs: dict[str, Program] = {}
        self._state: TrainState | None = None

    def operations(self, part: str) -> int:
        """Of one of PARTS for an image."""
        crop, window = self._config.crop_px, self._config.window_px
        completion = completion_cost(self._spec.completion, crop)
        return step_costs(completion, discriminator_cost(self._spec.discriminator, crop, window))[PARTS.index(part)]

    def trace(self, part: str) -> Any:
        """One of PARTS as JAX sees it, from shapes alone."""
        state, batch = self._shapes()
        if part == FORWARD:
            return jax.jit(self._completed).trace(state.completion.variables, batch)
        stage = stages(self._config)[int(part) - 1]
        step: Any = map_over_mesh(functools.partial(choose_step(stage, self._config), spec=self._spec), self._mesh)
        return step.trace(state, batch)

    def compile(self, part: str) -> Program:
        """Compiles one of PARTS, from shapes alone."""
        begun = time.perf_counter()
        compiled = self.trace(part).lower().compile()
        seconds = time.perf_counter() - begun
        moved = (compiled.cost_analysis() or {}).get("bytes accessed")
        self._programs[part] = Program(compiled, seconds, needed_bytes(compiled), moved)
        return self._programs[part]

    def stopwatch(self, part: str) -> Stopwatch:
        """Times a part that has been compiled; the state goes on from step to step, whatever the parts."""
        if self._state is None:
            self._state = put_replicated(self._mesh, initial_state(self._config, self._spec))
            self._batch = put_batch(self._mesh, make_batch(self._config))
            jax.block_until_ready((self._state, self._batch))
        return Stopwatch(functools.partial(self._run, part))

    def _run(self, part: str, steps: int) -> None:
        run = self._programs[part].run
        assert self._state is not None
        for _ in range(steps):
            if part == FORWARD:
                result = run(self._state.completion.variables, self._batch)
            else:
                self._state, result = run(self._state, self._batch)
        jax.block_until_ready((self._state, result))

    def _completed(self, variables: Any, batch: Batch) -> jax.Array:
        """Photographs with their holes painted, normalised by the running statistics."""
        image = batch.image.astype(jnp.float32) / 255
        output: Any = self._spec.completion.apply(variables, image, batch.mask)
        return composite(output, image, batch.mask)

    def _shapes(self) -> tuple[TrainState, Batch]:
        """The state's and the batch's shapes, types and places."""
        split, whole = NamedSharding(self._mesh, PartitionSpec(AXIS)), replicated(self._mesh)

        def placed(tree: Any, sharding: NamedSharding) -> Any:
            return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)

        state = placed(state_shapes(self._config, self._spec), whole)
        return state, placed(make_batch(self._config), split)
