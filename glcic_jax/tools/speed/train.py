"""Images per second of painting and of each stage's step, beside PyTorch, and how far from what the device can do.

One device, synthetic samples that stay on it. Contenders take turns, round by round, so that whatever else the
machine does meets all alike. Operations are counted from the layers, the bytes are the compiler's estimate; a matrix
product and a copy, measured in every round, say how long both would take at the least.
"""

import argparse
import contextlib
import dataclasses
import functools
import importlib.metadata
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from glcic_jax.errors import UserError
from glcic_jax.models.completion import STRIDE_PX, CompletionNetwork
from glcic_jax.recipes import load_recipe, recipe_path
from glcic_jax.run.config import Config, DiscriminatorConfig
from glcic_jax.system.cores import usable_cores
from glcic_jax.system.cpu import tune_cpu
from glcic_jax.tools.speed.ahead import compile_ahead
from glcic_jax.tools.speed.floors import Floors
from glcic_jax.tools.speed.rows import Row, Rows
from glcic_jax.tools.speed.steps import PARTS, Program, Steps
from glcic_jax.tools.speed.tables import OURS, Part, beside, compiled, gap, speed
from glcic_jax.tools.speed.targets import TARGETS
from glcic_jax.tools.speed.yardstick import PLAIN, TUNED, Sizes, Yardstick, add_argument, require
from glcic_jax.training.mesh import make_mesh

