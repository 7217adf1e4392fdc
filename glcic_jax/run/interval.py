"""Figures of the steps between two logs: means of their metrics, images per second, waiting for data."""

import contextlib
import math
import time
from collections.abc import Iterator

import jax
import numpy as np

from glcic_jax.run.finite import NotFinite

Metrics = dict[str, jax.Array]


class Interval:
    """Metrics and time since the last `read`. The metrics of a step are fetched once the next one has been dispatched.

    So the device computes a step while the host looks at the figures of the one before.
    """

    def __init__(self, batch_size: int):
        """batch_size: images in a step, over all devices."""
        self._batch_size = batch_size
        self._fetched: list[dict[str, float]] = []
        self._pending: tuple[int, Metrics] | None = None
        self.restart_clock()

    @property
    def pending(self) -> Metrics | None:
        """The metrics that were not fetched yet, of the last step."""
        return self._pending[1] if self._pending else None

    @contextlib.contextmanager
    def waiting_for_data(self) -> Iterator[None]:
        """Around what waits for a batch."""
        asked = time.perf_counter()
        yield
        self._waited += time.perf_counter() - asked

    def add(self, step: int, metrics: Metrics) -> None:
        """A step was dispatched. Raises: NotFinite of the step before."""
        self._images += self._batch_size
        self.fetch()
        self._pending = step, metrics

    def fetch(self) -> None:
        """Waits for the metrics of the last step. Raises: NotFinite."""
        if self._pending is None:
            return
        (step, metrics), self._pending = self._pending, None
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        for name, value in values.items():
            if not math.isfinite(value):
                raise NotFinite(name, step)
        self._fetched.append(values)

    def read(self) -> dict[str, float]:
        """Means of all that was fetched since the last call, and the rates since the clock was started."""
        means = {name: float(np.mean([v[name] for v in self._fetched])) for name in self._fetched[0]}
        self._fetched.clear()
        if not self._images:
            return means
        elapsed = time.perf_counter() - self._start
        return means | {"images_per_second": self._images / elapsed, "data_wait_share": self._waited / elapsed}

    def restart_clock(self) -> None:
        """After what is not training: a compilation, a validation, a log."""
        self._start, self._waited, self._images = time.perf_counter(), 0.0, 0
