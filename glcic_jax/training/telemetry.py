"""What a run tells: scalars to TensorBoard and a JSONL file, picture grids as PNG files and to TensorBoard."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
from tensorboardX import summary

from glcic_jax.atomic import atomic_file
from glcic_jax.data.images import write_image
from glcic_jax.training.events import EventFile

METRICS = "metrics.jsonl"


class Telemetry:
    """Writers below a run's folder; a context manager.

    A disk that is full stops no run: what could not be written is told once, and missing later.
    """

    def __init__(self, workdir: Path, start_step: int, say: Callable[[str], None]):
        """Continues after `start_step`; what an interrupted run wrote beyond it will be written again."""
        self._grids = workdir / "grids"
        self._grids.mkdir(exist_ok=True)
        metrics = workdir / METRICS
        _forget_after(metrics, start_step)
        self._metrics = metrics.open("a")
        self._events = EventFile(workdir / "tensorboard", start_step + 1)
        self._say, self._failing = say, False

    def scalars(self, step: int, stage: int, values: dict[str, float]) -> None:
        """One line of the JSONL file: {"step", "stage", "time", and the values}."""
        with self._told(step):
            self._line({"step": step, "stage": stage, "time": round(time.time(), 3), **values})
            self._events.add(step, *(summary.scalar(name, value) for name, value in values.items()))

    def text(self, step: int, name: str, value: str) -> None:
        """Something that is no number, on a line of its own."""
        with self._told(step):
            self._line({"step": step, name: value})
            self._events.add(step, summary.text(name, value))

    def grid(self, step: int, image: np.ndarray) -> None:
        """A picture: uint8 (H, W, 3)."""
        with self._told(step):
            write_image(self._grids / f"{step:08d}.png", image)
            self._events.add(step, summary.image("grid", image, dataformats="HWC"))

    def _line(self, values: dict[str, Any]) -> None:
        self._metrics.write(json.dumps(values) + "\n")
        self._metrics.flush()

    @contextlib.contextmanager
    def _told(self, step: int) -> Iterator[None]:
        try:
            yield
            self._failing = False
        except OSError as error:
            if not self._failing:
                self._say(f"step {step}: figures and pictures cannot be written ({error}); the run goes on without")
            self._failing = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for close in (self._metrics.close, self._events.close):
            with contextlib.suppress(OSError):  # told already
                close()


class NoTelemetry:
    """For all processes but the first: takes everything and writes nothing."""

    def scalars(self, step: int, stage: int, values: dict[str, float]) -> None:
        """As `Telemetry`."""

    def text(self, step: int, name: str, value: str) -> None:
        """As `Telemetry`."""

    def grid(self, step: int, image: np.ndarray) -> None:
        """As `Telemetry`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass


class Meter:
    """Images per second, and the share of time spent waiting for data, since the last reading."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Starts an interval: after a compilation, a validation, a reading."""
        self._start, self._waited, self._images = time.perf_counter(), 0.0, 0

    def count(self, images: int, waited_secs: float) -> None:
        """One step done."""
        self._images += images
        self._waited += waited_secs

    def read(self) -> dict[str, float]:
        """The interval's figures; none if nothing was counted in it."""
        if not self._images:
            return {}
        elapsed = time.perf_counter() - self._start
        return {"images_per_second": self._images / elapsed, "data_wait_share": self._waited / elapsed}


def has_scores(workdir: Path, step: int) -> bool:
    """Whether the validation at `step` has been written down."""
    with (workdir / METRICS).open() as lines:
        return any(f'{{"step": {step}, ' in line and '"hole_psnr"' in line for line in lines)


def _forget_after(metrics: Path, step: int) -> None:
    if not metrics.exists():
        return
    kept = []
    for line in metrics.read_text().splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except ValueError:  # cut off in the middle by a kill
            continue
    with atomic_file(metrics) as partial:
        partial.write_text("".join(line + "\n" for line in kept))