_PAUSE_SECS = 0.2
_SMALLEST_PX = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The benchmark's options."""
    parser.add_argument("--px", type=int, default=128, help="side of the images (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=16, help="images in a step (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="whose median is taken (default: %(default)s)")
    parser.add_argument("--config", default="places2", help="recipe (default: %(default)s)")
    parser.add_argument("--network", metavar="RECIPE", help="whose C is trained by --config's losses; such as small")
    parser.add_argument(
        "--widths", "--width", type=_widths, default=[1.0], metavar="WIDTHS",
        help="of both networks; several, such as 0.25,0.5,1, make one table (default: 1)",
    )  # fmt: skip
    parser.add_argument("--parts", default=",".join(PARTS), help="what is measured (default: %(default)s)")
    parser.add_argument("--dtype", default="float32", help="we compute in float32 or bfloat16 (default: %(default)s)")
    parser.add_argument("--microbatches", type=int, default=1, help="that a step goes through (default: %(default)s)")
    parser.add_argument("--remat", action="store_true", help="compute again for the gradient, instead of keeping")
    add_argument(parser)
    parser.add_argument("--tuned", action="store_true", help="PyTorch also with bfloat16, channels_last, torch.compile")
    parser.add_argument(
        "--target", choices=TARGETS, help="compile for this GPU, on any machine, and tell what it will do"
    )
    parser.add_argument(
        "--devices", type=int, default=1, help="so many of that GPU share a step (default: %(default)s)"
    )
    parser.add_argument("--compile_only", action="store_true", help="only what is known without running anything")


def measure(options: argparse.Namespace) -> dict[str, Rows]:
    """Tables: speed, floors, and what was measured on; of several widths one for all; or what compiling alone tells."""
    parts = _parts(options)
    configs = {width: _config(options, width) for width in options.widths}
    if options.target:
        return compile_ahead(options.target, options.devices, configs[options.widths[0]], parts, _title(options))
    tune_cpu()
    jax.config.update("jax_enable_compilation_cache", False)  # compiling would look fast
    if options.yardstick:  # on GPUs PyTorch needs its share; read when JAX starts its devices, here below
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    device = jax.devices()[0]
    title = _title(options)
    if options.compile_only:
        compiled_rows: Rows = []
        for width, config in configs.items():
            steps = Steps(config, make_mesh([device]))
            found = [_part(config, steps, name, steps.compile(name)) for name in parts]
            compiled_rows += [({"width": width} if len(configs) > 1 else {}) | compiled(part) for part in found]
        return {title: compiled_rows, "on": _machine(device)}
    if len(configs) > 1:
        rows: Rows = []
        for width, config in configs.items():
            found, floors, torch = _measure(options, config, parts, device)
            rows += [beside(width, part, floors) for part in found]
        return {title: rows, "on": _machine(device) + torch}
    found, floors, torch = _measure(options, configs[options.widths[0]], parts, device)
    return {
        title: [row for part in found for row in speed(part)],
        "an image beside the device's rates; share: of the product's rate": [gap(part, floors) for part in found],
        "on": _machine(device) + _rates(floors) + torch,
    }


def _title(options: argparse.Namespace) -> str:
    settings = [options.config, f"{options.px} px", f"batch of {options.batch}"]
    if options.network:
        settings.append(f"C's form of {options.network}")
    if len(options.widths) == 1:
        settings.append(f"width {options.widths[0]:g}")
    settings.append(options.dtype)
    if options.microbatches > 1:
        settings.append(f"{options.microbatches} microbatches")
    return ", ".join(settings + ["recomputing"] * options.remat)


def _measure(
    options: argparse.Namespace, config: Config, parts: list[str], device: jax.Device
) -> tuple[list[Part], Floors, Rows]:
    """Compiles all parts and lets contenders and floors take turns; and says which PyTorch took part."""
    steps = Steps(config, make_mesh([device]))
    with contextlib.ExitStack() as stack:
        yardstick = None
        if options.yardstick:
            width = config.completion.width_multiplier
            sizes = Sizes(config.crop_px, config.window_px, config.batch_size, width, _departures(config))
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
        return found, floors, _torch(yardstick) if yardstick else []


def _departures(config: Config) -> tuple[tuple[str, Any], ...]:
    """What a yardstick is told of C: the fields in which it is not the paper's."""
    paper = CompletionNetwork()
    fields = ("negative_slope", "normalization", "residual", "upsampling", "output")
    ours = [(field, getattr(config.completion, field)) for field in fields]
    return tuple((field, value) for field, value in ours if value != getattr(paper, field))


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
    facts: Row = {
        "device": _processor() if device.platform == "cpu" else device.device_kind,
        "CPU cores": usable_cores(),
        **{package: importlib.metadata.version(package) for package in ("jax", "jaxlib")},
    }
    return [{"": what, "value": value} for what, value in facts.items()]


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
    for option in ("batch", "rounds", "microbatches", "devices"):
        if getattr(options, option) < 1:
            raise UserError(f"--{option} is {getattr(options, option)}; it must be at least 1")
    if options.tuned and not options.yardstick:
        raise UserError("--tuned is how PyTorch runs; add --yardstick")
    if options.yardstick and options.compile_only:
        raise UserError("--compile_only runs nothing; leave --yardstick out")
    if options.yardstick and options.target:
        raise UserError("--target runs nothing; leave --yardstick out")
    if options.target and len(options.widths) > 1:
        raise UserError("--target compiles one width; give one in --widths")
    if options.devices > 1 and not options.target:
        raise UserError("--devices says how many of a --target share a step; here one device is measured")
    if options.yardstick:
        require(options.yardstick)
    return list(dict.fromkeys(parts))


def _widths(text: str) -> list[float]:
    return list(dict.fromkeys(float(width) for width in text.split(",")))


def _config(options: argparse.Namespace, width: float) -> Config:
    """The recipe in the sizes asked for. Raises: UserError."""
    px = options.px
    overrides = {
        "crop_px": px,
        "window_px": px // 2,
        "short_side_px": f"({px},{px})",
        "hole_px": f"({px * 3 // 8},{px // 2})",
        "batch_size": options.batch,
        "compute_dtype": options.dtype,
        "completion.width_multiplier": width,
        "discriminator.width_multiplier": width,
    }
    if options.microbatches > 1:
        overrides["microbatches"] = options.microbatches
    if options.remat:
        overrides["remat"] = True
    arguments = [f"--config.{key}={value}" for key, value in overrides.items()]
    recipe = load_recipe(recipe_path(options.config), arguments)
    if options.network:
        other = load_recipe(recipe_path(options.network), [])
        recipe.completion, recipe.initial_values = other.completion, other.initial_values
        recipe.completion.width_multiplier = width
    config = Config.from_config_dict(recipe)
    if config.context_encoder is not None or config.adversarial != "fooling":
        raise UserError(f"--config is {options.config}, a rival's way of training; only the paper's is measured here")
    if options.yardstick and {"2", "3"} & set(_parts(options)) and not _is_papers(config.discriminator):
        raise UserError(
            f"--yardstick has the paper's discriminator, not that of {options.config}; take --parts=forward,1, or "
            f"--network={options.config}, its completion network in the paper's training"
        )
    return config


def _is_papers(discriminator: DiscriminatorConfig) -> bool:
    """Whether it is the paper's but for its width."""
    paper = Config.from_config_dict(load_recipe(recipe_path("places2"), [])).discriminator
    return dataclasses.replace(discriminator, width_multiplier=paper.width_multiplier) == paper
