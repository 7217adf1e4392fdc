"""What checkpoints cost the training: how long a save holds it up, and step times with and without saving.

The state is the recipe's; the steps are those of stage 1, on crops that may be small.
"""

import argparse
import functools
import statistics
import tempfile
import time
from pathlib import Path

import jax

from glcic_jax.recipes import load_recipe, recipe_path
from glcic_jax.run.checkpoint import Checkpoints
from glcic_jax.run.config import Config
from glcic_jax.run.origin import Origin
from glcic_jax.run.setup import build_specification, initial_state
from glcic_jax.system.paths import user_path
from glcic_jax.tools.speed.rows import Row, Rows
from glcic_jax.tools.synthetic import count_state_bytes, make_batch
from glcic_jax.training.mesh import make_mesh, map_over_mesh, put_batch, put_replicated
from glcic_jax.training.step import completion_step

_BINS = 8
_MEAN_COLOR = (0.5, 0.5, 0.5)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--config", default="places2", help="recipe whose state is saved (default: %(default)s)")
    parser.add_argument("--crop_px", type=int, default=64, help="of the steps' images (default: %(default)s)")
    parser.add_argument("--batch_size", type=int, default=len(jax.devices()), help="(default: one for each device)")
    parser.add_argument("--steps", type=int, default=60, help="with saving, and as many without (default: %(default)s)")
    parser.add_argument("--every_steps", type=int, default=10, help="from save to save (default: %(default)s)")
    parser.add_argument("--folder", type=user_path, help="where to save (default: the system's temporary folder)")


def measure(options: argparse.Namespace) -> dict[str, Rows]:
    """Two tables: the saves, and how often a step took how long."""
    config = Config.from_config_dict(load_recipe(recipe_path(options.config), []))
    mesh, spec = make_mesh(), build_specification(config, _MEAN_COLOR)
    state = put_replicated(mesh, initial_state(config, spec))
    size = count_state_bytes(state)
    small = load_recipe(
        recipe_path(options.config),
        [f"--config.crop_px={options.crop_px}", f"--config.window_px={options.crop_px}",
         f"--config.hole_px=({options.crop_px // 4},{options.crop_px // 2})",
         f"--config.batch_size={options.batch_size}"],
    )  # fmt: skip
    batch = put_batch(mesh, make_batch(Config.from_config_dict(small)))
    step = map_over_mesh(functools.partial(completion_step, spec=spec), mesh)
    state, metrics = step(state, batch)
    jax.block_until_ready(metrics)
    times: dict[bool, list[float]] = {False: [], True: []}
    held, written = [], []
    with (
        tempfile.TemporaryDirectory(dir=options.folder) as folder,
        Checkpoints(Path(folder), Origin.of_run(config, (), _MEAN_COLOR), keep_latest=1) as checkpoints,
    ):
        # By turns, so that whatever else the machine does meets both alike; the first save compiles.
        for index in range(2 * options.steps // options.every_steps + 1):
            saving = index % 2 == 0
            for number in range(options.every_steps):
                begun = time.perf_counter()
                state, metrics = step(state, batch)
                jax.block_until_ready(metrics)
                if saving and not number:
                    called = time.perf_counter()
                    checkpoints.save(index, state)
                    held.append(time.perf_counter() - called)
                times[saving].append(time.perf_counter() - begun)
            if saving:
                checkpoints.wait()
                written.append(time.perf_counter() - called)
                if failure := checkpoints.failure():
                    raise OSError(f"saving failed: {failure}")
    held, written, times[True] = held[1:], written[1:], times[True][options.every_steps :]
    saves: Row = {
        "state": f"{size / 1e6:.0f} MB",
        "saves": len(held),
        "held up, median ms": 1e3 * statistics.median(held),
        "held up, most ms": 1e3 * max(held),
        "on the disk, at most s": max(written),
    }
    medians: Row = {
        "steps": "median ms",
        **{_name(saving): round(1e3 * statistics.median(values)) for saving, values in times.items()},
    }
    return {"saving": [saves], "times of steps": [medians, *_histogram(times)]}


def _histogram(times: dict[bool, list[float]]) -> Rows:
    """How many steps took how long."""
    everything = sorted(times[False] + times[True])
    first, width = everything[0], max(1e-4, (everything[-1] - everything[0]) / _BINS)
    rows: Rows = []
    for index in range(_BINS):
        low, high = first + index * width, first + (index + 1) * width
        last = index == _BINS - 1
        counts = {
            _name(saving): sum(low <= value < high or (last and value >= high) for value in values)
            for saving, values in times.items()
        }
        rows.append({"steps": f"{1e3 * low:.0f} to {1e3 * high:.0f} ms", **counts})
    return rows


def _name(saving: bool) -> str:
    return "with saving" if saving else "without"
