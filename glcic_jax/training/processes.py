"""Several processes, on one host or many: how they find each other, agree, and leave when one of them is gone."""

import faulthandler
import itertools
import os
import sys
import threading
import time
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils

from glcic_jax.errors import UserError

EXIT_PEER_LOST = 76
"""Another process is gone or stuck: all are to be started again."""

_asked = itertools.count()  # JAX wants a number that grows; training steps do not during a validation
HEARTBEAT_SECS = 30
SHUTDOWN_SECS = 15


class Place(NamedTuple):
    """One process among several; None where JAX finds it out by itself (SLURM)."""

    coordinator: str | None = None
    process_id: int | None = None
    process_count: int | None = None


def find_place(
    coordinator: str | None, process_id: int | None, process_count: int | None, multi_process: bool
) -> Place | None:
    """Where this process stands: by the flags, or by the scheduler's environment if `multi_process`; None if alone.

    Raises: UserError if that does not add up.
    """
    given = (coordinator, process_id, process_count)
    if any(value is not None for value in given):
        if any(value is None for value in given):
            raise UserError("--coordinator, --process_id and --process_count belong together; give all three")
        return _checked(Place(*given))
    if not multi_process:
        return None
    if "GLCIC_COORDINATOR" in os.environ:  # an indexed Job of Kubernetes, see launch/k8s
        try:
            index, count = (int(os.environ[name]) for name in ("JOB_COMPLETION_INDEX", "GLCIC_PROCESS_COUNT"))
        except (KeyError, ValueError) as error:
            raise UserError(f"with GLCIC_COORDINATOR set, {error} must be a number in the environment") from error
        return _checked(Place(os.environ["GLCIC_COORDINATOR"], index, count))
    if "SLURM_PROCID" in os.environ:
        return Place()
    raise UserError("--multi_process finds no scheduler: neither SLURM's environment nor GLCIC_COORDINATOR is there")


def _checked(place: Place) -> Place:
    assert place.process_id is not None and place.process_count is not None  # the caller has seen to it
    if not 0 <= place.process_id < place.process_count:
        raise UserError(
            f"process {place.process_id} of {place.process_count}: processes are counted from 0 to "
            f"{place.process_count - 1}"
        )
    return place


def join(place: Place) -> None:
    """Connects this process with the others. Raises: UserError if they cannot be reached."""
    try:
        jax.distributed.initialize(
            place.coordinator,
            place.process_count,
            place.process_id,
            heartbeat_timeout_seconds=HEARTBEAT_SECS,
            shutdown_timeout_seconds=SHUTDOWN_SECS,
        )
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"cannot join the other processes at {place.coordinator} ({str(error).splitlines()[0]}); "
            "start all of them, with the same coordinator, within five minutes"
        ) from error


def is_first() -> bool:
    """Whether this is the process that writes logs, grids and the model."""
    return jax.process_index() == 0


def all_agree(fine: bool) -> bool:
    """Whether it is fine everywhere; every process has to ask."""
    return fine if jax.process_count() == 1 else bool(np.all(multihost_utils.process_allgather(np.array(fine))))


def as_first_says(number: int) -> int:
    """The number that the first process has; every process has to ask."""
    return number if jax.process_count() == 1 else int(multihost_utils.broadcast_one_to_all(np.array(number)))


def stop_wanted() -> bool:
    """Whether a scheduler wants the processes to stop: all have to ask, and all are told so at the same time."""
    return bool(multihost_utils.reached_preemption_sync_point(next(_asked)))


def leave(message: str, code: int) -> None:
    """Ends this process at once: an orderly end would wait for processes that may be gone."""
    print(message, file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(code)


class Watchdog:
    """Ends the process, with all its stacks on standard error, if nobody pats it for too long; a context manager.

    A peer that is stuck but alive would otherwise hold all others for ever, inside a collective operation.
    """

    def __init__(self, limit_secs: float):
        """limit_secs: from one `pat` to the next."""
        self._limit, self._patted, self._ended = limit_secs, time.monotonic(), threading.Event()

    def pat(self) -> None:
        """All is well."""
        self._patted = time.monotonic()

    def _watch(self) -> None:
        while not self._ended.wait(min(1.0, self._limit / 4)):
            if time.monotonic() - self._patted > self._limit:
                faulthandler.dump_traceback(all_threads=True)
                leave(
                    f"train: no step was finished for {self._limit:.0f} s (config.watchdog_secs): this process or "
                    "another is stuck; start all again, they go on from the last checkpoint",
                    EXIT_PEER_LOST,
                )

    def __enter__(self) -> "Watchdog":
        self.pat()
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._ended.set()
