"""What a GPU's program will do, from its text, compiled on any machine: bytes, memory, transposes, messages, floors."""

import os
import time
from collections.abc import Callable
from typing import NamedTuple

import jax

from glcic_jax.run.config import Config
from glcic_jax.tools.speed.hlo import COLLECTIVES, TRANSPOSE, Kernel, array_bytes, read_kernels
from glcic_jax.tools.speed.rows import Row, Rows
from glcic_jax.tools.speed.steps import FORWARD, Steps
from glcic_jax.tools.speed.targets import TARGETS, Target, make_devices
from glcic_jax.tools.synthetic import needed_bytes
from glcic_jax.training.mesh import check_batch_size, make_mesh

_LARGEST = 20
_NO_AUTOTUNING = "--xla_gpu_autotune_level=0"  # it would want to run kernels


class AheadPart(NamedTuple):
    """One part's program, of one device.

    operations: of one device's share of the batch, counted from the layers.
    """

    title: str
    operations: float
    needed_bytes: int
    temporary_bytes: int
    compile_secs: float
    kernels: list[Kernel]


def compile_ahead(name: str, devices: int, config: Config, parts: list[str], title: str) -> dict[str, Rows]:
    """Tables of a recipe's parts for so many of one of TARGETS. Raises: UserError."""
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_NO_AUTOTUNING}".strip()
    jax.config.update("jax_platforms", "cpu")  # a GPU that is here would be taken, and is not what is asked about
    mesh = make_mesh(make_devices(name, devices))
    check_batch_size(config.batch_size, mesh, config.microbatches)
    steps = Steps(config, mesh)
    found = [_compile(steps, part, config.batch_size // devices) for part in parts]
    target = TARGETS[name]
    heading = f"{title}, for {devices} x {target.description}"
    return {
        f"{heading}: a step on each device": [_summary(part, target, config.compute_dtype) for part in found],
        "gigabytes read and written, by kind of kernel": tabulate_kinds(found),
        "convolutions with spread kernels or inputs": _list(
            found, lambda part: [k for k in part.kernels if k.is_dilated]
        ),
        "messages between devices": tabulate_messages(found),
    } | {f"{part.title}: the largest kernels": [_describe(part, k) for k in largest(part.kernels)] for part in found}


def _compile(steps: Steps, part: str, images: int) -> AheadPart:
    begun = time.perf_counter()
    compiled = steps.trace(part).lower(lowering_platforms=("cuda",)).compile()
    secs = time.perf_counter() - begun
    title = part if part == FORWARD else f"stage {part}"
    temporary = compiled.memory_analysis().temp_size_in_bytes
    kernels = read_kernels(compiled.as_text())
    return AheadPart(title, steps.operations(part) * images, needed_bytes(compiled), temporary, secs, kernels)


def _summary(part: AheadPart, target: Target, dtype: str) -> Row:
    moved = sum(kernel.moved_bytes for kernel in part.kernels)
    return {
        "part": part.title,
        "needs GB": part.needed_bytes / 1e9,
        "temporary GB": part.temporary_bytes / 1e9,
        "moved GB": moved / 1e9,
        "transposes GB": sum(k.moved_bytes for k in part.kernels if k.kind == TRANSPOSE) / 1e9,
        "TFLOP": part.operations / 1e12,
        "bytes' floor ms": 1e3 * moved / target.bandwidth,
        "products' floor ms": 1e3 * part.operations / target.rates[dtype],
        "kernels": len(part.kernels),
        "compile s": part.compile_secs,
    }


def tabulate_kinds(parts: list[AheadPart]) -> Rows:
    """Each kind's bytes and its number of kernels, in every part."""
    kinds = list(dict.fromkeys(kernel.kind for part in parts for kernel in part.kernels))
    rows: Rows = []
    for kind in kinds:
        row: Row = {"kind": kind}
        for part in parts:
            kernels = [kernel for kernel in part.kernels if kernel.kind == kind]
            row |= {part.title: sum(k.moved_bytes for k in kernels) / 1e9, f"{part.title}, kernels": len(kernels)}
        rows.append(row)
    return rows


def tabulate_messages(parts: list[AheadPart]) -> Rows:
    """By kind: how many, and the bytes that a device puts in; one empty row where nothing is sent."""
    rows: Rows = []
    for part in parts:
        for kind in COLLECTIVES:
            sent = [sum(map(array_bytes, k.arguments)) for k in part.kernels if k.kind == kind]
            if sent:
                rows.append({"part": part.title, "kind": kind, "number": len(sent), "MB": sum(sent) / 1e6})
                rows[-1]["largest MB"] = max(sent) / 1e6
    return rows or [{"part": "all", "kind": "none", "number": 0}]


def largest(kernels: list[Kernel]) -> list[Kernel]:
    """Those that move most."""
    return sorted(kernels, key=lambda kernel: -kernel.moved_bytes)[:_LARGEST]


def _list(parts: list[AheadPart], choose: Callable[[AheadPart], list[Kernel]]) -> Rows:
    rows = [_describe(part, kernel) for part in parts for kernel in choose(part)]
    return rows or [{"part": "all", "GB": 0.0}]


def _describe(part: AheadPart, kernel: Kernel) -> Row:
    return {
        "part": part.title,
        "GB": kernel.moved_bytes / 1e9,
        "kind": kernel.kind,
        "layer": kernel.layer,
        "window": kernel.window or None,
        "writes": _join(kernel.results),
        "reads": _join(kernel.arguments),
    }


def _join(arrays: tuple[str, ...]) -> str:
    """Arrays of more than a megabyte; smaller ones are in the cache, and many."""
    return ", ".join(array for array in arrays if array_bytes(array) > 1e6)
