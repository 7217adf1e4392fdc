"""`chaos`: disturbs a training run again and again, and compares the result with that of an undisturbed run."""

import argparse

from glcic_jax.errors import UserError
from glcic_jax.system.paths import user_path


def main(arguments: list[str]) -> int:
    """Parses the arguments and trains twice, once undisturbed; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="chaos",
        usage="chaos --workdir=DIR [options] -- ARGUMENTS OF train",
        description=__doc__,
        epilog="Exit codes: 0 the same parameters, bit for bit; 1 other parameters, or a process that stayed too "
        "long or left with a code that nothing explains; 2 an error to mend.",
        allow_abbrev=False,
    )
    parser.add_argument("--workdir", type=user_path, required=True, help="new folder for both runs and their logs")
    parser.add_argument("--hits", type=int, default=40, help="number of faults (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="decides what happens when (default: %(default)s)")
    parser.add_argument("-n", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    parser.add_argument("--devices_per_process", type=int, default=2, metavar="K", help="(default: %(default)s)")
    parser.add_argument(
        "--leave_secs", type=float, default=90.0, help="seconds that a process may take to leave (default: %(default)s)"
    )
    parser.add_argument(
        "--watchdog_secs", type=int, default=60, help="config.watchdog_secs under faults (default: %(default)s)"
    )
    border = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser.parse_args(arguments[:border])
    if border == len(arguments):
        raise UserError("the arguments of train are missing; write them after --, as in: chaos --workdir=DIR -- ...")

    from glcic_jax.tools.chaos.experiment import Experiment

    experiment = Experiment(
        options.workdir,
        arguments[border + 1 :],
        processes=options.n,
        devices_per_process=options.devices_per_process,
        leave_secs=options.leave_secs,
        watchdog_secs=options.watchdog_secs,
    )
    return experiment.run(options.hits, options.seed)
