"""Trains the trials of a study one after the other, goes on where it was stopped, and writes the results."""

import json
from pathlib import Path
from statistics import median

from rich.console import Console

from glcic_jax.data.manifest import read_manifest
from glcic_jax.data.shards import open_split
from glcic_jax.errors import UserError
from glcic_jax.evaluation.figures import import_figure
from glcic_jax.exit_codes import ExitCode
from glcic_jax.run.metrics_file import METRICS, read_metrics_file
from glcic_jax.run.resume import find_changed_keys
from glcic_jax.system.lock import InUse
from glcic_jax.tools.single_run import train_alone
from glcic_jax.tools.study.results import Score, write_results
from glcic_jax.tools.study.trials import Trial

DIVERGED = "diverged.txt"
SCORED_VALIDATIONS = 5
"""The median of the last ones counts, since single ones dip by decibels where running statistics lag."""


def run_study(trials: list[Trial], workdir: Path, train: bool) -> int:
    """Trains what is not done, if wanted, and writes the results of what is; returns the exit code."""
    import_figure()  # without it the results could not be drawn: better known before the training
    console = Console()
    code = train_trials(trials, console) if train else ExitCode.DONE
    scores = [(trial, score) for trial in trials if (score := read_score(trial)) is not None]
    diverged = [trial for trial in trials if (trial.workdir / DIVERGED).is_file()]
    if scores:
        write_results(workdir, scores, diverged, len(trials))
        console.print((workdir / "table.md").read_text(), highlight=False, markup=False, soft_wrap=True)
    _say(
        console,
        f"{len(scores)} of {len(trials)} runs are done, {len(diverged)} diverged; results in {workdir}",
    )
    return code


def train_trials(trials: list[Trial], console: Console) -> int:
    """Trains what is not done; returns the exit code."""
    data = Path(trials[0].config.data_dir)
    open_split(data, read_manifest(data), "val")  # without it, no trial would get a score
    for number, trial in enumerate(trials, 1):
        if read_score(trial) is not None or (trial.workdir / DIVERGED).is_file():
            continue
        console.rule(f"{number} of {len(trials)}: {trial.variant}, {trial.budget.samples:,} samples, seed {trial.seed}")
        try:
            if code := train_alone(trial.config, trial.workdir, console):
                return code
        except InUse as held:
            _say(console, f"left to another process: {held}")
        except FloatingPointError as error:
            (trial.workdir / DIVERGED).write_text(json.dumps(str(error)) + "\n")
            _say(console, f"diverged: {error}")
    return ExitCode.DONE


def read_score(trial: Trial) -> Score | None:
    """The score of a trial; None if it is not done.

    Raises: UserError if the folder holds a run of another recipe.
    """
    try:
        trained = json.loads((trial.workdir / "config.json").read_text())
    except (OSError, ValueError):  # not begun
        return None
    if changed := find_changed_keys(trial.config, trained, trial.steps):
        raise UserError(
            f"{trial.workdir} holds a run of another recipe: {', '.join(changed)}; give the study the options that it "
            "was begun with, or another --workdir"
        )
    validations = [record for record in read_metrics_file(trial.workdir / METRICS) if "hole_psnr" in record]
    if not validations or validations[-1]["step"] < trial.steps:
        return None
    last = validations[-SCORED_VALIDATIONS:]
    return Score(*(median(record[f"hole_{name}"] for record in last) for name in Score._fields))


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
