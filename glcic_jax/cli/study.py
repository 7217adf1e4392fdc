"""`study`: one change at a time around the paper's recipe, each trained with several seeds and budgets.

The same command goes on where it was stopped, and writes the table and the plots of all runs that are done. Started
again while it is at work, it trains what the others have not begun: start one process for each core or GPU.
"""

import argparse
from pathlib import Path

from glcic_jax.system.paths import user_path, user_pattern
from glcic_jax.tools.study.trials import VARIANTS, parse_budgets, parse_seeds, parse_variants, plan_trials


def main(arguments: list[str]) -> int:
    """Parses the arguments, trains what is not trained yet, and writes the results."""
    parser = argparse.ArgumentParser(
        prog="study",
        description=__doc__,
        epilog="Keys of the recipe can be changed for all runs: --config.completion.width_multiplier=0.125.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--data", required=True, type=user_pattern, help="folder of shards, with the splits train and val")
    add("--workdir", type=user_path, default=Path("runs/study"), help="default: %(default)s")
    add("--config", default="study", help="the paper's recipe at the study's size; default: %(default)s")
    add("--seeds", default="0,1,2", help="default: %(default)s")
    add(
        "--budgets", default="4000:70/5/25,12000:40/5/55,40000:18/2/80",
        help="samples, and percent of them in each stage (the last default is the paper's split); default: %(default)s",
    )  # fmt: skip
    add("--cells", default=",".join(VARIANTS), help="some of: %(default)s")
    add("--results_only", action="store_true", help="train nothing, write the results of the runs that are done")
    options, overrides = parser.parse_known_args(arguments)
    trials = plan_trials(
        options.workdir,
        options.config,
        overrides,
        data_dir=options.data,
        variants=parse_variants(options.cells),
        seeds=parse_seeds(options.seeds),
        budgets=parse_budgets(options.budgets),
    )

    from glcic_jax.tools.study.study import run_study

    return run_study(list(trials), options.workdir, train=not options.results_only)
