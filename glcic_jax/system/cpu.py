"""What makes XLA's programs for CPUs faster: memory that stays mapped, and the better of two convolution libraries."""

import importlib.metadata
import os

from glcic_jax.system.allocator import keep_freed_memory

_FLAG = "--xla_cpu_experimental_ynn_fusion_type"
_TESTED_JAXLIBS = ((0, 10), (0, 12))
"""First and last version that are known to have the flag; XLA ends the process over flags that it does not know."""


def tune_cpu() -> None:
    """To be called before JAX starts its devices; harmless where there is a GPU."""
    keep_freed_memory()
    choose_convolutions()


def choose_convolutions() -> bool:
    """Has XLA call Eigen for convolutions instead of YNNPACK, and says whether it does.

    Eigen was the faster one for most layers, by up to two times (two cores without AVX-512; not measured elsewhere).
    For a few it was slower: half as fast in the first layer at half the width. XLA_FLAGS with this flag has priority.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    version = tuple(int(part) for part in importlib.metadata.version("jaxlib").split(".")[:2])
    if _FLAG in flags or not _TESTED_JAXLIBS[0] <= version <= _TESTED_JAXLIBS[1]:
        return False
    os.environ["XLA_FLAGS"] = f"{flags} {_FLAG}=-individual_convolution".strip()
    return True
