"""The machine as `doctor` sees it: versions, devices, whether a GPU is there and used, memory, an all-reduce."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glcic_jax.cli.findings import Finding, Mark, duration, size

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain")
CUDA_PLUGINS = ("jax-cuda13-plugin", "jax-cuda12-plugin")
_REDUCED_VALUES = 2**20
_NVIDIA_PCI_VENDOR = "0x10de"
_DISPLAY_PCI_CLASS = "0x03"


def versions() -> Iterator[Finding]:
    """Python and the packages that a result depends on."""
    python = platform.python_version_tuple()
    known = ("3", "11") <= python[:2] <= ("3", "13")
    yield Finding(
        Mark.OK if known else Mark.WARNING,
        "Python",
        platform.python_version(),
        "" if known else "tested are 3.11 to 3.13",
    )
    found = {package: _version(package) for package in (*PACKAGES, *CUDA_PLUGINS)}
    missing = [package for package in PACKAGES if found[package] is None]
    yield Finding(
        Mark.PROBLEM if missing else Mark.OK,
        "packages",
        ", ".join(f"{package} {version}" for package, version in found.items() if version),
        f"missing: pip install {' '.join(missing)}" if missing else "",
    )


def nvidia_signs(root: Path = Path("/")) -> list[str]:
    """What says that an NVIDIA GPU is in this machine, whatever JAX sees."""
    signs = [f"/{path}" for path in ("proc/driver/nvidia", "dev/nvidia0") if (root / path).exists()]
    for device in sorted(root.glob("sys/bus/pci/devices/*")):
        try:
            vendor, kind = ((device / name).read_text().strip() for name in ("vendor", "class"))
        except OSError:
            continue
        if vendor == _NVIDIA_PCI_VENDOR and kind.startswith(_DISPLAY_PCI_CLASS):
            signs.append(f"PCI device {device.name}")
    # The program alone says little: machines without a GPU have it too.
    if program := shutil.which("nvidia-smi"):
        try:
            listed = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=30, check=False).stdout
        except (OSError, subprocess.TimeoutExpired):
            listed = ""
        signs += [line.split(" (UUID")[0] for line in listed.splitlines() if line.startswith("GPU ")]
    return signs


def accelerator(platforms: Sequence[str], signs: Sequence[str], environment: dict[str, str]) -> Finding:
    """Whether the GPU in the machine is used; a silent fall-back to the CPU is a problem.

    Args:
        platforms: of JAX's devices, such as ["cpu"].
        signs: as `nvidia_signs` tells them.
        environment: where JAX_PLATFORMS and the like may stand.

    """
    used = sorted(set(platforms) - {"cpu"})
    if used:
        return Finding(Mark.OK, "GPU in use", f"JAX computes on: {', '.join(used)}")
    if not signs:
        return Finding(Mark.OK, "GPU in use", "no NVIDIA GPU in this machine; JAX computes on the CPU")
    sign = f"an NVIDIA GPU is in this machine ({signs[-1]})"
    if environment.get("JAX_PLATFORMS") == "cpu":
        return Finding(
            Mark.WARNING,
            "GPU in use",
            f"{sign}, but JAX_PLATFORMS=cpu keeps JAX on the CPU",
            "unset JAX_PLATFORMS, unless that is what you want",
        )
    hidden = environment.get("CUDA_VISIBLE_DEVICES")
    if hidden in ("", "-1"):
        hint = f"CUDA_VISIBLE_DEVICES={hidden} hides it; unset it"
    elif not any(_version(plugin) for plugin in CUDA_PLUGINS):
        hint = 'JAX was installed without CUDA: pip install -e ".[cuda]"'
    else:
        hint = (
            "the driver may be too old (CUDA 13 needs 580 or newer), or a container was started without the GPU; "
            'JAX_PLATFORMS=cuda python -c "import jax; jax.devices()" says why'
        )
    return Finding(Mark.PROBLEM, "GPU in use", f"{sign}, but JAX fell back to the CPU", hint)


def devices_and_memory(devices: Sequence[Any]) -> Iterator[Finding]:
    """The devices of this process by kind, with the memory that JAX may use on each, and the host's."""
    for kind in sorted({device.device_kind for device in devices}):
        alike = [device for device in devices if device.device_kind == kind]
        limits = [limit for limit in map(memory_limit, alike) if limit]
        memory = f", {size(min(limits))} usable on each" if limits else ""
        yield Finding(Mark.OK, "devices", f"{len(alike)} x {kind}{memory}")
    total, available = host_memory()
    yield Finding(Mark.OK, "host memory", f"{size(total)}, {size(available)} of it available" if total else "unknown")
    yield Finding(Mark.OK, "CPU cores", f"{cores()} for this process")


def memory_limit(device: Any) -> int | None:
    """Bytes that JAX may use on a device; None on the CPU."""
    return (device.memory_stats() or {}).get("bytes_limit")


def host_memory(root: Path = Path("/")) -> tuple[int, int]:
    """Bytes in all and available, of the machine or of the container's share; zeros where nobody tells."""
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


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def all_reduce(devices: Sequence[Any]) -> Finding:
    """A sum over all devices: right, and how long it takes."""
    import jax
    from jax.sharding import NamedSharding, PartitionSpec

    from glcic_jax.training.mesh import AXIS, make_mesh

    mesh = make_mesh(list(devices))
    reduce = jax.jit(
        jax.shard_map(
            lambda x: jax.lax.psum(x, AXIS), mesh=mesh, in_specs=PartitionSpec(AXIS), out_specs=PartitionSpec()
        )
    )
    parts = np.repeat(np.arange(1, mesh.size + 1, dtype=np.float32), _REDUCED_VALUES)
    placed = jax.device_put(parts, NamedSharding(mesh, PartitionSpec(AXIS)))
    result = jax.device_get(reduce(placed))
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        jax.block_until_ready(reduce(placed))
        seconds.append(time.perf_counter() - start)
    expected = mesh.size * (mesh.size + 1) / 2
    said = f"{size(4 * _REDUCED_VALUES)} over {mesh.size} device(s) in {duration(min(seconds))}"
    if result.shape != (_REDUCED_VALUES,) or not (result == expected).all():
        wrong = f"{said}, but the sum is {result.flat[0]} where it should be {expected}"
        return Finding(
            Mark.PROBLEM, "all-reduce", wrong, "do not train on these devices; look at their links and drivers"
        )
    return Finding(Mark.OK, "all-reduce", f"{said}, the sum is right")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
