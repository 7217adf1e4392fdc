"""Figures and pictures of a run: scalars to TensorBoard and a JSONL file, picture grids as PNG files."""

import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from tensorboardX import summary
from tensorboardX.proto.summary_pb2 import Summary

from glcic_jax.data.images import write_image
from glcic_jax.run.metrics_file import METRICS, forget_after
from glcic_jax.run.tensorboard import TensorBoardFile


class Telemetry:
    """Writers below a run's folder; a context manager.

    What cannot be written, on a full disk, say, stops no run: it is missing later, and the first time it is said.
    """

    def __init__(self, workdir: Path, start_step: int, say: Callable[[str], None], *, writes: bool = True):
        """Continues after `start_step`; what an interrupted run wrote beyond it will be written again.

        say: also told alarms and damaged records. writes: False for all processes but the first.
        """
        self._workdir, self._start_step, self._say, self._writes = workdir, start_step, say, writes
        self._board: TensorBoardFile | None = None
        self._failing, self._damaged = False, 0
        if writes:
            (workdir / "grids").mkdir(exist_ok=True)
            forget_after(workdir / METRICS, start_step)

    def scalars(self, step: int, stage: int, values: Mapping[str, float]) -> None:
        """One line of the JSONL file: {"step", "stage", "time", and the values}."""
        line = {"step": step, "stage": stage, "time": round(time.time(), 3), **values}
        self._write(step, line, *(summary.scalar(name, value) for name, value in values.items()))

    def grid(self, step: int, image: np.ndarray) -> None:
        """A picture: uint8 (H, W, 3)."""
        self._write(step, None, summary.image("grid", image, dataformats="HWC"), picture=image)

    def log_alarms(self, step: int, alarms: Sequence[str]) -> None:
        """What goes wrong by the figures, each alarm on a line of its own."""
        for alarm in alarms:
            self._say(f"step {step}: ALARM: {alarm}")
            self._write(step, {"step": step, "alarm": alarm}, summary.text("alarm", alarm))

    def log_damaged(self, step: int, reasons: Sequence[str]) -> dict[str, float]:
        """Names the records that have turned out to be damaged since the last call; returns their number as a metric.

        reasons: of all so far.
        """
        for reason in reasons[self._damaged :]:
            self._say(f"step {step}: {reason}; the next one takes its place")
            self._write(step, {"step": step, "damaged_record": reason}, summary.text("damaged_record", reason))
        self._damaged = len(reasons)
        return {"damaged_records": float(len(reasons))}

    def _write(
        self,
        step: int,
        line: Mapping[str, float | str] | None,
        *summaries: Summary,
        picture: np.ndarray | None = None,
    ) -> None:
        """A line of the metrics file, a picture, and summaries for TensorBoard."""
        if not self._writes:
            return
        try:
            if line is not None:
                # Opened anew each time, since a file server forgets files; after a failure, behind half a line.
                with (self._workdir / METRICS).open("a") as file:
                    file.write("\n" * self._failing + json.dumps(line) + "\n")
            if picture is not None:
                write_image(self._workdir / "grids" / f"{step:08d}.png", picture)
            if self._board is None:
                self._board = TensorBoardFile(self._workdir / "tensorboard", self._start_step + 1)
            self._board.add(step, *summaries)
            self._failing = False
        except OSError as error:
            if not self._failing:
                self._say(f"step {step}: figures and pictures cannot be written ({error}); the run goes on without")
            self._failing = True
            self._close()

    def _close(self) -> None:
        if self._board is not None:
            with contextlib.suppress(OSError):  # told already
                self._board.close()
            self._board = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._close()
