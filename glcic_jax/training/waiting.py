"""Waiting for data without losing sight of who wants the run to stop."""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Self

from glcic_jax.data.batch import Batch

_LOOK_EVERY_SECS = 0.2


class Ahead:
    """Batches, pulled by a thread of its own: a loader that hangs (a file server, say) holds only that thread.

    A context manager.
    """

    def __init__(self, batches: Iterator[Batch]):
        """batches: as `data.loader.batches` gives them."""
        self._queue: queue.Queue[Batch | Exception] = queue.Queue(maxsize=1)
        self._closed = threading.Event()
        threading.Thread(target=self._pull, args=(batches,), daemon=True).start()

    def _pull(self, batches: Iterator[Batch]) -> None:
        try:
            for batch in batches:
                if not self._put(batch):
                    return
        except Exception as error:  # for the one who waits
            self._put(error)

    def _put(self, found: Batch | Exception) -> bool:
        """Whether there was room for it before the end."""
        while not self._closed.is_set():
            try:
                self._queue.put(found, timeout=_LOOK_EVERY_SECS)
                return True
            except queue.Full:
                continue
        return False

    def next(self, give_up: Callable[[], bool]) -> Batch | None:
        """The next batch; None if `give_up` says so before it is there. Raises: what the loader raised."""
        while True:
            try:
                found = self._queue.get(timeout=_LOOK_EVERY_SECS)
            except queue.Empty:
                if give_up():
                    return None
                continue
            if isinstance(found, Exception):
                raise found
            return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._closed.set()
