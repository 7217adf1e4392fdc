"""`study`: one change at a time around the paper's recipe, each trained with several seeds and budgets.

The same command goes on where it was stopped, and writes the table and the plots of all runs that are done. Given
again while it is at work, it trains what the others have not begun: one process a core or a GPU.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from rich.console import Console

from glcic_jax.cli.recipes import load_recipe, recipe_path
from glcic_jax.errors import UserError

DIVERGED = "diverged.txt"
VALIDATIONS = 20
"""Over a run; the median of the last SCORED counts, since single ones dip by decibels where running statistics lag."""
SCORED = 5


def _leaky(config: Any) -> None:
    config.completion.negative_slope = config.discriminator.negative_slope = 0.3


def _tanh(config: Any) -> None:
    config.completion.output = "tanh"


def _black(config: Any) -> None:
    config.completion.hole_fill, config.completion.mask_channel = "0.0", False


def _adam(config: Any) -> None:
    for key in ("completion_optimizer", "discriminator_optimizer"):
        config[key] = {"name": "adam", "learning_rate": 1e-3}


def _deaf(config: Any) -> None:
    config.adversarial = "none"


def _cooperative(config: Any) -> None:
    config.adversarial = "cooperative"


CELLS: dict[str, tuple[Callable[[Any], None], ...]] = {
    "paper": (),
    "leaky ReLU": (_leaky,),
    "tanh": (_tanh,),
    "black holes without mask": (_black,),
    "Adam": (_adam,),
    "C deaf to D": (_deaf,),
    "C helps D": (_cooperative,),
    "article": (_leaky, _tanh, _black, _adam, _cooperative),
}
"""What each changes; the last is the Qiita article's combination."""


class Budget(NamedTuple):
    """samples: over all stages. split: percent of them in each stage."""

    samples: int
    split: tuple[int, int, int]


class Cell(NamedTuple):
    """One run of the study."""

    name: str
    budget: Budget
    seed: int
    config: Any
    workdir: Path


class Score(NamedTuple):
    """Of a finished run, inside holes of fixed validation samples: medians of its last validations.

    Fields:
        psnr: dB. l1: of values in [0, 1].
        contrast: spread of the painted colours beside the photographs'; below 1 they are faint.
    """

    psnr: float
    l1: float
    contrast: float


