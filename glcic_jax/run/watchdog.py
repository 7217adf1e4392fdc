"""Ends a process that makes no progress."""

import faulthandler
import threading
import time
from collections.abc import Callable
from typing import Self

from glcic_jax.exit_codes import ExitCode
from glcic_jax.run.processes import leave

_PAUSE_SECS = 1.0
_ASLEEP_SECS = 5.0
"""If the watchdog itself was not run for so much longer than it wanted, nobody was: the process was stopped."""


class IdleTime:
    """Seconds without progress, as far as the process could have made any. Pure but for the clock.

    Time in which the process was stopped (SIGSTOP, a suspended machine, a debugger) does not count.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        """clock: seconds, never going back."""
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """There was progress."""
        self._idle_secs, self._looked = 0.0, self._clock()

    def look(self, pause_secs: float) -> float:
        """The seconds so far; to be called again every `pause_secs`."""
        now = self._clock()
        passed, self._looked = now - self._looked, now
        self._idle_secs += passed if passed < pause_secs + _ASLEEP_SECS else pause_secs
        return self._idle_secs


class Watchdog:
    """Ends the process, with the stacks of all threads on standard error, if it is not reset for too long.

    A peer that is stuck but alive would otherwise hold all others for ever, inside a collective operation. A context
    manager.
    """

    def __init__(self, limit_secs: float):
        """limit_secs: from one `reset` to the next."""
        self._limit, self._idle, self._ended = limit_secs, IdleTime(), threading.Event()

    def reset(self) -> None:
        """The run is alive."""
        self._idle.reset()

    def _watch(self) -> None:
        pause = min(_PAUSE_SECS, self._limit / 4)
        while not self._ended.wait(pause):
            if self._idle.look(pause) > self._limit:
                faulthandler.dump_traceback(all_threads=True)
                leave(
                    f"train: no step was finished for {self._limit:.0f} s (config.watchdog_secs): this process or "
                    "another is stuck; start all again, they go on from the last checkpoint",
                    ExitCode.PEER_LOST,
                )

    def __enter__(self) -> Self:
        self.reset()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
