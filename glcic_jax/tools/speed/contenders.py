"""Fair measurements: every contender in its own process, on the same cores, several times in turn."""

import multiprocessing
import os
import resource
import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

from glcic_jax.errors import UserError


class Measured(NamedTuple):
    """Medians over the rounds.

    Fields:
        rate: images per second and core.
        peak_mib: the most memory that the process, or a child of it, ever had.
        extra: whatever else the contender returned in the last round.

    """

    rate: float
    peak_mib: float
    extra: dict[str, float]


def measure_in_turn(
    contenders: dict[str, Callable[..., dict[str, float]]], *arguments: Any, cores: int, rounds: int
) -> dict[str, Measured]:
    """Calls all contenders in turn, `rounds` times; each returns a dictionary with "images" and "seconds" at least.

    Raises: UserError that one of them raised, or if its process died.
    """
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    results: dict[str, tuple[dict[str, float], float]] = {}
    spawn = multiprocessing.get_context("spawn")
    for _ in range(rounds):
        for name, contender in contenders.items():
            ours, theirs = spawn.Pipe(duplex=False)
            process = spawn.Process(target=_contend, args=(theirs, contender, cores, arguments))
            process.start()
            theirs.close()
            try:
                answer = ours.recv()
            except EOFError:
                raise UserError(f"the process that measured {name!r} died (exit code {process.exitcode})") from None
            finally:
                process.join()
            if isinstance(answer, UserError):
                raise answer
            result, peak_mib = answer
            rates[name].append(result.pop("images") / result.pop("seconds") / cores)
            results[name] = result, peak_mib
    return {name: Measured(statistics.median(rates[name]), peak, result) for name, (result, peak) in results.items()}


def _contend(pipe: Any, contender: Callable[..., dict[str, float]], cores: int, arguments: tuple[Any, ...]) -> None:
    if hasattr(os, "sched_setaffinity"):  # Linux; elsewhere the system chooses
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    try:
        result = contender(*arguments)
    except UserError as error:
        pipe.send(error)
        return
    peaks = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    pipe.send((result, max(peaks) / 1024))
