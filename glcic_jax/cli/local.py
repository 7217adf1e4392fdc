"""`local`: several processes of `train` on this machine, to try out what a run on several hosts does."""

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TextIO

import glcic_jax
from glcic_jax.errors import UserError

TRAIN = (sys.executable, "-P", "-m", "glcic_jax", "train")
_POLL_SECS = 0.05


def main(arguments: list[str], worker: Sequence[str] = TRAIN) -> int:
    """Parses the arguments and runs n processes of `worker`, the command that trains."""
    parser = argparse.ArgumentParser(
        prog="local",
        usage="local -n N [options] -- ARGUMENTS OF train",
        description=__doc__,
        epilog="The exit code is that of the process that says most: an error (2, 3, others) before an interruption "
        "(130), a signal (75), a lost peer (76) and a process that was killed (128 + the signal's number). "
        "docs/cluster.md explains them.",
        allow_abbrev=False,
    )
    parser.add_argument("-n", type=int, required=True, metavar="N", help="processes")
    parser.add_argument("--devices_per_process", type=int, metavar="K", help="CPU devices of each, and no GPU")
    parser.add_argument(
        "--grace_secs", type=float, default=180.0, help="once one has ended, for the others (default: %(default)s)"
    )
    border = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser.parse_args(arguments[:border])
    for name, value in (("-n", options.n), ("--devices_per_process", options.devices_per_process)):
        if value is not None and value < 1:
            raise UserError(f"{name} is {value}; it must be at least 1")
    if border == len(arguments):
        raise UserError("the arguments of train are missing; write them after --, as in: local -n 2 -- --config=...")
    commands = side_by_side([*worker, *arguments[border + 1 :]], options.n)
    codes = run_processes(commands, environment(options.devices_per_process), options.grace_secs, sys.stdout)
    if any(codes):
        ends = ", ".join(f"process {i}: {_ended(code)}" for i, code in enumerate(codes))
        print(f"local: {ends}", file=sys.stderr)
    return exit_code(codes)


def side_by_side(command: Sequence[str], count: int) -> list[list[str]]:
    """The command for each of `count` processes on this machine that work together."""
    coordinator = f"--coordinator=127.0.0.1:{_free_port()}"
    return [[*command, coordinator, f"--process_id={i}", f"--process_count={count}"] for i in range(count)]


def environment(devices: int | None) -> dict[str, str]:
    """Ours, with this package importable from any folder, and lines that come when they are written.

    devices: CPU devices of each process, and no GPU; None leaves that to JAX.
    """
    paths = [str(Path(glcic_jax.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    found = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONUNBUFFERED": "1"}
    if devices is not None:
        found |= {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(devices)}
    return found


def run_processes(
    commands: Sequence[Sequence[str]], variables: dict[str, str], grace_secs: float, output: TextIO
) -> list[int]:
    """Runs the commands side by side and waits for all; their lines go to `output` behind their numbers.

    SIGTERM and SIGINT go on to all of them. What still runs `grace_secs` after the first has ended is killed.
    Returns: exit codes, 128 + the signal's number for those that a signal ended.
    """
    writing = threading.Lock()
    processes: list[subprocess.Popen[str]] = []
    signals: list[int] = []  # received and not sent on yet

    def receive(number: int, frame: FrameType | None) -> None:
        signals.append(number)

    before = {number: signal.signal(number, receive) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        for command in commands:
            # Sessions of their own: a terminal's Ctrl-C must reach them once, not twice.
            process = subprocess.Popen(
                command, env=variables, text=True, errors="replace", start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            processes.append(process)
        readers = [
            threading.Thread(target=_copy_lines, args=(number, process, output, writing), daemon=True)
            for number, process in enumerate(processes)
        ]
        for reader in readers:
            reader.start()
        _wait(processes, signals, grace_secs, output, writing)
        for reader in readers:
            reader.join(5)  # a child of a process may hold the pipe open
    finally:
        for process in processes:
            process.kill()
        for number, handler in before.items():
            signal.signal(number, handler)
    return [128 - process.returncode if process.returncode < 0 else process.returncode for process in processes]


def exit_code(codes: Sequence[int]) -> int:
    """The one that says most of what happened; 0 if all are."""

    def rank(code: int) -> tuple[int, int]:
        known = (2, 3, None, 130, 75, 76)
        if code > 128 and code != 130:
            return len(known), code
        return known.index(code if code in known else None), code

    return min((code for code in codes if code), key=rank, default=0)


def _wait(
    processes: Sequence[subprocess.Popen[str]],
    signals: list[int],
    grace_secs: float,
    output: TextIO,
    writing: threading.Lock,
) -> None:
    """Returns when all have ended; sends on what comes in `signals`."""
    first_end: float | None = None
    while running := [process for process in processes if process.poll() is None]:
        while signals:
            number = signals.pop(0)
            for process in running:
                process.send_signal(number)
        now = time.monotonic()
        if first_end is None and len(running) < len(processes):
            first_end = now
        if first_end is not None and now - first_end > grace_secs:
            for process in running:
                with writing:
                    where = f"[{processes.index(process)}]"
                    print(f"{where} still runs {grace_secs:g} s after the first has ended: killed", file=output)
                process.kill()
                process.wait()
        time.sleep(_POLL_SECS)


def _copy_lines(number: int, process: subprocess.Popen[str], output: TextIO, writing: threading.Lock) -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            with writing:
                print(f"[{number}] {line.rstrip()}", file=output, flush=True)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _ended(code: int) -> str:
    name = next((known.name for known in signal.Signals if known == code - 128 and code != 130), None)
    return f"killed by {name}" if name else f"exit code {code}"
