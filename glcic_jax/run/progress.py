"""What a run shows: a live line on a terminal, plain lines in a log."""

import time
from collections.abc import Callable, Mapping
from typing import Self

import jax
import rich.progress
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from glcic_jax.run.schedule import Stage

_SHORT = {
    "completion_loss": "C error",
    "adversarial_loss": "C adversarial",
    "discriminator_loss": "D",
    "accuracy_real": "D right on real",
    "accuracy_completed": "D right on completed",
    "images_per_second": "images/s",
    "data_wait_share": "waiting for data",
}


class Progress:
    """Live lines with stage, step, time left, losses and rate; lines of text above them. A context manager."""

    def __init__(self, console: Console):
        """console: where to write."""
        self._console = console
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(bar_width=20),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TimeRemainingColumn(),
        )
        self._figures = Text()
        self._live = Live(Group(self._bar, self._figures), console=console)
        self._task: rich.progress.TaskID | None = None
        self._stage: Stage | None = None

    def say(self, text: str) -> None:
        """A line of its own."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def start_stage(self, stage: Stage, first: int) -> None:
        """A stage begins, or continues after `first` steps of the run."""
        self._stage = stage
        if self._task is not None:
            self._bar.remove_task(self._task)
        self.say(f"stage {stage.number} ({stage.name}): steps {first} to {stage.stop}; the first one compiles")
        self._task = self._bar.add_task(
            f"stage {stage.number} {stage.name}", total=stage.stop - stage.start, completed=first - stage.start
        )

    def advance(self, done: int) -> None:
        """`done` steps of the run are done."""
        if self._task is not None and self._stage is not None:
            self._bar.update(self._task, completed=done - self._stage.start)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """The figures of an interval."""
        figures = ", ".join(f"{short} {values[name]:.4g}" for name, short in _SHORT.items() if name in values)
        self._figures.plain = figures
        if not self._console.is_terminal:
            self.say(f"step {step}: {figures}")

    def log_validation(self, step: int, scores: Mapping[str, float]) -> None:
        """The scores on the validation samples."""
        self.say(f"step {step}: validation in-hole L1 {scores['hole_l1']:.4f}, PSNR {scores['hole_psnr']:.2f} dB")

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()


class FirstStep:
    """Says how long a run took to its first step, and how much of that was compiling it; nothing for later steps."""

    def __init__(self, say: Callable[[str], None]):
        self._say, self._start, self._dispatched, self._done = say, time.perf_counter(), 0.0, False

    def begin(self) -> None:
        """A step is about to be dispatched."""
        if not self._done:
            self._dispatched = time.perf_counter()

    def end(self, metrics: Mapping[str, jax.Array]) -> None:
        """It was dispatched; waits for the first one."""
        if self._done:
            return
        jax.block_until_ready(metrics)
        now = time.perf_counter()
        compiling = now - self._dispatched
        self._say(f"first step after {now - self._start:.1f} s, of which {compiling:.1f} s to compile and run it")
        self._done = True
