"""Work spread over spawned processes, with few tasks in flight, so that memory stays bounded."""

import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from glcic_jax.errors import UserError

Task = TypeVar("Task")
Result = TypeVar("Result")


def map_unordered(function: Callable[[Task], Result], tasks: Iterable[Task], workers: int) -> Iterator[Result]:
    """Results as they come; `tasks` is drawn from only as far as workers are free. 0 workers: in this process.

    Raises: what the function raised; UserError if a worker died.
    """
    if workers == 0:
        yield from map(function, tasks)
        return
    spawn = multiprocessing.get_context("spawn")  # forks would inherit threads' locks and open databases
    pool = ProcessPoolExecutor(workers, mp_context=spawn, initializer=_live_as_long_as_the_parent)
    waiting = iter(tasks)
    try:
        running: set[Any] = {pool.submit(function, task) for task in itertools.islice(waiting, 2 * workers)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
            running |= {pool.submit(function, task) for task in itertools.islice(waiting, len(done))}
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process died (killed, or out of memory?); run the same command again, it goes on; "
            "fewer --workers need less memory"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _live_as_long_as_the_parent() -> None:
    """A worker ignores Ctrl-C, which its parent answers, and ends when its parent is gone, even killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None  # called in workers only

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
