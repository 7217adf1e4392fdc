"""What may happen to a training run, done to it on purpose."""

import dataclasses
import errno
import random
import signal
import time
from collections.abc import Callable
from typing import TypeAlias

from glcic_jax.exit_codes import ExitCode, by_signal
from glcic_jax.run.checkpoint_folder import list_steps
from glcic_jax.run.signature import CHECKSUMS
from glcic_jax.tools.chaos.attempt import Attempt, Hit
from glcic_jax.tools.chaos.disk import Disk, damage_newest_checkpoint
from glcic_jax.tools.chaos.page import Cell, Page
from glcic_jax.tools.chaos.witness import Witness

_ABORTED, _KILLED, _TERMINATED = map(by_signal, (signal.SIGABRT, signal.SIGKILL, signal.SIGTERM))
_EVENT_SECS = 60.0  # in which a run is to begin a save, say
_LATE_SECS = 2.0  # in which a process leaves that does not go on

Do: TypeAlias = Callable[[Attempt, random.Random], tuple[int, ...]]
"""Does something to a run; returns the processes that cannot leave by themselves, which are killed at the end."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Fields:
        do: does it to the run.
        codes: exit codes that it explains.
        ends: whether the processes have to end.

    """

    name: str
    do: Do
    codes: tuple[int, ...]
    ends: bool = True

    def strike(self, attempt: Attempt, rng: random.Random, limit_secs: float) -> Hit:
        """Does it, and waits for the end if there has to be one, or if one process has ended."""
        stuck = self.do(attempt, rng)
        began, step = time.monotonic(), attempt.last_step()
        if not self.ends:
            _wait(attempt.has_lost_one, _LATE_SECS)
            if not attempt.has_lost_one() and not attempt.ended():
                return Hit(self.name, step, [], 0.0)
        codes = attempt.wait(limit_secs, stuck=stuck)
        took, problem = time.monotonic() - began, ""
        if took > limit_secs:
            problem = f"{self.name} at step {step}: a process was still there after {limit_secs:g} s"
        elif unexplained := set(codes) - set(self.codes) - {0}:
            problem = f"{self.name} at step {step}: exit code {unexplained.pop()}; {attempt.log} says more"
        return Hit(self.name, step, codes, took, problem)

    def explains(self, codes: list[int]) -> bool:
        """Whether processes that end with these codes some time later may do so for its sake."""
        return not self.ends and any(codes) and set(codes) <= {0, *self.codes}


