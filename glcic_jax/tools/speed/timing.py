"""Rounds of steps, long enough to be timed."""

import time
from collections.abc import Callable

ROUND_SECS = 0.5
_MOST_STEPS = 1000


class Stopwatch:
    """Times rounds of one program's steps; what takes longer than a round is a round by itself."""

    def __init__(self, run: Callable[[int], None]):
        """run: does so many steps and waits for their end."""
        self._run, self._steps = run, 0

    def warm_up(self) -> None:
        """Compiles whatever compiles at first use, touches the memory, and sets the length of a round."""
        self._run(1)
        self._steps = max(1, min(_MOST_STEPS, round(ROUND_SECS / self._seconds(1))))

    def step_secs(self) -> float:
        """Of a step: the mean over one round."""
        if not self._steps:
            self.warm_up()
        return self._seconds(self._steps) / self._steps

    def _seconds(self, steps: int) -> float:
        begun = time.perf_counter()
        self._run(steps)
        return time.perf_counter() - begun
