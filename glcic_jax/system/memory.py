"""Memory: what the host has, and what errors say that it did not suffice."""

import re
from pathlib import Path

from glcic_jax.system.units import format_bytes

# "allocating 1234 bytes", as CPUs have it, and "allocate 12.34GiB (13250012345B)" of GPUs
_ASKED = re.compile(r"allocat\w+ (?:request for )?(\d+(?:\.\d+)?) ?([KMGT]iB|bytes)", re.IGNORECASE)


def describe_out_of_memory(error: BaseException) -> str:
    """Words for an error that says that memory did not suffice, with what was asked for if it tells; "" for others."""
    words = str(error)
    if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in words:
        return ""
    found = _ASKED.search(words)
    if found is None:
        return "out of memory"
    amount, unit = found.groups()
    return f"out of memory: {format_bytes(float(amount)) if unit == 'bytes' else f'{amount} {unit}'} asked for at once"


def host_memory(root: Path = Path("/")) -> tuple[int, int]:
    """Total and available bytes, of the machine or of the container; zeros if the system does not tell."""
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        kib = {name: int(rest.split()[0]) for name, rest in (line.split(":") for line in lines)}
        total, available = 1024 * kib["MemTotal"], 1024 * kib["MemAvailable"]
    except (OSError, KeyError, ValueError):
        return 0, 0
    try:
        limit, used = (int((root / "sys/fs/cgroup" / name).read_text()) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # no such file, or "max"
        return total, available
    return min(total, limit), min(available, max(0, limit - used))
