"""File operations that are worth another try: what a file server says in a bad moment passes by itself."""

import errno
import time
from collections.abc import Callable
from typing import TypeVar

TRANSIENT = frozenset(
    getattr(errno, name)
    for name in ("EAGAIN", "EBUSY", "ECONNRESET", "EINTR", "EIO", "EREMOTEIO", "ESTALE", "ETIMEDOUT")
    if hasattr(errno, name)
)
PAUSES_SECS = (0.1, 0.5, 2.0)
"""Before the second, third and fourth try."""

T = TypeVar("T")


def retry(operation: Callable[[], T], pauses_secs: tuple[float, ...] = PAUSES_SECS) -> T:
    """What the operation returns, tried again after each pause while its error may pass.

    Raises: the OSError of the last try, and at once one that does not pass by itself.
    """
    for pause_secs in pauses_secs:
        try:
            return operation()
        except OSError as error:
            if error.errno not in TRANSIENT:
                raise
        time.sleep(pause_secs)
    return operation()
