"""`train`: a recipe and shards into a model; the same command continues where it was stopped."""

import argparse
import logging
import signal
from pathlib import Path
from types import FrameType
from typing import Self

from rich.console import Console

from glcic_jax.cli.recipes import load_recipe, recipe_path

EXIT_STOPPED = 75  # EX_TEMPFAIL: run the same command again


def main(arguments: list[str]) -> int:
    """Parses the arguments and trains."""
    parser = argparse.ArgumentParser(
        prog="train",
        description=__doc__,
        epilog="Any key of the recipe can be changed: --config.batch_size=16 --config.completion.width_multiplier=0.5. "
        f"Exit codes: 0 finished, 2 an error to mend, 3 a loss was not finite, {EXIT_STOPPED} stopped by a signal "
        "and saved: the same command continues.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", required=True, help="recipe: a file, or the name of one in configs/")
    parser.add_argument("--workdir", type=Path, help="folder of the run (default: runs/RECIPE)")
    options, overrides = parser.parse_known_args(arguments)
    path = recipe_path(options.config)
    config = load_recipe(path, overrides)
    workdir = options.workdir or Path("runs") / path.stem

    from glcic_jax.training.loop import Stopped, train
    from glcic_jax.training.progress import Progress

    logging.getLogger("absl").setLevel(logging.WARNING)  # Orbax tells every file it touches
    console = Console()
    try:
        with _StopOnSignal() as stop:
            train(config, workdir, Progress(console), should_stop=lambda step: stop.asked)
    except Stopped as stopped:
        console.print(str(stopped), highlight=False, markup=False, soft_wrap=True)
        return EXIT_STOPPED
    print(
        f"done. The model is {workdir}/model; complete a photograph with:\n"
        f"  python launch/complete.py PHOTO.jpg --mask=MASK.png --model={workdir}/model"
    )
    return 0


class _StopOnSignal:
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
        signal.signal(signal.SIGINT, signal.default_int_handler)
