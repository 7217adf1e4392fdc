"""How many processor cores this process may use."""

import os


def usable_cores() -> int:
    """As many as the system allows it, where it says so (Linux); else all that there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
