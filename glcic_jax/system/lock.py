"""One process at a time: a lock on a folder that the system releases however its holder ends."""

import contextlib
import errno
import fcntl
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from glcic_jax.errors import UserError
from glcic_jax.system.retry import retry

# What a file system says that has no locks at all, as some network ones.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}


class InUse(UserError):
    """Somebody else holds the lock."""


def _warn(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def locked(path: Path, what: str, say: Callable[[str], None] = _warn) -> Iterator[None]:
    """Holds the lock file `path`; a file left behind by a dead process is no hindrance.

    Args:
        path: the lock file, in a folder that exists.
        what: what nobody else may use meanwhile, for the error.
        say: told if the file system has no locks, so that nothing is held; by default standard error.

    Raises: InUse naming the holder if somebody else has it, UserError if the file cannot be written or locked.

    """
    try:
        file = retry(lambda: path.open("a+"))
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}); choose another place") from error
    with file:
        if not _lock(file, path, what):
            say(f"{path.parent} is on a file system without locks: make sure that nobody else uses {what}")
            yield
            return
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


def _lock(file: TextIO, path: Path, what: str) -> bool:
    """Takes the lock; False where there are none. Raises: InUse, UserError."""
    try:
        retry(lambda: _try_lock(file))
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return False
        raise UserError(f"cannot lock {path} ({error.strerror}); run the same command again") from error
    except _HeldError:
        file.seek(0)
        holder = file.read().strip() or "another process"
        raise InUse(f"{what} is in use by {holder}; wait for it, or stop it") from None
    return True


class _HeldError(Exception):
    """Somebody has it; worth no second try."""


def _try_lock(file: TextIO) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES):  # EACCES: network file systems say so
            raise _HeldError from error
        raise
