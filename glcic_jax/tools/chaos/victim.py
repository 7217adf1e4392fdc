"""`train` as chaos runs it: what fails in Python fails as the shared page says (`page.py`).

python -m glcic_jax.tools.chaos.victim train ...
"""

import functools
import runpy
import time
from typing import Any

from glcic_jax.run import session
from glcic_jax.run.checkpoint import Checkpoints
from glcic_jax.tools.chaos.page import Cell, Page


def disturb(page: Page) -> None:
    """Puts what the page says before the functions that it is about."""
    hand_over, export, clock = Checkpoints._hand_over, session.export_model, time.time

    @functools.wraps(hand_over)
    def hand_over_or_fail(self: Checkpoints, *arguments: Any) -> None:
        if page[Cell.MEMORY_ERRORS] > 0:
            page[Cell.MEMORY_ERRORS] -= 1
            raise MemoryError("no memory, says chaos")
        hand_over(self, *arguments)

    @functools.wraps(export)
    def export_slowly(*arguments: Any) -> None:
        if secs := page.take(Cell.EXPORT_SECS):
            page[Cell.SLOW_EXPORTS] += 1
            time.sleep(secs)
        export(*arguments)

    for owner, name, replacement in (
        (Checkpoints, "_hand_over", hand_over_or_fail),
        (session, "export_model", export_slowly),
        (time, "time", lambda: clock() + page[Cell.CLOCK_SECS]),
    ):
        setattr(owner, name, replacement)


if __name__ == "__main__":
    disturb(Page.of_environment())
    runpy.run_module("glcic_jax", run_name="__main__", alter_sys=True)
