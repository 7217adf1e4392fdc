"""SIGINT and SIGTERM ask a run to stop once its step is done; a second Ctrl-C leaves at once."""

import signal
from types import FrameType
from typing import Self

from rich.console import Console

from glcic_jax.exit_codes import ExitCode
from glcic_jax.run.processes import leave


class StopOnSignal:
    """Sets `asked` at the first SIGINT or SIGTERM; a context manager that puts the old handlers back."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._handle) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, _leave)


def _leave(number: int, frame: FrameType | None) -> None:
    Console().show_cursor()
    leave("train: error: interrupted; whatever was not saved is lost", ExitCode.INTERRUPTED)
