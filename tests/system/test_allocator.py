"""What the C library's allocator is told."""

import subprocess
import sys

import pytest

from glcic_jax.system.allocator import computes_on_cpu

# Page faults of allocating, filling and freeing 32 MiB ten times, after the first.
_PROGRAM = """
import resource, sys
import numpy as np
from glcic_jax.system.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
np.ones(1 << 22).sum()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(1 << 22).sum()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
def test_freed_memory_is_not_faulted_in_again():
    faults = {
        mode: int(subprocess.run([sys.executable, "-c", _PROGRAM, mode], capture_output=True, check=True).stdout)
        for mode in ("keep", "default")
    }
    assert faults["keep"] < 100 < faults["default"]


def test_where_jax_computes(tmp_path):
    """One heap for all threads is for CPUs alone: beside a GPU, threads that decode would wait for each other."""
    assert computes_on_cpu({}, tmp_path) and computes_on_cpu({"JAX_PLATFORMS": "cpu"}, tmp_path)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidia0").touch()
    assert not computes_on_cpu({}, tmp_path) and not computes_on_cpu({"JAX_PLATFORMS": "cuda,cpu"}, tmp_path)
    assert computes_on_cpu({"JAX_PLATFORMS": "cpu"}, tmp_path)