def main(arguments: list[str]) -> int:
    """Parses the arguments, trains what is not trained yet, and writes the results."""
    parser = argparse.ArgumentParser(
        prog="study",
        description=__doc__,
        epilog="Keys of the recipe can be changed for all runs: --config.completion.width_multiplier=0.125.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--data", required=True, help="folder of shards, with the splits train and val")
    add("--workdir", type=Path, default=Path("runs/study"), help="default: %(default)s")
    add("--config", default="study", help="the paper's recipe at the study's size; default: %(default)s")
    add("--seeds", default="0,1,2", help="default: %(default)s")
    add(
        "--budgets", default="4000:70/5/25,12000:40/5/55,40000:18/2/80",
        help="samples, and percent of them in each stage (the last default is the paper's split); default: %(default)s",
    )  # fmt: skip
    add("--cells", default=",".join(CELLS), help="some of: %(default)s")
    add("--results_only", action="store_true", help="train nothing, write the results of the runs that are done")
    options, overrides = parser.parse_known_args(arguments)
    runs = list(_runs(options, overrides))
    console = Console()
    from glcic_jax.cli.study_results import write_results
    from glcic_jax.evaluation.figures import figure_class

    figure_class()  # without it the results could not be drawn: better known before the training
    code = 0 if options.results_only else _train(runs, console)
    scores = [(run, score) for run in runs if (score := outcome(run)) is not None]
    diverged = [run for run in runs if (run.workdir / DIVERGED).is_file()]
    if scores:
        write_results(options.workdir, scores, diverged, len(runs))
        console.print((options.workdir / "table.md").read_text(), highlight=False, markup=False, soft_wrap=True)
    console.print(
        f"{len(scores)} of {len(runs)} runs are done, {len(diverged)} diverged; results in {options.workdir}",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip
    return code


def outcome(run: Cell) -> Score | None:
    """The scores of a run; None if it is not done.

    Raises: UserError if the folder holds a run of another recipe.
    """
    from glcic_jax.training.health import read_metrics_file
    from glcic_jax.training.resume import changed_keys
    from glcic_jax.training.telemetry import METRICS

    try:
        trained = {"config": json.loads((run.workdir / "config.json").read_text())}
    except (OSError, ValueError):  # not begun
        return None
    if changed := changed_keys(run.config, trained, _total(run.config)):
        raise UserError(
            f"{run.workdir} holds a run of another recipe: {', '.join(changed)}; give the study the options that it "
            "was begun with, or another --workdir"
        )
    scored = [record for record in read_metrics_file(run.workdir / METRICS) if "hole_psnr" in record]
    if not scored or scored[-1]["step"] < _total(run.config):
        return None
    last = scored[-SCORED:]
    return Score(*(median(record[f"hole_{name}"] for record in last) for name in Score._fields))


def _runs(options: argparse.Namespace, overrides: list[str]) -> Iterator[Cell]:
    """All runs: small budgets first, and all cells of one seed before the next seed."""
    from glcic_jax.training.setup import check

    names = options.cells.split(",")
    if unknown := [name for name in names if name not in CELLS]:
        raise UserError(f"no cell {unknown[0]!r}; there are {', '.join(CELLS)}")
    try:
        seeds = [int(seed) for seed in options.seeds.split(",")]
    except ValueError:
        raise UserError(f"--seeds is {options.seeds!r}; give whole numbers, such as 0,1,2") from None
    path = recipe_path(options.config)
    for budget in sorted(_budget(text) for text in options.budgets.split(",")):
        for seed in seeds:
            for name in names:
                config = load_recipe(path, overrides)
                config.data_dir, config.seed = options.data, seed
                steps = budget.samples // config.batch_size
                config.completion_steps = steps * budget.split[0] // 100
                config.discriminator_steps = steps * budget.split[1] // 100
                config.joint_steps = steps - config.completion_steps - config.discriminator_steps
                config.validate_every_steps = max(1, steps // VALIDATIONS)
                for change in CELLS[name]:
                    change(config)
                check(config)
                planned = f"{budget.samples}_{'-'.join(map(str, budget.split))}"
                folder = name.replace(" ", "_").lower()
                yield Cell(name, budget, seed, config, options.workdir / planned / folder / f"seed{seed}")


def _budget(text: str) -> Budget:
    try:
        samples, split = text.split(":")
        first, second, third = (int(percent) for percent in split.split("/"))
        if int(samples) < 1 or min(first, second, third) < 0 or first + second + third != 100:
            raise ValueError
    except ValueError:
        raise UserError(
            f"--budgets has {text!r}; write SAMPLES:PERCENT/PERCENT/PERCENT, such as 40000:18/2/80"
        ) from None
    return Budget(int(samples), (first, second, third))


def _train(runs: list[Cell], console: Console) -> int:
    """Trains what is not done; returns the exit code."""
    from glcic_jax.allocator import keep_freed_memory
    from glcic_jax.cli.train import EXIT_STOPPED, StopOnSignal
    from glcic_jax.compilation import keep_compiled_programs
    from glcic_jax.data.shards import open_split, read_manifest
    from glcic_jax.lock import InUse
    from glcic_jax.training.loop import Stopped, train
    from glcic_jax.training.progress import Progress

    data = Path(runs[0].config.data_dir)
    open_split(data, read_manifest(data), "val")  # without it, no run would get a score
    keep_freed_memory()
    keep_compiled_programs()
    with StopOnSignal() as stop:
        for number, run in enumerate(runs, 1):
            if outcome(run) is not None or (run.workdir / DIVERGED).is_file():
                continue
            console.rule(f"{number} of {len(runs)}: {run.name}, {run.budget.samples:,} samples, seed {run.seed}")
            try:
                train(run.config, run.workdir, Progress(console), should_stop=lambda step: stop.asked)
            except Stopped as stopped:
                console.print(str(stopped), highlight=False, markup=False, soft_wrap=True)
                return EXIT_STOPPED
            except InUse as held:
                console.print(f"left to another process: {held}", highlight=False, markup=False, soft_wrap=True)
            except FloatingPointError as error:
                (run.workdir / DIVERGED).write_text(json.dumps(str(error)) + "\n")
                console.print(f"diverged: {error}", highlight=False, markup=False, soft_wrap=True)
    return 0


def _total(config: Any) -> int:
    total: int = config.completion_steps + config.discriminator_steps + config.joint_steps
    return total
