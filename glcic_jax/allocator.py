"""The C library's allocator, told to keep what is freed: XLA frees and asks for the same buffers every step on CPUs."""

import ctypes
import sys

# <malloc.h>
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> bool:
    """Keeps freed memory mapped for the next step; returns whether the C library could be told (glibc on Linux).

    By default every large buffer is unmapped when it is freed, and its pages are faulted in and zeroed by the kernel
    again in the next step: a fifth of a training step's time on CPUs. To be called before much is allocated.
    The process then holds what it needed at most; GPUs have allocators of their own and do not mind.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    # No mappings of single buffers, nothing given back, and one heap: threads of XLA free what others asked for.
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1), (_M_ARENA_MAX, 1))
    taken = [mallopt(key, value) for key, value in settings]
    return all(taken)
