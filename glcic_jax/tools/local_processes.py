"""Several processes on this machine that work together: their commands, output, signals and exit codes."""

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
from glcic_jax.exit_codes import ExitCode, by_signal

TRAIN = (sys.executable, "-P", "-m", "glcic_jax", "train")
"""The command that trains, from any folder."""
_POLL_SECS = 0.05
# What says most comes first; None stands for any other error.
_TELLING = (
    ExitCode.USER_ERROR, ExitCode.NOT_FINITE, None, ExitCode.INTERRUPTED, ExitCode.STOPPED, ExitCode.PEER_LOST,
)  # fmt: skip


def build_commands(command: Sequence[str], count: int) -> list[list[str]]:
    """The command for each of `count` processes that train together, with the coordinator at a free port."""
    coordinator = f"--coordinator=127.0.0.1:{_find_free_port()}"
    return [[*command, coordinator, f"--process_id={i}", f"--process_count={count}"] for i in range(count)]


def build_environment(devices: int | None) -> dict[str, str]:
    """This process's environment, with the package importable from any folder and output that is not buffered.

    devices: CPU devices of each process, and no GPU; None leaves the choice to JAX.
    """
    paths = [str(Path(glcic_jax.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONUNBUFFERED": "1"}
    if devices is not None:
        # Every device holds a thread while it waits for the others. With no more threads than devices, a step and
        # what is computed beside it for a checkpoint have been seen to wait for each other for ever.
        threads = str(max(os.cpu_count() or 1, 4 * devices))
        environment |= {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(devices), "PJRT_NPROC": threads}
    return environment


def run_processes(
    commands: Sequence[Sequence[str]], variables: dict[str, str], grace_secs: float, output: TextIO
) -> list[int]:
    """Runs the commands in parallel and waits for all; the lines that they print go to `output` behind their numbers.

    SIGTERM and SIGINT are passed on to all of them. Whatever still runs `grace_secs` after the first has ended is
    killed. Returns: exit codes, 128 + the signal's number for processes that a signal ended.
    """
    writing = threading.Lock()
    processes: list[subprocess.Popen[str]] = []
    signals: list[int] = []  # received and not passed on yet

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
    return [shell_code(process.returncode) for process in processes]


def shell_code(returncode: int) -> int:
    """The exit code that a shell reports: `subprocess` has the negative signal number for a killed process."""
    return by_signal(-returncode) if returncode < 0 else returncode


def choose_exit_code(codes: Sequence[int]) -> int:
    """The code that says most about what happened; 0 if all are."""

    def rank(code: int) -> tuple[int, int]:
        if code > 128 and code != ExitCode.INTERRUPTED:
            return len(_TELLING), code
        return _TELLING.index(code if code in _TELLING else None), code

    return min((code for code in codes if code), key=rank, default=ExitCode.DONE)


def _wait(
    processes: Sequence[subprocess.Popen[str]],
    signals: list[int],
    grace_secs: float,
    output: TextIO,
    writing: threading.Lock,
) -> None:
    """Returns when all have ended; passes on what comes in `signals`."""
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


def _find_free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def describe_exit(code: int) -> str:
    """Such as "exit code 2" or "killed by SIGKILL"."""
    name = next((known.name for known in signal.Signals if by_signal(known) == code != ExitCode.INTERRUPTED), None)
    return f"killed by {name}" if name else f"exit code {code}"
