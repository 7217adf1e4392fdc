"""How sure a mean is: bootstrap confidence intervals over the cases of a benchmark."""

from typing import NamedTuple

import numpy as np

LEVEL = 0.95
RESAMPLES = 2000
_AT_ONCE = 1 << 22  # drawn indices in memory


class Estimate(NamedTuple):
    """A mean over cases, and the ends of its confidence interval at LEVEL."""

    mean: float
    low: float
    high: float


def bootstrap_mean(values: np.ndarray, seed: int = 0) -> Estimate:
    """The mean of values (N,) with its percentile interval: the same for the same values.

    Means of paired differences between two methods get theirs in the same way, from the differences.
    """
    values = np.asarray(values, np.float64)
    rng = np.random.default_rng(seed)
    rows = max(1, _AT_ONCE // len(values))
    means: list[np.ndarray] = []
    for first in range(0, RESAMPLES, rows):
        drawn = rng.integers(0, len(values), (min(rows, RESAMPLES - first), len(values)))
        means.append(values[drawn].mean(axis=1))
    low, high = np.quantile(np.concatenate(means), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(values.mean()), float(low), float(high))
