"""Images per second of painting and of each stage's step, beside PyTorch, and how far from what the device can do.

One device, synthetic samples that stay on it. Contenders take turns, round by round, so that whatever else the
machine does meets all alike. Operations are counted from the layers, the bytes are the compiler's estimate; a matrix
product and a copy, measured in every round, say how long both would take at the least.
"""

import argparse
import contextlib
import functools
import importlib.metadata
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import jax

from glcic_jax.allocator import keep_freed_memory
from glcic_jax.cli.benchmark_floors import Floors
from glcic_jax.cli.benchmark_steps import PARTS, Program, Steps
from glcic_jax.cli.benchmark_tables import OURS, Part, Rows, compiled, gap, speed
from glcic_jax.cli.benchmark_yardstick import PLAIN, TUNED, Sizes, Yardstick, require
from glcic_jax.cli.doctor_machine import cores
from glcic_jax.cli.recipes import load_recipe, recipe_path
from glcic_jax.errors import UserError
from glcic_jax.models.completion import STRIDE_PX
from glcic_jax.training.mesh import make_mesh
from glcic_jax.training.setup import Config, check

_PAUSE_SECS = 0.2
_SMALLEST_PX = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The benchmark's options."""
    parser.add_argument("--px", type=int, default=128, help="side of the images (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=16, help="images in a step (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="whose median is taken (default: %(default)s)")
    parser.add_argument("--config", default="places2", help="recipe (default: %(default)s)")
    parser.add_argument("--width", type=float, default=1.0, help="of both networks (default: %(default)s)")
    parser.add_argument("--parts", default=",".join(PARTS), help="what is measured (default: %(default)s)")
    parser.add_argument("--dtype", default="float32", help="we compute in float32 or bfloat16 (default: %(default)s)")
    parser.add_argument("--microbatches", type=int, default=1, help="that a step goes through (default: %(default)s)")
    parser.add_argument("--remat", action="store_true", help="compute again for the gradient, instead of keeping")
    parser.add_argument("--yardstick", type=Path, help="a Python file with a PyTorch `Trainer`, measured beside ours")
    parser.add_argument("--tuned", action="store_true", help="PyTorch also with bfloat16, channels_last, torch.compile")
    parser.add_argument("--compile_only", action="store_true", help="only what is known without running anything")


def measure(options: argparse.Namespace) -> dict[str, Rows]:
    """Tables: speed, floors, and what was measured on; or what compiling alone tells."""
    parts, config = _parts(options), _config(options)
    keep_freed_memory()
    jax.config.update("jax_enable_compilation_cache", False)  # compiling would look fast
    if options.yardstick:  # on GPUs PyTorch needs its share; read when JAX starts its devices, here below
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    device = jax.devices()[0]
    steps = Steps(config, make_mesh([device]))
    title = f"{options.config}, {options.px} px, batch of {options.batch}, width {options.width:g}, {options.dtype}"
    title += f", {options.microbatches} microbatches" if options.microbatches > 1 else ""
    title += ", recomputing" if options.remat else ""
    if options.compile_only:
        found = [_part(config, steps, name, steps.compile(name)) for name in parts]
        return {title: [compiled(part) for part in found], "on": _machine(device)}
    with contextlib.ExitStack() as stack:
        yardstick = None
        if options.yardstick:
            sizes = Sizes(config.crop_px, config.window_px, config.batch_size, options.width)
            yardstick = Yardstick(options.yardstick, sizes, "cuda" if device.platform == "gpu" else "cpu")
            stack.enter_context(yardstick)
        found, watches = [], {}
        for name in parts:  # before anything else is on the device, whose peak is that of all parts so far
            program, watches[name] = steps.compile(name), steps.stopwatch(name)
            watches[name].warm_up()
            found.append(_part(config, steps, name, program, (device.memory_stats() or {}).get("peak_bytes_in_use", 0)))
        floors = Floors(options.dtype)
        for part in found:
            contenders = {OURS: watches[part.name].step_secs}
            if yardstick:
                for who in (PLAIN, TUNED) if options.tuned else (PLAIN,):
                    contenders[who] = functools.partial(yardstick.step_secs, who, part.name)
            _take_turns(part, contenders, floors, options.rounds)
    return {
        title: [row for part in found for row in speed(part)],
        "an image beside the device's rates; share: of the product's rate": [gap(part, floors) for part in found],
        "on": _machine(device) + _rates(floors) + (_torch(yardstick) if yardstick else []),
    }


def _part(config: Config, steps: Steps, name: str, program: Program, peak_bytes: int = 0) -> Part:
    return Part(name, config.batch_size, steps.operations(name), program, peak_bytes, {})


def _take_turns(part: Part, contenders: dict[str, Callable[[], float]], floors: Floors, rounds: int) -> None:
    """Measures all of them, and the floors, `rounds` times, and leaves the seconds in the part."""
    for _ in range(rounds):
        floors.measure()
        for who, step_secs in contenders.items():
            time.sleep(_PAUSE_SECS)  # the threads of whoever was before still spin for a moment
            part.seconds.setdefault(who, []).append(step_secs())


def _machine(device: jax.Device) -> Rows:
    found = {
        "device": _processor() if device.platform == "cpu" else device.device_kind,
        "CPU cores": cores(),
        **{package: importlib.metadata.version(package) for package in ("jax", "jaxlib")},
    }
    return [{"": what, "value": value} for what, value in found.items()]


def _rates(floors: Floors) -> Rows:
    return [
        {"": f"product of {floors.size} x {floors.size} matrices, GFLOP/s", "value": floors.product_rate / 1e9},
        {"": "copying, GB/s read and written", "value": floors.bandwidth / 1e9},
    ]


def _torch(yardstick: Yardstick) -> Rows:
    return [{"": "torch", "value": yardstick.version}, {"": "its threads", "value": yardstick.threads}]


def _processor() -> str:
    """The CPU's name."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _parts(options: argparse.Namespace) -> list[str]:
    """Checks the options and splits --parts. Raises: UserError."""
    parts = options.parts.split(",")
    for part in parts:
        if part not in PARTS:
            raise UserError(f"--parts has {part!r}; there are {', '.join(PARTS)}")
    if options.px % STRIDE_PX or options.px < _SMALLEST_PX:
        raise UserError(f"--px is {options.px}; it must be a multiple of {STRIDE_PX}, at least {_SMALLEST_PX}")
    for option in ("batch", "rounds", "microbatches"):
        if getattr(options, option) < 1:
            raise UserError(f"--{option} is {getattr(options, option)}; it must be at least 1")
    if options.tuned and not options.yardstick:
        raise UserError("--tuned is how PyTorch runs; say with --yardstick which file has its trainer")
    if options.yardstick and options.compile_only:
        raise UserError("--compile_only runs nothing; leave --yardstick out")
    if options.yardstick:
        require(options.yardstick)
    return list(dict.fromkeys(parts))


def _config(options: argparse.Namespace) -> Config:
    """The recipe in the sizes asked for. Raises: UserError."""
    px = options.px
    overrides = {
        "crop_px": px,
        "window_px": px // 2,
        "short_side_px": f"({px},{px})",
        "hole_px": f"({px * 3 // 8},{px // 2})",
        "batch_size": options.batch,
        "compute_dtype": options.dtype,
        "completion.width_multiplier": options.width,
        "discriminator.width_multiplier": options.width,
    }
    if options.microbatches > 1:
        overrides["microbatches"] = options.microbatches
    if options.remat:
        overrides["remat"] = True
    arguments = [f"--config.{key}={value}" for key, value in overrides.items()]
    config = load_recipe(recipe_path(options.config), arguments)
    if config.context_encoder is not None or config.adversarial != "fooling":
        raise UserError(f"--config is {options.config}, a rival's way of training; only the paper's is measured here")
    check(config)
    return config
