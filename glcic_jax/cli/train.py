"""`train`: a recipe and shards into a model; the same command continues where it was stopped."""

import argparse
import logging
import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Self

from rich.console import Console

from glcic_jax.allocator import keep_freed_memory
from glcic_jax.cli.main import EXIT_NOT_FINITE, EXIT_USER_ERROR
from glcic_jax.cli.recipes import load_recipe, recipe_path
from glcic_jax.compilation import keep_compiled_programs
from glcic_jax.errors import UserError

EXIT_STOPPED = 75  # EX_TEMPFAIL: run the same command again


def main(arguments: list[str]) -> int:
    """Parses the arguments and trains."""
    parser = argparse.ArgumentParser(
        prog="train",
        description=__doc__,
        epilog="Any key of the recipe can be changed: --config.batch_size=16 --config.completion.width_multiplier=0.5. "
        f"Exit codes: 0 finished, 2 an error to mend, 3 a loss was not finite, {EXIT_STOPPED} stopped by a signal "
        "and saved: the same command continues, 76 another process is gone or stuck: start all again.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", required=True, help="recipe: a file, or the name of one in configs/")
    parser.add_argument("--workdir", type=Path, help="folder of the run (default: runs/RECIPE)")
    parser.add_argument(
        "--allow_config_change",
        action="store_true",
        help="go on although the recipe or the data are not those that the run was started with",
    )
    several = parser.add_argument_group("several processes, on one host or many (docs/cluster.md)")
    several.add_argument("--coordinator", metavar="HOST:PORT", help="where process 0 can be reached by all")
    several.add_argument("--process_id", type=int, help="of this process, counted from 0")
    several.add_argument("--process_count", type=int, help="of all")
    several.add_argument("--multi_process", action="store_true", help="take these three from SLURM or Kubernetes")
    options, overrides = parser.parse_known_args(arguments)
    path = recipe_path(options.config)
    config = load_recipe(path, overrides)
    workdir = options.workdir or Path("runs") / path.stem

    from glcic_jax.training import processes

    place = processes.find_place(options.coordinator, options.process_id, options.process_count, options.multi_process)
    logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax tells every file it touches and every wait
    if place is None:
        with StopOnSignal() as stop:
            return _train(config, workdir, lambda step: stop.asked, options.allow_config_change)
    processes.join(place)
    signal.signal(signal.SIGINT, _terminate_then_leave)
    try:
        return _train(config, workdir, lambda step: processes.stop_wanted(), options.allow_config_change)
    except UserError as error:
        processes.leave(f"train: error: {error}", EXIT_USER_ERROR)
    except FloatingPointError as error:
        processes.leave(f"train: error: {error}", EXIT_NOT_FINITE)
    except Exception as error:
        traceback.print_exc()
        processes.leave(
            f"train: process {place.process_id} leaves: {type(error).__name__}, most likely because another process is "
            "gone; start all again, they go on from the last checkpoint",
            processes.EXIT_PEER_LOST,
        )
    raise AssertionError("leave does not come back")


def _train(config: Any, workdir: Path, should_stop: Callable[[int], bool], allow_config_change: bool) -> int:
    """Trains and tells; returns the exit code."""
    from glcic_jax.training.loop import Stopped, train
    from glcic_jax.training.processes import is_first
    from glcic_jax.training.progress import Progress

    keep_freed_memory()
    keep_compiled_programs()
    console = Console(quiet=not is_first())
    try:
        train(
            config,
            workdir,
            Progress(console),
            should_stop=should_stop,
            allow_config_change=allow_config_change,
        )
    except Stopped as stopped:
        console.print(str(stopped), highlight=False, markup=False, soft_wrap=True)
        return EXIT_STOPPED
    console.print(
        f"done. The model is {workdir}/model; complete a photograph with:\n"
        f"  python launch/complete.py PHOTO.jpg --mask=MASK.png --model={workdir}/model",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    return 0


class StopOnSignal:
    """SIGINT and SIGTERM ask the loop to stop after its step; a second SIGINT leaves at once."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._handle) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, _leave)


def _terminate_then_leave(number: int, frame: FrameType | None) -> None:
    """The first Ctrl-C is a SIGTERM, which the processes agree upon."""
    signal.signal(signal.SIGINT, _leave)
    os.kill(os.getpid(), signal.SIGTERM)


def _leave(number: int, frame: FrameType | None) -> None:
    """The second Ctrl-C waits for nothing."""
    from glcic_jax.training.processes import leave

    Console().show_cursor()
    leave("train: error: interrupted; what was not saved yet is lost", 130)
