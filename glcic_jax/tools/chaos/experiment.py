"""One run is trained undisturbed, another is hit again and again; both must end in the same parameters."""

import logging
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from glcic_jax.errors import UserError
from glcic_jax.exit_codes import ExitCode
from glcic_jax.run.events import EVENTS
from glcic_jax.run.restore import read_checkpoint
from glcic_jax.tools.chaos.attempt import Attempt, Hit
from glcic_jax.tools.chaos.disk import Disk
from glcic_jax.tools.chaos.faults import Fault, Means, faults_for
from glcic_jax.tools.chaos.page import Cell, Page, compile_faulty_files
from glcic_jax.tools.chaos.witness import Witness
from glcic_jax.tools.local_processes import TRAIN, build_commands, build_environment

VICTIM = (sys.executable, "-P", "-m", "glcic_jax.tools.chaos.victim", "train")
"""The command that trains, with faults."""
_NOTHING = Fault("nothing", lambda attempt, rng: (), ())
_STARTING_SHARE = 0.2
"""Of the hits, those that come while a run of one process starts."""


class Experiment:
    """The two runs, in the folders `undisturbed` and `disturbed` of a new workdir."""

    def __init__(
        self,
        workdir: Path,
        arguments: list[str],
        *,
        processes: int,
        devices_per_process: int,
        leave_secs: float,
        watchdog_secs: int,
    ):
        """arguments: of train; leave_secs: how long a process may stay after a hit. Raises: UserError."""
        if workdir.exists():
            raise UserError(f"{workdir} exists already; give --workdir a new folder")
        workdir.mkdir(parents=True)
        self._workdir, self._arguments, self._processes = workdir, arguments, processes
        self._leave_secs, self._watchdog_secs, self._console = leave_secs, watchdog_secs, Console()
        self._environment = build_environment(devices_per_process)
        self._environment["JAX_COMPILATION_CACHE_DIR"] = str(workdir / "compiled")
        self._page = Page(workdir / "page", new=True)
        self._library = compile_faulty_files(workdir / "faulty_files.so")

    def run(self, hits: int, seed: int) -> int:
        """Trains both and tells what happened; returns the exit code."""
        self._say("undisturbed run")
        total = self._train_undisturbed()
        quiet, disturbed = self._workdir / "undisturbed", self._workdir / "disturbed"
        with (
            Disk(disturbed, quiet / "checkpoints") as disk,
            Witness(disturbed / EVENTS, disk.checkpoints) as witness,
        ):
            faults, done = self._prepare_faults(disk, witness), list[Hit]()
            for hit in self._disturb(faults, witness, total, hits, random.Random(seed)):
                done.append(hit)
                self._say(f"{len(done)}/{hits} {hit}")
            witness.look()
            problems = [hit.problem for hit in done if hit.problem] + witness.problems
            problems += compare_checkpoints(*(folder / "checkpoints" / str(total) for folder in (quiet, disturbed)))
        self._console.print(_tabulate(faults, done))
        for problem in problems:
            self._say(f"PROBLEM: {problem}")
        if problems:
            return ExitCode.FAILED
        self._say(
            f"{witness.saved} times a checkpoint was said to be saved, and was there; {len(witness.starts)} starts, "
            f"none behind what was there; {self._page[Cell.FAILURES]} file calls failed, "
            f"{self._page[Cell.SLOW_EXPORTS]} exports took long"
        )
        self._say(f"after {len(done)} hits: the parameters after step {total} are those of the undisturbed run")
        return ExitCode.DONE

    def _prepare_faults(self, disk: Disk, witness: Witness) -> list[Fault]:
        if not disk.can_fill:
            self._say("no right to mount a small file system here: the fault 'full disk' is left out")
        if self._library is None:
            self._say("no C compiler (cc) here: faults of file calls are left out")
        return faults_for(
            Means(
                self._processes,
                disk,
                self._page,
                witness,
                fails_files=self._library is not None,
                watchdog_secs=self._watchdog_secs,
            )
        )

    def _start(
        self, name: str, *more: str, program: Sequence[str] = TRAIN, shared: Mapping[str, str] | None = None
    ) -> Attempt:
        """The command is the same every time, except for the port at which several processes meet."""
        command = [
            *program, *self._arguments, f"--workdir={self._workdir / name}", "--config.log_every_steps=1",
            *more,
        ]  # fmt: skip
        commands = [command] if self._processes == 1 else build_commands(command, self._processes)
        log, events = self._workdir / f"{name}.log", self._workdir / name / EVENTS
        self._newest = Attempt(commands, self._environment | dict(shared or {}), log=log, events=events)
        return self._newest

    def _start_victim(self, witness: Witness) -> Attempt:
        data = [text.partition("=")[2] for text in self._arguments if text.startswith("--config.data_dir=")]
        shared = self._page.environment([self._workdir / "disturbed", *map(Path, data)], self._library)
        witness.expect_start()
        patience = f"--config.watchdog_secs={self._watchdog_secs}"
        return self._start("disturbed", patience, program=VICTIM, shared=shared)

    def _train_undisturbed(self) -> int:
        """Returns the last step."""
        attempt = self._start("undisturbed")
        try:
            codes = attempt.wait(None)
        finally:
            attempt.kill()
        if any(codes):
            raise UserError(f"the undisturbed run failed; {attempt.log} says why")
        return attempt.last_step()

    def _disturb(
        self, faults: list[Fault], witness: Witness, total: int, hits: int, rng: random.Random
    ) -> Iterator[Hit]:
        """Hits the run within `total` steps, with every fault about equally often; then lets it come to its end."""
        deck = [faults[i % len(faults)] for i in range(hits)]
        rng.shuffle(deck)
        attempt, start_secs, last = self._start_victim(witness), 0.0, deck[0]
        try:
            for number, fault in enumerate(deck, 1):
                if start_secs and rng.random() < _STARTING_SHARE and len(attempt.processes) == 1:
                    time.sleep(rng.random() * start_secs)
                else:
                    # Moments are drawn from what is left to do, so that the run lasts until the last hit.
                    step = attempt.wait_for_step(1)
                    attempt.wait_for_step(step + rng.randint(0, 2 * (total - step) // (hits - number + 4)))
                    time.sleep(rng.random() * 0.1)
                if attempt.ended() and last.explains(attempt.wait(None)):  # what was done last had a late effect
                    attempt = self._start_victim(witness)
                    attempt.wait_for_step(1)
                if attempt.ended():
                    raise UserError(
                        f"the run was over before hit {number} of {hits}; give it more steps, or --hits fewer"
                    )
                hit, last = fault.strike(attempt, rng, self._leave_secs), fault
                if attempt.ended():
                    began, attempt = time.monotonic(), self._start_victim(witness)
                    attempt.wait_for_step(1)
                    hit.back_secs = start_secs = time.monotonic() - began
                    hit.steps_lost = max(0, hit.step + 1 - (attempt.first_step() or total + 1))
                yield hit
                if attempt.ended() and any(codes := attempt.wait(None)):
                    raise UserError(f"the run could not go on after {fault.name} ({codes}); {attempt.log} says why")
            while any(codes := attempt.wait(None)):
                if not last.explains(codes):
                    raise UserError(
                        f"the run could not be finished after all hits (exit codes {codes}); {attempt.log} says why"
                    )
                attempt, last = self._start_victim(witness), _NOTHING
        finally:
            self._newest.kill()

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


def compare_checkpoints(expected: Path, actual: Path) -> list[str]:
    """A line about the first array that differs between two checkpoints, bit for bit; none if none does."""
    logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax misses files that it does not need
    leaves, others = (jax.tree_util.tree_leaves_with_path(read_checkpoint(path)[0]) for path in (expected, actual))
    for (path, a), (_, b) in zip(leaves, others, strict=True):
        if np.asarray(a).tobytes() != np.asarray(b).tobytes():
            return [f"{jax.tree_util.keystr(path)} differs from that of the undisturbed run"]
    return []


def _tabulate(faults: list[Fault], hits: list[Hit]) -> Table:
    table = Table(
        "fault", "times", "exit codes", "steps lost, most", "seconds to leave, most", "seconds to be back, most"
    )
    for fault in faults:
        if own := [hit for hit in hits if hit.fault == fault.name]:
            codes = sorted({code for hit in own for code in hit.codes})
            table.add_row(
                fault.name,
                str(len(own)),
                " ".join(map(str, codes)) or "went on",
                str(max(hit.steps_lost for hit in own)),
                f"{max(hit.leave_secs for hit in own):.1f}",
                f"{max(hit.back_secs for hit in own):.1f}",
            )
    return table
