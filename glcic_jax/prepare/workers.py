"""Work spread over spawned processes, with few tasks in flight, so that memory stays bounded."""

import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeAlias, TypeVar

from glcic_jax.errors import UserError

Task = TypeVar("Task")
Result = TypeVar("Result")

Rescue: TypeAlias = Callable[[Task, Callable[[Task], Result | None]], Result]
"""What is done about a task in whose presence a process died.

Its second argument does a task in a process of its own, and returns None if that process dies.
"""


def map_unordered(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    workers: int,
    rescue: Rescue[Task, Result] | None = None,
) -> Iterator[Result]:
    """Results as they come; `tasks` is drawn from only as far as workers are free. 0 workers: in this process.

    Raises: what the function raised; UserError if a worker died and there is no rescue.
    """
    if workers == 0:
        yield from map(function, tasks)
        return
    left = iter(tasks)
    orphans: list[Task] = [*itertools.islice(left, 2 * workers)]
    while orphans:
        # A dead process breaks its whole pool, so that nobody knows which of the tasks under way it was.
        orphans = yield from _map_until_a_death(function, orphans, left, workers)
        if not orphans:
            return
        if rescue is None:
            raise UserError(
                "a worker process died (killed, or out of memory?); run the same command again, it goes on; "
                "fewer --workers need less memory"
            )
        for task in orphans:
            yield rescue(task, lambda task: _do_alone(function, task))
        orphans = [*itertools.islice(left, 2 * workers)]


def _map_until_a_death(
    function: Callable[[Task], Result], begun: list[Task], left: Iterator[Task], workers: int
) -> Generator[Result, None, list[Task]]:
    """Yields results, first of the tasks that were begun; returns the tasks that were under way when a process died."""
    pool = _new_pool(workers)
    running: dict[Future[Result], Task] = {}
    orphans: list[Task] = []

    def submit(task: Task) -> None:
        try:
            running[pool.submit(function, task)] = task
        except BrokenProcessPool:
            orphans.append(task)

    try:
        for task in begun:
            submit(task)
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                task = running.pop(future)
                try:
                    result = future.result()
                except BrokenProcessPool:
                    orphans.append(task)
                else:
                    yield result
            if not orphans:
                for task in itertools.islice(left, len(done)):
                    submit(task)
    finally:
        pool.shutdown(cancel_futures=True)
    return orphans


def _do_alone(function: Callable[[Task], Result], task: Task) -> Result | None:
    """The result of a task in a process of its own, or None if that dies."""
    with _new_pool(1) as pool:
        try:
            return pool.submit(function, task).result()
        except BrokenProcessPool:
            return None


def _new_pool(workers: int) -> ProcessPoolExecutor:
    spawn = multiprocessing.get_context("spawn")  # forks would inherit threads' locks and open databases
    return ProcessPoolExecutor(workers, mp_context=spawn, initializer=_live_as_long_as_the_parent)


def _live_as_long_as_the_parent() -> None:
    """A worker ignores Ctrl-C, which its parent answers, and ends when its parent is gone, even killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None  # called in workers only

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
