"""The processes of a training run from one start to their end, as somebody outside sees them."""

import dataclasses
import re
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

_STEP = re.compile(r"^step (\d+):")


@dataclasses.dataclass
class Hit:
    """What was done to a run, and what became of it."""

    fault: str
    step: int
    """The last one that the run had told."""
    codes: list[int]
    """Exit codes of the processes, 128 + number for a signal; empty if they went on."""
    leave_secs: float
    """From the hit to the end of the last process that could leave."""
    problem: str = ""
    steps_lost: int = 0
    back_secs: float = 0.0
    """From the next start to its first step."""

    def __str__(self) -> str:
        left = f"left after {self.leave_secs:.1f} s ({', '.join(map(str, self.codes))})" if self.codes else "went on"
        again = f"; back after {self.back_secs:.1f} s, {self.steps_lost} steps lost" if self.codes else ""
        return f"step {self.step}: {self.fault}: {left}{again}"


class Life:
    """Processes of one run; what they print goes to a log."""

    def __init__(self, commands: Sequence[Sequence[str]], variables: dict[str, str], log: Path):
        """Starts them. log: is added to."""
        self.log, self._steps = log, list[int]()
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
                if number == 0 and (found := _STEP.match(line)):
                    self._steps.append(int(found[1]))

    def first_step(self) -> int:
        """The first step of this life; 0 if there was none."""
        return self._steps[0] if self._steps else 0

    def last_step(self) -> int:
        """The last step so far; 0 if there was none."""
        return self._steps[-1] if self._steps else 0

    def wait_for_step(self, step: int) -> int:
        """Waits for any first step and until `step` is done, or for the end; returns the last step so far."""
        while not self.ended() and (not self._steps or self.last_step() < step):
            time.sleep(0.005)
        return self.last_step()

    def ended(self) -> bool:
        """Whether none is left."""
        return all(process.poll() is not None for process in self.processes)

    def send(self, number: int, indices: Sequence[int]) -> None:
        """A signal to some of them."""
        for index in indices:
            if self.processes[index].poll() is None:
                self.processes[index].send_signal(number)

    def kill(self) -> None:
        """Ends what is left; they run in sessions of their own, which no Ctrl-C reaches."""
        self.send(signal.SIGKILL, range(len(self.processes)))

    def wait(self, limit_secs: float | None, but: Sequence[int] = ()) -> list[int]:
        """Waits for all `but` some, then kills what is left; returns the exit codes, 128 + number for a signal."""
        until = None if limit_secs is None else time.monotonic() + limit_secs
        for index, process in enumerate(self.processes):
            if index not in but:
                try:
                    process.wait(None if until is None else max(0.0, until - time.monotonic()))
                except subprocess.TimeoutExpired:
                    break
        self.kill()
        codes = [process.wait() for process in self.processes]
        return [128 - code if code < 0 else code for code in codes]
