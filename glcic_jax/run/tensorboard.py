"""Summaries for TensorBoard, written at once: tensorboardX's own thread dies of a full disk, and blocks its caller."""

import time
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary


class TensorBoardFile:
    """A new file of summaries in a folder."""

    def __init__(self, folder: Path, start_step: int):
        """start_step: TensorBoard forgets what other files of the folder hold from there on."""
        folder.mkdir(exist_ok=True)
        self._writer = EventsWriter(str(folder / "events"), f".{time.time_ns()}")
        self._write(Event(step=start_step, session_log=SessionLog(status=SessionLog.START)))

    def add(self, step: int, *summaries: Summary) -> None:
        """Summaries, as `tensorboardX.summary` makes them. Raises: OSError."""
        for summary in summaries:
            self._write(Event(step=step, summary=summary))
        self._writer.flush()

    def close(self) -> None:
        """Raises: OSError."""
        self._writer.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._writer.write_event(event)
