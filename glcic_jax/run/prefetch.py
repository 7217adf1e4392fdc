"""Batches fetched by a thread of their own, so that a loader that hangs does not keep a run from stopping."""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Self

from glcic_jax.data.batch import Batch

_ASK_EVERY_SECS = 0.2


class Prefetcher:
    """Fetches one batch ahead; if the loader hangs (on a file server, say), only its thread does. A context manager."""

    def __init__(self, batches: Iterator[Batch]):
        """batches: as `data.loader.batches` gives them."""
        self._queue: queue.Queue[Batch | Exception] = queue.Queue(maxsize=1)
        self._closed = threading.Event()
        threading.Thread(target=self._fetch, args=(batches,), name="prefetch", daemon=True).start()

    def _fetch(self, batches: Iterator[Batch]) -> None:
        try:
            for batch in batches:
                if not self._put(batch):
                    return
        except Exception as error:  # raised again in `next`
            self._put(error)

    def _put(self, item: Batch | Exception) -> bool:
        """Whether it was taken before the end."""
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=_ASK_EVERY_SECS)
                return True
            except queue.Full:
                continue
        return False

    def next(self, give_up: Callable[[], bool]) -> Batch | None:
        """The next batch; None if `give_up` returns True before it is there. Raises: what the loader raised."""
        while True:
            try:
                item = self._queue.get(timeout=_ASK_EVERY_SECS)
            except queue.Empty:
                if give_up():
                    return None
                continue
            if isinstance(item, Exception):
                raise item
            return item

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._closed.set()