@dataclasses.dataclass(frozen=True)
class Means:
    """What faults are done with.

    Fields:
        processes: how many train together.
        fails_files: whether file calls can be made to fail.
        watchdog_secs: the run's.

    """

    processes: int
    disk: Disk
    page: Page
    witness: Witness
    fails_files: bool
    watchdog_secs: float

    def _is_saving(self) -> bool:
        """Whether there is a checkpoint that is not signed yet."""
        return any(not (child / CHECKSUMS).exists() for child in self.disk.checkpoints.glob("[0-9]*"))

    def kill(self, *indices: int) -> Do:
        """Kills some processes."""

        def do(attempt: Attempt, rng: random.Random) -> tuple[int, ...]:
            attempt.send(signal.SIGKILL, indices)
            return ()

        return do

    def ask(self, number: int, moment: Callable[[Attempt], None] = lambda attempt: None) -> Do:
        """Sends a signal to one process, shortly after a moment has come."""

        def do(attempt: Attempt, rng: random.Random) -> tuple[int, ...]:
            moment(attempt)
            time.sleep(rng.random() * 0.1)
            attempt.send(number, [rng.randrange(self.processes)])
            return ()

        return do

    def await_save(self, attempt: Attempt) -> None:
        """Returns while a checkpoint is being written."""
        _wait(lambda: self._is_saving() or attempt.ended(), _EVENT_SECS)

    def await_validation(self, attempt: Attempt) -> None:
        """Returns when a validation has begun."""
        begun = len(attempt.steps_of("validating"))
        _wait(lambda: len(attempt.steps_of("validating")) > begun or attempt.ended(), _EVENT_SECS)

    def kill_saving(self, attempt: Attempt, rng: random.Random) -> tuple[int, ...]:
        """Kills all while a checkpoint is being written."""
        self.await_save(attempt)
        time.sleep(rng.random() * 0.1)
        attempt.send(signal.SIGKILL, range(self.processes))
        return ()

    def damage(self, attempt: Attempt, rng: random.Random) -> tuple[int, ...]:
        """Kills all, and damages the newest checkpoint; with its only one damaged, a run would refuse to go on."""
        _wait(lambda: len(list_steps(self.disk.checkpoints)) > 1 or attempt.ended(), _EVENT_SECS)
        attempt.send(signal.SIGKILL, range(self.processes))
        attempt.wait(None)
        self.witness.look()
        damage_newest_checkpoint(self.disk.checkpoints, rng)
        self.witness.excuse_damage()
        return ()

    def fill_disk(self, attempt: Attempt, rng: random.Random) -> tuple[int, ...]:
        """Takes all room for some seconds, through at least one save."""
        failures = len(attempt.steps_of("save_failed"))
        with self.disk.filled():
            _wait(lambda: attempt.ended() or len(attempt.steps_of("save_failed")) > failures, _EVENT_SECS)
            time.sleep(rng.random() * 0.2)
        return ()

    def fail_files(self, number: int) -> Do:
        """Lets some of the file calls fail for some seconds."""

        def do(attempt: Attempt, rng: random.Random) -> tuple[int, ...]:
            failures = self.page[Cell.FAILURES]
            self.page[Cell.PER_MILLE] = rng.choice((10, 50, 200))
            self.page[Cell.ERROR] = number
            _wait(lambda: self.page[Cell.FAILURES] > failures or attempt.ended(), _EVENT_SECS)
            time.sleep(rng.random() * 3)
            self.page[Cell.ERROR] = 0
            return ()

        return do

    def slow_files(self, attempt: Attempt, rng: random.Random) -> tuple[int, ...]:
        """Lets every file call take long for some seconds, as on a network file system."""
        self.page[Cell.DELAY_MS] = rng.choice((5, 20, 100))
        time.sleep(1 + rng.random() * 4)
        self.page[Cell.DELAY_MS] = 0
        return ()

    def fail_memory(self, attempt: Attempt, rng: random.Random) -> tuple[int, ...]:
        """Lets a hand-over to Orbax run out of memory."""
        self.page[Cell.MEMORY_ERRORS] = 1
        _wait(lambda: self.page[Cell.MEMORY_ERRORS] == 0 or attempt.ended(), _EVENT_SECS)
        self.page[Cell.MEMORY_ERRORS] = 0
        return ()

    def slow_export(self, attempt: Attempt, rng: random.Random) -> tuple[int, ...]:
        """Lets the next export of the model take long, whenever it comes."""
        self.page[Cell.EXPORT_SECS] = 20
        return ()

    def shift_clock(self, attempt: Attempt, rng: random.Random) -> tuple[int, ...]:
        """Sets the clock back, or ahead, as all that Python sees of it."""
        self.page[Cell.CLOCK_SECS] = rng.choice((-86_400, -3_600, -10, 0, 60, 7_200, 31_536_000))
        return ()

    def stop_a_while(self, attempt: Attempt, rng: random.Random) -> tuple[int, ...]:
        """Stops a process for longer than its watchdog waits, and lets it go on."""
        index = rng.randrange(self.processes)
        attempt.send(signal.SIGSTOP, [index])
        time.sleep(self.watchdog_secs + 5)
        attempt.send(signal.SIGCONT, [index])
        return ()

    def stop(self, attempt: Attempt, rng: random.Random) -> tuple[int, ...]:
        """Stops the last process for good."""
        attempt.send(signal.SIGSTOP, [self.processes - 1])
        return (self.processes - 1,)


def faults_for(means: Means) -> list[Fault]:
    """What can be done to a run, the most different kinds first."""
    alone = means.processes == 1
    asked = (ExitCode.STOPPED, _TERMINATED)
    lost = () if alone else (ExitCode.PEER_LOST, _ABORTED)
    failed = (ExitCode.USER_ERROR, *lost)
    faults = [
        Fault("SIGINT", means.ask(signal.SIGINT), (ExitCode.STOPPED, ExitCode.INTERRUPTED)),
        Fault("SIGKILL and the newest checkpoint damaged", means.damage, (_KILLED,)),
        Fault("SIGTERM in the middle of a save", means.ask(signal.SIGTERM, means.await_save), asked),
        Fault("out of memory in a save", means.fail_memory, failed, ends=False),
    ]
    if means.fails_files:
        faults += [
            Fault(f"file calls fail with {errno.errorcode[number]}", means.fail_files(number), failed, ends=False)
            for number in (errno.ESTALE, errno.EIO, errno.EINTR)
        ]
        faults.append(Fault("slow file calls", means.slow_files, lost, ends=False))
    faults += [
        Fault("SIGKILL in the middle of a save", means.kill_saving, (_KILLED,)),
        Fault("SIGTERM in a validation", means.ask(signal.SIGTERM, means.await_validation), asked),
        Fault("SIGTERM", means.ask(signal.SIGTERM), asked),
        Fault("SIGKILL" if alone else "SIGKILL of all", means.kill(*range(means.processes)), (_KILLED,)),
        Fault("an export that takes 20 s", means.slow_export, (), ends=False),
        Fault("the clock jumps", means.shift_clock, (), ends=False),
        Fault("SIGSTOP for longer than the watchdog waits", means.stop_a_while, lost, ends=False),
    ]
    if means.disk.can_fill:
        faults.append(Fault("full disk", means.fill_disk, failed, ends=False))
    if not alone:
        faults += [
            Fault("SIGKILL of the last process", means.kill(means.processes - 1), (_KILLED, *lost)),
            Fault("SIGKILL of the coordinator", means.kill(0), (_KILLED, *lost)),
            Fault("SIGSTOP of the last process", means.stop, (_KILLED, *lost)),
        ]
    return faults


def _wait(until: Callable[[], bool], limit_secs: float) -> None:
    end = time.monotonic() + limit_secs
    while not until() and time.monotonic() < end:
        time.sleep(0.005)
