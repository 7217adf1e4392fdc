"""The machine: versions, devices, whether a GPU is there and used, memory, and whether an all-reduce is right."""

import importlib.metadata
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glcic_jax.system.cores import usable_cores
from glcic_jax.system.memory import host_memory
from glcic_jax.system.packages import INSTALL_TRAINING
from glcic_jax.system.units import format_bytes, format_seconds
from glcic_jax.tools.doctor.checks import Check, Status

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain")
CUDA_PLUGINS = ("jax-cuda13-plugin", "jax-cuda12-plugin")
_REDUCED_VALUES = 2**20
_NVIDIA_PCI_VENDOR = "0x10de"
_DISPLAY_PCI_CLASS = "0x03"


def check_versions() -> Iterator[Check]:
    """Versions of Python and of the packages that results depend on."""
    python = platform.python_version_tuple()
    known = ("3", "11") <= python[:2] <= ("3", "13")
    yield Check(
        Status.OK if known else Status.WARNING,
        "Python",
        platform.python_version(),
        "" if known else "tested are 3.11 to 3.13",
    )
    versions = {package: installed_version(package) for package in (*PACKAGES, *CUDA_PLUGINS)}
    missing = [package for package in PACKAGES if versions[package] is None]
    yield Check(
        Status.PROBLEM if missing else Status.OK,
        "packages",
        ", ".join(f"{package} {version}" for package, version in versions.items() if version),
        f"missing: {', '.join(missing)}; {INSTALL_TRAINING}" if missing else "",
    )


def check_load(waiting: float, cores: int) -> Iterator[Check]:
    """Whether other programs want the cores that the steps are about to be measured on.

    Args:
        waiting: how many threads ran or waited for a core, on average over the last minute.
        cores: how many there are.

    """
    if waiting > max(1, cores / 2):
        yield Check(
            Status.WARNING,
            "load",
            f"{waiting:.0f} threads of other programs want {cores} cores",
            "times measured below are too long; look again when they are done",
        )


def find_nvidia_signs(root: Path = Path("/")) -> list[str]:
    """Signs of an NVIDIA GPU in this machine, whether JAX sees it or not."""
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


def check_accelerator(platforms: Sequence[str], signs: Sequence[str], environment: dict[str, str]) -> Check:
    """Whether the machine's GPU is used; a silent fall-back to the CPU is a problem.

    Args:
        platforms: of JAX's devices, such as ["cpu"].
        signs: as `find_nvidia_signs` returns them.
        environment: variables of the process, where JAX_PLATFORMS and the like may be set.

    """
    used = sorted(set(platforms) - {"cpu"})
    if used:
        return Check(Status.OK, "GPU in use", f"JAX computes on: {', '.join(used)}")
    if not signs:
        return Check(Status.OK, "GPU in use", "no NVIDIA GPU in this machine; JAX computes on the CPU")
    sign = f"an NVIDIA GPU is in this machine ({signs[-1]})"
    if environment.get("JAX_PLATFORMS") == "cpu":
        return Check(
            Status.WARNING,
            "GPU in use",
            f"{sign}, but JAX_PLATFORMS=cpu keeps JAX on the CPU",
            "unset JAX_PLATFORMS, unless that is what you want",
        )
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible in ("", "-1"):
        advice = f"CUDA_VISIBLE_DEVICES={visible} hides it; unset it"
    elif not any(installed_version(plugin) for plugin in CUDA_PLUGINS):
        advice = 'JAX was installed without CUDA: pip install -e ".[cuda]"'
    else:
        advice = (
            "the driver may be too old (CUDA 13 needs 580 or newer), or a container was started without the GPU; "
            'JAX_PLATFORMS=cuda python -c "import jax; jax.devices()" says why'
        )
    return Check(Status.PROBLEM, "GPU in use", f"{sign}, but JAX fell back to the CPU", advice)


def check_devices(devices: Sequence[Any]) -> Iterator[Check]:
    """The devices of this process by kind, the memory that JAX may use on each, and the host's memory and cores."""
    for kind in sorted({device.device_kind for device in devices}):
        alike = [device for device in devices if device.device_kind == kind]
        limits = [limit for limit in map(memory_limit, alike) if limit]
        memory = f", {format_bytes(min(limits))} usable on each" if limits else ""
        yield Check(Status.OK, "devices", f"{len(alike)} x {kind}{memory}")
    total, available = host_memory()
    memory = f"{format_bytes(total)}, {format_bytes(available)} of it available" if total else "unknown"
    yield Check(Status.OK, "host memory", memory)
    yield Check(Status.OK, "CPU cores", f"{usable_cores()} for this process")


def memory_limit(device: Any) -> int | None:
    """Bytes that JAX may use on a device; None on the CPU."""
    return (device.memory_stats() or {}).get("bytes_limit")


def check_all_reduce(devices: Sequence[Any]) -> Check:
    """Whether a sum over all devices is right, and how long it takes."""
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
    total = jax.device_get(reduce(placed))
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        jax.block_until_ready(reduce(placed))
        seconds.append(time.perf_counter() - start)
    expected = mesh.size * (mesh.size + 1) / 2
    result = f"{format_bytes(4 * _REDUCED_VALUES)} over {mesh.size} device(s) in {format_seconds(min(seconds))}"
    if total.shape != (_REDUCED_VALUES,) or not (total == expected).all():
        wrong = f"{result}, but the sum is {total.flat[0]} where it should be {expected}"
        return Check(
            Status.PROBLEM, "all-reduce", wrong, "do not train on these devices; look at their links and drivers"
        )
    return Check(Status.OK, "all-reduce", f"{result}, the sum is right")


def installed_version(package: str) -> str | None:
    """Of a package; None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
