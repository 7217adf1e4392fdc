"""Records that cannot be read: replaced by their neighbours, counted and named, and too many of them stop the run."""

import threading
from typing import Protocol

import numpy as np

from glcic_jax.data.decoding import decode_jpeg
from glcic_jax.errors import UserError


class Records(Protocol):
    """JPEGs by index: `shards.Records`, or a list."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> bytes: ...


class Reader:
    """Decodes records; may be used by many threads."""

    def __init__(self, records: Records, max_damaged_share: float):
        """max_damaged_share: of all records; beyond it `read` raises."""
        self._records, self._limit = records, max_damaged_share * len(records)
        self._damaged: dict[int, str] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._records)

    def damaged(self) -> list[str]:
        """Which records could not be read so far, and why, in the order of their discovery."""
        with self._lock:
            return [*self._damaged.values()]

    def read(self, index: int, short_side_px: int) -> np.ndarray:
        """The record as uint8 (H, W, 3), see `decode_jpeg`; if it is damaged, the next one that is not.

        Raises: UserError if too many are damaged.
        """
        for place in range(index, index + len(self)):
            number = place % len(self)
            try:
                return decode_jpeg(self._records[number], short_side_px)
            except ValueError as error:
                self._note(number, f"record {number} of {len(self)} cannot be read: {error}")
        raise UserError("no record can be read; prepare the data again")

    def _note(self, number: int, reason: str) -> None:
        with self._lock:
            self._damaged[number] = reason
            count = len(self._damaged)
        if count > self._limit:
            raise UserError(
                f"{count} of {len(self)} records cannot be read, more than config.max_damaged_share allows; the last "
                f"one: {reason}; check the disk and the shards (prepare --verify), or prepare the data again"
            )
