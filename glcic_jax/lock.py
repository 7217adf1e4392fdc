"""One process at a time: a lock on a folder that the system releases however its holder ends."""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from glcic_jax.errors import UserError


class InUse(UserError):
    """Somebody else holds the lock."""


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Holds the lock file `path`; a file left behind by a dead process is no hindrance.

    Args:
        path: the lock file, in a folder that exists.
        what: what nobody else may use meanwhile, for the error.

    Raises: InUse naming the holder if somebody else has it, UserError if the file cannot be written.

    """
    try:
        file = path.open("a+")
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}); choose another place") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise InUse(f"{what} is in use by {holder}; wait for it, or stop it") from None
        except OSError:  # a file system without locks: better unlocked than not at all
            yield
            return
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
