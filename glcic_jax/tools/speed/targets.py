"""GPUs that programs are compiled for on machines that have none."""

import importlib.util
from typing import NamedTuple

import jax
from jax.experimental import topologies

from glcic_jax.errors import UserError

_PLUGINS = ("jax_cuda13_plugin", "jax_cuda12_plugin")


class Target(NamedTuple):
    """A GPU by its data sheet.

    description: as the driver names it.
    compute: major and minor version of what it can.
    cores: multiprocessors.
    shared_bytes: that the blocks of a multiprocessor share.
    bandwidth: bytes per second.
    rates: operations per second of dense matrix products, by compute dtype; float32 is TF32.
    """

    description: str
    compute: tuple[int, int]
    cores: int
    fpus: int
    shared_bytes: int
    l2_bytes: int
    memory_bytes: int
    clock_ghz: float
    bandwidth: float
    rates: dict[str, float]


_H100_RATES = {"bfloat16": 989e12, "float32": 495e12, "float64": 67e12}
_A100_RATES = {"bfloat16": 312e12, "float32": 156e12, "float64": 19.5e12}
TARGETS = {
    "h100": Target(
        "NVIDIA H100 80GB HBM3", (9, 0), 132, 128, 233472, 52428800, 84942979072, 1.98, 3.35232e12, _H100_RATES
    ),
    "h200": Target("NVIDIA H200", (9, 0), 132, 128, 233472, 52428800, 151397597184, 1.98, 4.8e12, _H100_RATES),
    "a100": Target(
        "NVIDIA A100-SXM4-80GB", (8, 0), 108, 64, 167936, 41943040, 85094826240, 1.41, 2.039e12, _A100_RATES
    ),
}
_TEXT = """
gpu_device_info {{
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048
  shared_memory_per_block: 49152 shared_memory_per_core: {shared_bytes} shared_memory_per_block_optin: {optin_bytes}
  core_count: {cores} fpus_per_core: {fpus} clock_rate_ghz: {clock_ghz}
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: {bandwidth:.0f} l2_cache_size: {l2_bytes} device_memory_size: {memory_bytes}
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  cuda_compute_capability {{ major: {major} minor: {minor} }}
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 patch: 0 }}
device_description_str: "{description}"
"""


def make_devices(name: str, count: int) -> list[jax.Device]:
    """Devices of one of TARGETS for a mesh that is compiled for; none is looked for. Raises: UserError."""
    if not any(importlib.util.find_spec(plugin) for plugin in _PLUGINS):
        raise UserError(
            "--target needs XLA's compiler for GPUs; pip install 'glcic-jax[cuda]' (5 GB; no GPU is needed)"
        )
    target = TARGETS[name]
    major, minor = target.compute
    # One KiB of what a multiprocessor shares is the system's.
    text = _TEXT.format(**target._asdict(), major=major, minor=minor, optin_bytes=target.shared_bytes - 1024)
    topology = topologies.get_topology_desc(
        platform="cuda", topology_name=name, target_config=text, topology=f"1x1x{count}"
    )
    return list(topology.devices)
