"""Exit codes of every command; docs/cluster.md says which of them are worth another try."""

import enum


class ExitCode(enum.IntEnum):
    """What a process tells its shell, its scheduler and the other commands."""

    DONE = 0
    FAILED = 1
    """Part of the work failed, or a check did not pass; also Python's own code after a traceback."""
    USER_ERROR = 2
    """Something to mend: one line says what."""
    NOT_FINITE = 3
    """A loss or a parameter was not finite."""
    STOPPED = 75
    """Asked to stop, and saved: the same command continues (EX_TEMPFAIL)."""
    PEER_LOST = 76
    """Another process is gone or stuck: start all of them again."""
    INTERRUPTED = 130
    """Left at once at Ctrl-C; nothing was saved."""


def by_signal(number: int) -> int:
    """The code that a shell reports for a process that was killed by this signal."""
    return 128 + number
