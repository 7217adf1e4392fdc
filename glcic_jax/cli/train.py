"""`train`: a recipe and shards into a model; the same command continues where it was stopped."""

import argparse
import logging
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from glcic_jax.exit_codes import ExitCode
from glcic_jax.recipes import load_recipe, recipe_path
from glcic_jax.system.compilation import keep_compiled_programs
from glcic_jax.system.cpu import tune_cpu
from glcic_jax.system.paths import user_path

if TYPE_CHECKING:
    from glcic_jax.run.config import Config


def main(arguments: list[str]) -> int:
    """Parses the arguments and trains."""
    options, overrides = _parser().parse_known_args(arguments)
    path = recipe_path(options.config)
    recipe = load_recipe(path, overrides)
    workdir = options.workdir or Path("runs") / path.stem

    from glcic_jax.run import processes
    from glcic_jax.run.config import Config
    from glcic_jax.run.failures import describe_failure
    from glcic_jax.run.signals import StopOnSignal

    config = Config.from_config_dict(recipe)
    place = processes.find_place(options.coordinator, options.process_id, options.process_count, options.multi_process)
    logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax logs every file it touches and every wait
    tune_cpu()
    keep_compiled_programs()
    if place is not None:
        processes.join(place)
    with StopOnSignal() as stop:
        agreement = processes.StopAgreement(lambda: stop.asked) if place is not None else None
        try:
            return _train(
                config,
                workdir,
                should_stop=lambda step: agreement() if agreement else stop.asked,
                allow_config_change=options.allow_config_change,
                restart=options.restart,
            )
        except Exception as error:
            failure = describe_failure(error, processes.count())
            if failure.is_ours:
                traceback.print_exc()
            message = f"train: error: {' '.join(failure.message.split())}"
            if place is not None:  # the others may be gone, and an orderly end would wait for them
                processes.leave(message, failure.code)
            print(message, file=sys.stderr)
            return failure.code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="train",
        description=__doc__,
        epilog="Any key of the recipe can be changed: --config.batch_size=16 --config.completion.width_multiplier=0.5. "
        "Exit codes: 0 finished, 1 an error of the program or the device, 2 an error to mend, 3 a loss was not finite, "
        "75 stopped by a signal and saved: the same command continues, 76 another process is gone or stuck: start all "
        "of them again.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", required=True, help="recipe: a file, or the name of one in configs/")
    parser.add_argument("--workdir", type=user_path, help="folder of the run (default: runs/RECIPE)")
    parser.add_argument(
        "--allow_config_change",
        action="store_true",
        help="go on although the recipe or the data are not those that the run was started with",
    )
    parser.add_argument(
        "--restart", action="store_true", help="begin anew if there are checkpoints and all of them are damaged"
    )
    several = parser.add_argument_group("several processes, on one host or many (docs/cluster.md)")
    several.add_argument("--coordinator", metavar="HOST:PORT", help="where process 0 can be reached by all")
    several.add_argument("--process_id", type=int, help="of this process, counted from 0")
    several.add_argument("--process_count", type=int, help="of all")
    several.add_argument("--multi_process", action="store_true", help="take these three from SLURM or Kubernetes")
    return parser


def _train(
    config: "Config",
    workdir: Path,
    *,
    should_stop: Callable[[int], bool],
    allow_config_change: bool,
    restart: bool,
) -> int:
    """Trains and says how it ended; returns the exit code."""
    from glcic_jax.run.loop import Stopped, train
    from glcic_jax.run.processes import is_first
    from glcic_jax.run.progress import Progress

    console = Console(quiet=not is_first())
    try:
        train(
            config,
            workdir,
            Progress(console),
            should_stop=should_stop,
            allow_config_change=allow_config_change,
            restart=restart,
        )
    except Stopped as stopped:
        console.print(str(stopped), highlight=False, markup=False, soft_wrap=True)
        return ExitCode.STOPPED
    console.print(
        f"done. The model is {workdir}/model; complete a photograph with:\n"
        f"  glcic complete PHOTO.jpg --mask=MASK.png --model={workdir}/model",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    return ExitCode.DONE
