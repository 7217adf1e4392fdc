"""`local`: runs several processes of `train` on this machine, to try out what a run on several hosts does."""

import argparse
import sys
from collections.abc import Sequence

from glcic_jax.errors import UserError
from glcic_jax.exit_codes import ExitCode
from glcic_jax.tools.local_processes import (
    TRAIN,
    build_commands,
    build_environment,
    choose_exit_code,
    describe_exit,
    run_processes,
)


def main(arguments: list[str], worker: Sequence[str] = TRAIN) -> int:
    """Parses the arguments and runs n processes of `worker`, the command that trains."""
    parser = argparse.ArgumentParser(
        prog="local",
        usage="local -n N [options] -- ARGUMENTS OF train",
        description=__doc__,
        epilog="The exit code is that of the process that says most: an error (2, 3, others) before an interruption "
        f"({ExitCode.INTERRUPTED}), a signal ({ExitCode.STOPPED}), a lost peer ({ExitCode.PEER_LOST}) and a process "
        "that was killed (128 + the signal's number). docs/cluster.md explains them.",
        allow_abbrev=False,
    )
    parser.add_argument("-n", type=int, required=True, metavar="N", help="processes")
    parser.add_argument("--devices_per_process", type=int, metavar="K", help="CPU devices of each, and no GPU")
    parser.add_argument(
        "--grace_secs",
        type=float,
        default=180.0,
        help="how long the others may run once one has ended (default: %(default)s)",
    )
    border = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser.parse_args(arguments[:border])
    for name, value in (("-n", options.n), ("--devices_per_process", options.devices_per_process)):
        if value is not None and value < 1:
            raise UserError(f"{name} is {value}; it must be at least 1")
    if border == len(arguments):
        raise UserError("the arguments of train are missing; write them after --, as in: local -n 2 -- --config=...")
    commands = build_commands([*worker, *arguments[border + 1 :]], options.n)
    codes = run_processes(commands, build_environment(options.devices_per_process), options.grace_secs, sys.stdout)
    if any(codes):
        exits = ", ".join(f"process {i}: {describe_exit(code)}" for i, code in enumerate(codes))
        print(f"local: {exits}", file=sys.stderr)
    return choose_exit_code(codes)
