"""Progress bars with rate and time left; plain lines now and then where nobody watches."""

import time
from collections.abc import Callable
from typing import Self

import rich.progress
from rich.console import Console

_LINE_EVERY_SECS = 60.0


class Bars:
    """Bars below each other; a context manager."""

    def __init__(self, console: Console, unit: str):
        """unit: what is counted, such as "files"."""
        self._console, self._unit = console, unit
        self._progress = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.TaskProgressColumn(),
            rich.progress.TextColumn("{task.fields[counted]}"),
            rich.progress.TimeElapsedColumn(),
            rich.progress.TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    def bar(self, title: str) -> Callable[[float, int], None]:
        """A bar that shows once it is called: with the share done, in [0, 1], and the units since the last call."""
        start = said = time.perf_counter()
        task: rich.progress.TaskID | None = None
        count, furthest = 0, 0.0

        def update(share: float, units: int) -> None:
            nonlocal start, said, task, count, furthest
            now = time.perf_counter()
            if task is None:
                start = said = now
                task = self._progress.add_task(title, total=None, counted="")
            count, furthest = count + units, max(furthest, share)
            counted = f"{count:,} {self._unit}"
            if now > start:
                counted += f", {count / (now - start):,.0f}/s"
            # Of a stream nobody knows the length: the bar only shows that something happens.
            self._progress.update(task, completed=furthest, total=1.0 if furthest else None, counted=counted)
            if not self._console.is_terminal and now - said > _LINE_EVERY_SECS:
                said = now
                self._console.print(f"{title}: {furthest:.0%}, {counted}", highlight=False, soft_wrap=True)

        return update

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()
