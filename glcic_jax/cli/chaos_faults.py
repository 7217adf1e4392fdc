"""What may happen to a training run, done to it on purpose."""

import contextlib
import dataclasses
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from glcic_jax.cli.chaos_life import Hit, Life

_ERROR, _STOPPED, _PEER_LOST = 2, 75, 76  # docs/cluster.md
_INTERRUPTED, _ABORTED, _KILLED, _TERMINATED = (
    128 + number for number in (signal.SIGINT, signal.SIGABRT, signal.SIGKILL, signal.SIGTERM)
)
_SAVE_SECS = 60.0  # in which a run is to begin a save


@dataclasses.dataclass(frozen=True)
class Fault:
    """One kind of mishap.

    do: does it to the run; names the processes that cannot leave by themselves, to be killed when the others have left.
    codes: exit codes that it explains.
    restarts: whether the processes have to end of it.
    """

    name: str
    do: Callable[[Life, random.Random], tuple[int, ...]]
    codes: tuple[int, ...]
    restarts: bool = True

    def strike(self, life: Life, rng: random.Random, limit_secs: float) -> Hit:
        """Does it, and waits for the end if there has to be one."""
        stuck = self.do(life, rng)
        begun, step = time.monotonic(), life.last_step()
        if not self.restarts and not life.ended():
            return Hit(self.name, step, [], 0.0)
        codes = life.wait(limit_secs, but=stuck)
        took, problem = time.monotonic() - begun, ""
        if took > limit_secs:
            problem = f"{self.name} at step {step}: a process was still there after {limit_secs:g} s"
        elif unexplained := set(codes) - set(self.codes) - {0}:
            problem = f"{self.name} at step {step}: exit code {unexplained.pop()}; {life.log} says more"
        return Hit(self.name, step, codes, took, problem)


class Disk:
    """The folder of the disturbed run, a small file system where one may be mounted; a context manager."""

    def __init__(self, folder: Path, checkpoints: Path):
        """folder: where the run will be; checkpoints: of a run like it, which tell how much room it needs."""
        self.folder = folder
        self._bytes = 4 * sum(file.stat().st_size for file in checkpoints.rglob("*") if file.is_file()) + 2**25
        self.can_fill = False

    def __enter__(self) -> Self:
        self.folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={self._bytes}", "glcic-chaos", str(self.folder)]
        try:
            self.can_fill = subprocess.run(command, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            self.can_fill = False
        return self

    def __exit__(self, *exception: object) -> None:
        if self.can_fill:
            # Lazily: a process that is not gone yet may hold it.
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def fill(self, life: Life, rng: random.Random) -> tuple[int, ...]:
        """Takes all room for some seconds, through at least one save."""
        said = len(life.log.read_text())
        ballast = self.folder / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):  # until there is no room left
            while file.write(bytes(2**14)):
                pass
        _wait(lambda: life.ended() or "could not be saved" in life.log.read_text()[said:], _SAVE_SECS)
        time.sleep(rng.random() * 0.2)
        ballast.unlink()
        return ()


def faults_for(processes: int, disk: Disk) -> list[Fault]:
    """What can be done to a run of so many processes."""
    everyone, one = range(processes), processes - 1

    def kill(*indices: int) -> Callable[[Life, random.Random], tuple[int, ...]]:
        def do(life: Life, rng: random.Random) -> tuple[int, ...]:
            life.send(signal.SIGKILL, indices)
            return ()

        return do

    def ask(number: int) -> Callable[[Life, random.Random], tuple[int, ...]]:
        def do(life: Life, rng: random.Random) -> tuple[int, ...]:
            life.send(number, [rng.choice(everyone)])
            return ()

        return do

    def stop(life: Life, rng: random.Random) -> tuple[int, ...]:
        life.send(signal.SIGSTOP, [one])
        return (one,)

    def kill_saving(life: Life, rng: random.Random) -> tuple[int, ...]:
        _wait(lambda: _is_saving(disk.folder / "checkpoints") or life.ended(), _SAVE_SECS)
        time.sleep(rng.random() * 0.1)
        life.send(signal.SIGKILL, everyone)
        return ()

    def damage(life: Life, rng: random.Random) -> tuple[int, ...]:
        life.send(signal.SIGKILL, everyone)
        life.wait(None)
        _damage_newest(disk.folder / "checkpoints", rng)
        return ()

    lost = (_KILLED, _PEER_LOST, _ABORTED)
    faults = [
        Fault("SIGTERM", ask(signal.SIGTERM), (_STOPPED, _TERMINATED)),
        Fault("SIGINT", ask(signal.SIGINT), (_STOPPED, _INTERRUPTED)),
        Fault("SIGKILL" if processes == 1 else "SIGKILL of all", kill(*everyone), (_KILLED,)),
        Fault("SIGKILL in the middle of a save", kill_saving, (_KILLED,)),
        Fault("SIGKILL and the newest checkpoint damaged", damage, (_KILLED,)),
    ]
    if disk.can_fill:
        faults.append(Fault("full disk", disk.fill, (_ERROR, _PEER_LOST, _ABORTED), restarts=False))
    if processes > 1:
        faults += [
            Fault("SIGKILL of the last process", kill(one), lost),
            Fault("SIGKILL of the coordinator", kill(0), lost),
            Fault("SIGSTOP of the last process", stop, lost),
        ]
    return faults


def _is_saving(checkpoints: Path) -> bool:
    """Whether there is a checkpoint that is not signed yet."""
    return any(not (child / "checksums.json").exists() for child in checkpoints.glob("[0-9]*"))


def _damage_newest(checkpoints: Path, rng: random.Random) -> None:
    """Flips a bit of a file of the newest checkpoint, cuts it, or deletes it; nothing where there is none."""
    steps = [child for child in checkpoints.glob("[0-9]*") if child.name.isdigit()]
    if not steps:
        return
    newest = max(steps, key=lambda child: int(child.name))
    file = rng.choice(sorted(file for file in newest.rglob("*") if file.is_file() and file.stat().st_size))
    content = bytearray(file.read_bytes())
    match rng.choice(("flip", "cut", "delete")):
        case "flip":
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            file.write_bytes(content)
        case "cut":
            file.write_bytes(content[: rng.randrange(len(content))])
        case _:
            file.unlink()


def _wait(until: Callable[[], bool], limit_secs: float) -> None:
    end = time.monotonic() + limit_secs
    while not until() and time.monotonic() < end:
        time.sleep(0.002)
