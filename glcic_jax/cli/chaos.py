"""`chaos`: hits a training run again and again, starts it again each time, and compares its end with a quiet run's."""

import argparse
import logging
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from glcic_jax.cli.chaos_faults import Disk, Fault, faults_for
from glcic_jax.cli.chaos_life import Hit, Life
from glcic_jax.cli.local import TRAIN, environment, side_by_side
from glcic_jax.errors import UserError

_QUIET, _HIT = "undisturbed", "disturbed"


def main(arguments: list[str]) -> int:
    """Parses the arguments, trains twice, once in peace; returns 0 if both end in the same parameters."""
    parser = argparse.ArgumentParser(
        prog="chaos",
        usage="chaos --workdir=DIR [options] -- ARGUMENTS OF train",
        description=__doc__,
        epilog="Exit codes: 0 the same parameters, bit for bit; 1 not, or a process that stayed too long or left with "
        "a code that nothing explains; 2 an error to mend.",
        allow_abbrev=False,
    )
    parser.add_argument("--workdir", type=Path, required=True, help="new folder for both runs and their logs")
    parser.add_argument("--hits", type=int, default=40, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of what happens when (default: %(default)s)")
    parser.add_argument("-n", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    parser.add_argument("--devices_per_process", type=int, default=2, metavar="K", help="(default: %(default)s)")
    parser.add_argument(
        "--leave_secs", type=float, default=90.0, help="a process may stay after a hit (default: %(default)s)"
    )
    border = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser.parse_args(arguments[:border])
    if border == len(arguments):
        raise UserError("the arguments of train are missing; write them after --, as in: chaos --workdir=DIR -- ...")
    if options.workdir.exists():
        raise UserError(f"{options.workdir} exists already; give --workdir a new folder")
    options.workdir.mkdir(parents=True)
    console = Console()

    def life(name: str) -> Life:
        """The command is the same every time, but for the port at which several processes meet."""
        command = [
            *TRAIN,
            *arguments[border + 1 :],
            f"--workdir={options.workdir / name}",
            "--config.log_every_steps=1",
        ]
        commands = [command] if options.n == 1 else side_by_side(command, options.n)
        variables = {"JAX_COMPILATION_CACHE_DIR": str(options.workdir / "compiled")} | environment(
            options.devices_per_process
        )
        return Life(commands, variables, options.workdir / f"{name}.log")

    console.print("undisturbed run")
    quiet = life(_QUIET)
    try:
        codes = quiet.wait(None)
    finally:
        quiet.kill()
    if any(codes):
        raise UserError(f"the undisturbed run failed; {quiet.log} says why")
    total = quiet.last_step()
    with Disk(options.workdir / _HIT, options.workdir / _QUIET / "checkpoints") as disk:
        if not disk.can_fill:
            console.print("no right to mount a small file system here: the fault 'full disk' is left out")
        faults = faults_for(options.n, disk)
        hits = []
        rng = random.Random(options.seed)
        for hit in _disturb(lambda: life(_HIT), faults, total, options.hits, options.leave_secs, rng):
            hits.append(hit)
            console.print(f"{len(hits)}/{options.hits} {hit}", highlight=False, markup=False, soft_wrap=True)
        different = _different(options.workdir / _QUIET, disk.folder, total)
    console.print(_table(faults, hits))
    for problem in (problems := [hit.problem for hit in hits if hit.problem] + different):
        console.print(f"PROBLEM: {problem}", highlight=False, markup=False, soft_wrap=True)
    if not problems:
        console.print(f"after {len(hits)} hits: the parameters after step {total} are those of the undisturbed run")
    return 1 if problems else 0


def _disturb(
    start: Callable[[], Life], faults: list[Fault], total: int, hits: int, leave_secs: float, rng: random.Random
) -> Iterator[Hit]:
    """Hits the run again and again within `total` steps, every fault about equally often; lets it come to its end."""
    deck = [faults[i % len(faults)] for i in range(hits)]
    rng.shuffle(deck)
    life, start_secs = start(), 0.0
    try:
        for number, fault in enumerate(deck, 1):
            if start_secs and rng.random() < 0.2 and len(life.processes) == 1:
                time.sleep(rng.random() * start_secs)  # while it starts
            else:
                # Moments are drawn from what is left to do, so that the run lasts until the last hit.
                done = life.wait_for_step(1)
                life.wait_for_step(done + rng.randint(0, 2 * (total - done) // (hits - number + 4)))
                time.sleep(rng.random() * 0.1)
            if life.ended():
                raise UserError(f"the run was over before hit {number} of {hits}; give it more steps, or --hits fewer")
            hit = fault.strike(life, rng, leave_secs)
            if life.ended():
                begun, life = time.monotonic(), start()
                life.wait_for_step(1)
                hit.back_secs = start_secs = time.monotonic() - begun
                hit.steps_lost = max(0, hit.step + 1 - (life.first_step() or total + 1))
            yield hit
            if life.ended() and any(codes := life.wait(None)):
                raise UserError(f"the run could not go on after {fault.name} ({codes}); {life.log} says why")
        if any(codes := life.wait(None)):
            raise UserError(f"the run could not be finished after all hits (exit codes {codes}); {life.log} says why")
    finally:
        life.kill()


def _different(one: Path, other: Path, step: int) -> list[str]:
    """A line for the first array of the last checkpoints that is not the same, bit for bit."""
    import jax
    import numpy as np

    from glcic_jax.training.checkpoint import read_checkpoint

    logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax misses files that it does not need
    states = [read_checkpoint(folder / "checkpoints" / str(step))[0] for folder in (one, other)]
    (leaves, others) = (jax.tree_util.tree_leaves_with_path(state) for state in states)
    for (path, a), (_, b) in zip(leaves, others, strict=True):
        if np.asarray(a).tobytes() != np.asarray(b).tobytes():
            return [f"{jax.tree_util.keystr(path)} differs from that of the undisturbed run"]
    return []


def _table(faults: list[Fault], hits: list[Hit]) -> Table:
    table = Table(
        "fault", "times", "exit codes", "steps lost, most", "seconds to leave, most", "seconds to be back, most"
    )
    for fault in faults:
        own = [hit for hit in hits if hit.fault == fault.name]
        if own:
            codes = sorted({code for hit in own for code in hit.codes})
            most = [max(getattr(hit, name) for hit in own) for name in ("steps_lost", "leave_secs", "back_secs")]
            table.add_row(
                fault.name, str(len(own)), " ".join(map(str, codes)) or "went on", str(most[0]),
                f"{most[1]:.1f}", f"{most[2]:.1f}",
            )  # fmt: skip
    return table
