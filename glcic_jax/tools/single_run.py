"""Training in this process alone, as `train` does it, for programs that train on the way to something else."""

import logging
from pathlib import Path

from rich.console import Console

from glcic_jax.exit_codes import ExitCode
from glcic_jax.run.config import Config
from glcic_jax.run.loop import Stopped, train
from glcic_jax.run.progress import Progress
from glcic_jax.run.signals import StopOnSignal
from glcic_jax.system.compilation import keep_compiled_programs
from glcic_jax.system.cpu import tune_cpu


def train_alone(config: Config, workdir: Path, console: Console) -> int:
    """Trains to the end, or until SIGINT or SIGTERM; returns the exit code. Raises: what `train` raises."""
    logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax logs every file it touches and every wait
    tune_cpu()
    keep_compiled_programs()
    with StopOnSignal() as stop:
        try:
            train(config, workdir, Progress(console), should_stop=lambda step: stop.asked)
        except Stopped as stopped:
            console.print(str(stopped), highlight=False, markup=False, soft_wrap=True)
            return ExitCode.STOPPED
    return ExitCode.DONE
