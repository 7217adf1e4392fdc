"""TensorBoard's event files, written at once: of a full disk tensorboardX's own thread dies, and blocks its caller."""

import time
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary


class EventFile:
    """A new event file in a folder."""

    def __init__(self, folder: Path, start_step: int):
        """start_step: what other files of the folder hold from there on is forgotten by TensorBoard."""
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
