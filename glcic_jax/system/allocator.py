"""The C library's allocator, told to keep what is freed: XLA frees and asks for the same buffers every step on CPUs."""

import ctypes
import os
import sys
from collections.abc import Mapping
from pathlib import Path

# <malloc.h>
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8

# GPUs of NVIDIA, also under WSL, of AMD, and TPUs
_ACCELERATORS = ("dev/nvidiactl", "dev/nvidia0", "dev/dxg", "dev/kfd", "dev/accel0", "dev/vfio/0")


def keep_freed_memory() -> bool:
    """Keeps freed memory mapped for the next step; returns whether the C library could be told (glibc on Linux).

    By default every large buffer is unmapped when it is freed, and its pages are faulted in and zeroed by the kernel
    again in the next step: a fifth of a training step's time on CPUs. To be called before much is allocated.
    The process then holds what it needed at most; GPUs have allocators of their own and do not mind.

    Where JAX computes on the CPU there is one heap for all threads, since threads of XLA free what others asked for.
    Beside a GPU the host's threads decode photographs, and would wait for each other at a single heap.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    settings = [(_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1)]  # no mappings of single buffers, nothing given back
    if computes_on_cpu(os.environ):
        settings.append((_M_ARENA_MAX, 1))
    taken = [mallopt(key, value) for key, value in settings]
    return all(taken)


def computes_on_cpu(environment: Mapping[str, str], root: Path = Path("/")) -> bool:
    """Whether JAX will compute on the CPU, as far as can be told before it starts."""
    platforms = environment.get("JAX_PLATFORMS", "")
    return platforms.startswith("cpu") or not any((root / name).exists() for name in _ACCELERATORS)
