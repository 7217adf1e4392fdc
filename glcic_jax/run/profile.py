"""A profile of a few steps, for TensorBoard's profile tab."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Self

import jax


class Profile:
    """Traces steps `first` ... `stop` - 1 of the run into `folder`/plugins/profile; a context manager."""

    def __init__(self, steps: tuple[int, int], folder: Path, say: Callable[[str], None]):
        """steps: (first, stop), counted over all stages; (0, 0) is none."""
        (self._first, self._stop), self._folder, self._say = steps, folder, say
        self._tracing = False

    def step(self, number: int, results: object) -> contextlib.AbstractContextManager[object]:
        """Enter this around the call of a step; `results` of the step before are waited for at both ends."""
        if self._tracing and number >= self._stop:
            self._end(results)
        elif not self._tracing and self._first <= number < self._stop:
            jax.block_until_ready(results)
            jax.profiler.start_trace(str(self._folder))
            self._tracing = True
        return jax.profiler.StepTraceAnnotation("train", step_num=number) if self._tracing else contextlib.nullcontext()

    def _end(self, results: object) -> None:
        jax.block_until_ready(results)
        jax.profiler.stop_trace()
        self._tracing = False
        self._say(
            f"a profile from step {self._first} on is in {self._folder}; to look at it: pip install xprof tensorboard, "
            f"tensorboard --logdir={self._folder}"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._tracing:  # the run ends before the last of these steps
            self._end(None)
