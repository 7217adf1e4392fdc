"""One attempt at a training run: its processes from their start to their end, seen through the events they write."""

import dataclasses
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from glcic_jax.run.events import Event, EventTail
from glcic_jax.tools.local_processes import shell_code


@dataclasses.dataclass
class Hit:
    """What was done to a run, and what became of it."""

    fault: str
    step: int
    """The last one that the run had reported."""
    codes: list[int]
    """Exit codes of the processes, 128 + number for a signal; empty if they went on."""
    leave_secs: float
    """From the hit to the end of the last process that could leave."""
    problem: str = ""
    steps_lost: int = 0
    back_secs: float = 0.0
    """From the next start to its first step."""

    def __str__(self) -> str:
        if not self.codes:
            return f"step {self.step}: {self.fault}: went on"
        return (
            f"step {self.step}: {self.fault}: left after {self.leave_secs:.1f} s ({', '.join(map(str, self.codes))}); "
            f"back after {self.back_secs:.1f} s, {self.steps_lost} steps lost"
        )


class Attempt:
    """The processes of a run; what they print goes to a log, for people."""

    def __init__(self, commands: Sequence[Sequence[str]], variables: dict[str, str], *, log: Path, events: Path):
        """Starts them. log: is added to; events: what the run writes (`run.events`)."""
        self.log, self._tail, self._events = log, EventTail(events, skip=True), list[Event]()
        self.processes = [
            subprocess.Popen(
                command, env=variables, text=True, errors="replace", start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )
            for command in commands
        ]  # fmt: skip
        for number, process in enumerate(self.processes):
            threading.Thread(target=self._read, args=(number, process), daemon=True).start()

    def _read(self, number: int, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with self.log.open("a") as log, process.stdout:
            for line in process.stdout:
                print(f"[{number}] {line.rstrip()}", file=log, flush=True)

    def steps_of(self, event: str) -> list[int]:
        """The steps at which this attempt has recorded an event so far."""
        self._events += self._tail.read()
        return [one["step"] for one in self._events if one["event"] == event]

    def first_step(self) -> int:
        """The first step of this attempt; 0 if there was none."""
        return next(iter(self.steps_of("logged")), 0)

    def last_step(self) -> int:
        """The last step so far; 0 if there was none."""
        return max(self.steps_of("logged"), default=0)

    def wait_for_step(self, step: int) -> int:
        """Waits until this attempt has done a step and `step` is done, or for the end; returns the last step so far."""
        while (last := self.last_step()) < max(1, step) and not self.ended():
            time.sleep(0.01)
        return last

    def ended(self) -> bool:
        """Whether all processes have ended."""
        return all(process.poll() is not None for process in self.processes)

    def send(self, number: int, indices: Sequence[int]) -> None:
        """Sends a signal to some of them."""
        for index in indices:
            if self.processes[index].poll() is None:
                self.processes[index].send_signal(number)

    def has_lost_one(self) -> bool:
        """Whether one of them has ended by an error or a signal."""
        return any(process.poll() for process in self.processes)

    def kill(self) -> None:
        """Kills whatever still runs; the processes have sessions of their own, which no Ctrl-C reaches."""
        self.send(signal.SIGKILL, range(len(self.processes)))

    def wait(self, limit_secs: float | None, stuck: Sequence[int] = ()) -> list[int]:
        """Waits for all but `stuck` ones, then kills what is left; returns exit codes, 128 + number for a signal."""
        until = None if limit_secs is None else time.monotonic() + limit_secs
        for index, process in enumerate(self.processes):
            if index not in stuck:
                try:
                    process.wait(None if until is None else max(0.0, until - time.monotonic()))
                except subprocess.TimeoutExpired:
                    break
        self.kill()
        return [shell_code(process.wait()) for process in self.processes]
