"""WORKDIR/events.jsonl: what happened to a run, one JSON object a line, for programs; what it prints is for people.

Every line has "event" and "time" (seconds since 1970). Lines are only ever added, by the first process; each start of
the run adds its own. The file may be a link to another place.

| event | further keys |
|---|---|
| started | process_count, device_count |
| continued | step: of the checkpoint that it goes on from; 0 for a fresh start |
| damaged | step, why, moved_to: a checkpoint that was set aside |
| logged | step: the figures of this step are in metrics.jsonl |
| saving | step: a checkpoint is being written |
| saved | step: the checkpoint is whole, and its checksums are beside it |
| save_failed | step, why |
| validating | step: a validation has begun |
| exported | step: the model was written |
| stopped | step: as asked; that step is saved |
| finished | step: the last one |
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

EVENTS = "events.jsonl"

Event: TypeAlias = Mapping[str, Any]


class EventLog:
    """Writes events; may be used by several threads."""

    def __init__(self, path: Path | None, say: Callable[[str], None] = lambda text: None):
        """path: the file, or None to write nothing; say: told once if it cannot be written."""
        self._path, self._say = path, say
        self._lock = threading.Lock()
        self._failing = False

    def record(self, event: str, **details: str | int) -> None:
        """Adds a line. An event that cannot be written is lost, which stops no run."""
        if self._path is None:
            return
        line = json.dumps({"event": event, "time": round(time.time(), 3), **details}) + "\n"
        with self._lock:
            try:
                with self._path.open("ab+") as file:  # opened anew: the handle of a file server may be stale
                    file.write(b"\n" * _ends_within_a_line(file) + line.encode())
                self._failing = False
            except OSError as error:
                if not self._failing:
                    self._say(f"{self._path} cannot be written ({error}); the run goes on without it")
                self._failing = True


def _ends_within_a_line(file: BinaryIO) -> bool:
    """Whether a kill or a full disk has cut the last line off."""
    if not file.seek(0, os.SEEK_END):
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"


def read_events(path: Path) -> Iterator[Event]:
    """The events of a file so far; a line that is not whole yet is left out."""
    return iter(EventTail(path).read())


class EventTail:
    """Reads a file of events as it grows."""

    def __init__(self, path: Path, *, skip: bool = False):
        """skip: leave out what is there already."""
        self._path, self._place = path, 0
        if skip and path.is_file():
            self._place = path.stat().st_size

    def read(self) -> list[Event]:
        """The events since the last call; a line that is not whole yet is left for the next one."""
        if not self._path.is_file():
            return []
        with self._path.open("rb") as file:
            file.seek(self._place)
            lines = file.read().splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            lines.pop()
        self._place += sum(map(len, lines))
        return [event for line in lines if (event := _parse(line)) is not None]


def _parse(line: bytes) -> Event | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None
