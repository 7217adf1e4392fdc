"""Several processes, on one host or many: how they find each other, agree, and leave when one is gone."""

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from glcic_jax.errors import UserError

HEARTBEAT_SECS = 30
SHUTDOWN_SECS = 60
_ASK_EVERY_SECS = 0.5


class Place(NamedTuple):
    """One process among several; None where JAX finds out by itself (SLURM)."""

    coordinator: str | None = None
    process_id: int | None = None
    process_count: int | None = None


def find_place(
    coordinator: str | None, process_id: int | None, process_count: int | None, multi_process: bool
) -> Place | None:
    """The place of this process: from the flags, or from the scheduler's environment if `multi_process`; None if alone.

    Raises: UserError if these contradict each other.
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
    assert place.process_id is not None and place.process_count is not None  # the caller has checked that
    if not 0 <= place.process_id < place.process_count:
        raise UserError(
            f"process {place.process_id} of {place.process_count}: processes are counted from 0 to "
            f"{place.process_count - 1}"
        )
    return place


def join(place: Place) -> None:
    """Connects this process with the others. Raises: UserError if they cannot be reached."""
    # Orbax asks JAX's own service whether to stop, with step numbers of its own; of two who ask, one is not told.
    jax.config.update("jax_enable_preemption_service", False)
    where = place.coordinator or f"the first host of {os.environ.get('SLURM_STEP_NODELIST', 'this SLURM job')}"
    # JAX waits for a host that it cannot reach without a word.
    print(f"joining the other processes at {where}", flush=True)
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
            f"cannot join the other processes at {where} ({str(error).splitlines()[0]}); "
            "start all of them, with the same coordinator, whose name every host can look up, within five minutes"
        ) from error


def count() -> int:
    """How many processes train together."""
    return jax.process_count()


def is_first() -> bool:
    """Whether this is the process that writes logs, grids and the model."""
    return jax.process_index() == 0


def all_agree(fine: bool) -> bool:
    """Whether it is fine everywhere; every process has to call this."""
    return fine if jax.process_count() == 1 else bool(np.all(multihost_utils.process_allgather(np.array(fine))))


def as_first_says(number: int) -> int:
    """The number that the first process has; every process has to call this."""
    return number if jax.process_count() == 1 else int(multihost_utils.broadcast_one_to_all(np.array(number)))


class StopAgreement:
    """Whether any process was asked to stop: all have to call it equally often, and all get the same answer.

    The answer is one call old, so that no process waits for the devices: each call only sends a question on its way.
    """

    def __init__(self, asked: Callable[[], bool]):
        """asked: whether this process was asked to stop."""
        self._asked = asked
        self._sharding = NamedSharding(Mesh(np.array(jax.devices()), ("device",)), PartitionSpec("device"))
        self._any = jax.jit(jnp.any, out_shardings=NamedSharding(self._sharding.mesh, PartitionSpec()))
        self._answer: jax.Array | None = None

    def __call__(self) -> bool:
        """Whether any process was asked to stop before the last call."""
        own = np.full(jax.local_device_count(), self._asked())
        before, self._answer = self._answer, self._any(jax.make_array_from_process_local_data(self._sharding, own))
        return before is not None and bool(before)


def run_on_first(work: Callable[[], None], reset_watchdog: Callable[[], None]) -> None:
    """Does something that may take long in the first process, while all others wait for it; every process calls this.

    Raises: in the first process what `work` raises, in the others a UserError then.
    """
    if jax.process_count() == 1:
        work()
        return
    errors: list[BaseException] = []
    thread = threading.Thread(target=_collect_error, args=(work, errors), name="first", daemon=True)
    if is_first():
        thread.start()
    # Asked again and again: a collective operation that waited as long would look like a lost process.
    while not all_agree(not thread.is_alive()):
        if not is_first():  # whose own watchdog ends it if the work is stuck
            reset_watchdog()
        time.sleep(_ASK_EVERY_SECS)
    if not all_agree(not errors):
        raise errors[0] if errors else UserError("the first process met an error, and says which")


def _collect_error(work: Callable[[], None], errors: list[BaseException]) -> None:
    try:
        work()
    except BaseException as error:
        errors.append(error)


def leave(message: str, code: int) -> NoReturn:
    """Ends this process at once: an orderly end would wait for processes that may be gone."""
    print(message, file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(code)
