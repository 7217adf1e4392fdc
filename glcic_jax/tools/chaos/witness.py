"""Looks on while a run is disturbed: what it says that it saved has to be there, and no start may fall behind it."""

import threading
from pathlib import Path

from glcic_jax.run.checkpoint_folder import list_steps
from glcic_jax.run.events import EventTail
from glcic_jax.run.signature import Damaged, is_signed, verify_signature

_LOOK_EVERY_SECS = 0.05


class Witness:
    """Compares a run's events with its checkpoints, again and again; a context manager.

    problems: what was not as it was said. saved: how many saves it has seen. starts: at which steps the run began.
    """

    def __init__(self, events: Path, checkpoints: Path):
        """events: the file that the run writes (`run.events`); checkpoints: their folder."""
        self.problems: list[str] = []
        self.saved, self.starts = 0, list[int]()
        self._events, self._checkpoints = EventTail(events), checkpoints
        self._newest = self._expected = 0  # saved as the run said; intact before the last start
        self._lock, self._ended = threading.Lock(), threading.Event()

    def look(self) -> None:
        """Looks at what has happened since the last time."""
        with self._lock:
            for event in self._events.read():
                if event["event"] == "saved":
                    self.saved, self._newest = self.saved + 1, max(self._newest, event["step"])
                elif event["event"] == "continued":
                    self.starts.append(event["step"])
                    if event["step"] < self._expected:
                        self.problems.append(
                            f"a start went on from step {event['step']}, although step {self._expected} was intact"
                        )
            if self._newest and max(self._signed(), default=0) < self._newest:
                self.problems.append(f"step {self._newest} was said to be saved, and no signed checkpoint is there")
                self._newest = 0

    def expect_start(self) -> None:
        """Before a start: it must not go on from an older step than the newest that is intact now."""
        self.look()
        with self._lock:
            self._newest = self._expected = self._newest_intact()

    def excuse_damage(self) -> None:
        """After a checkpoint was damaged on purpose."""
        with self._lock:
            self._newest = self._newest_intact()

    def _signed(self) -> list[int]:
        """Steps whose checkpoints are signed; of one that is just taken away, the newer one is there."""
        return [step for step in list_steps(self._checkpoints) if is_signed(self._checkpoints / str(step))]

    def _newest_intact(self) -> int:
        for step in reversed(list_steps(self._checkpoints)):
            try:
                if verify_signature(self._checkpoints / str(step)):
                    return step
            except Damaged:
                continue
        return 0

    def __enter__(self) -> "Witness":
        threading.Thread(target=self._watch, name="witness", daemon=True).start()
        return self

    def _watch(self) -> None:
        while not self._ended.wait(_LOOK_EVERY_SECS):
            self.look()

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
