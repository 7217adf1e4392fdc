"""Two processes of `train` on this machine, with one CPU device each."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from glcic_jax.run.events import EVENTS, read_events
from tests.support.paths import ROOT
from tests.support.tiny import TINY_SIZES

ARGUMENTS = [
    "--config=tests/support/tiny_recipe.py", *TINY_SIZES, "--config.batch_size=4", "--config.validation_samples=4",
    "--config.discriminator.global_depth=2", "--config.discriminator.local_depth=1",
]  # fmt: skip


def start(workdir: Path, shards: Path, *arguments: str, program: str = "") -> list[subprocess.Popen]:
    """Both processes. program: Python code that runs before `train` in both."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    code = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{program}\n"
    code += "from glcic_jax.cli.main import run\nsys.exit(run('train', sys.argv[1:]))"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"JAX_NUM_CPU_DEVICES": "1"}
    common = [*ARGUMENTS, f"--workdir={workdir}", f"--config.data_dir={shards}", *arguments]
    return [
        subprocess.Popen(
            [sys.executable, "-c", code, *common, f"--coordinator=127.0.0.1:{port}", f"--process_id={index}",
             "--process_count=2"],
            cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for index in range(2)
    ]  # fmt: skip


def finish(processes: list[subprocess.Popen], timeout_secs: float = 300) -> tuple[list[int], str]:
    """Exit codes, and what both printed; kills them after the time."""
    said = []
    try:
        for process in processes:
            said.append(process.communicate(timeout=timeout_secs)[0])
    finally:
        for process in processes:
            process.kill()
    return [process.wait() for process in processes], "\n".join(said)


def wait_for(workdir: Path, event: str, count: int, processes: list[subprocess.Popen]) -> int:
    """Waits until there are so many of these events; returns the step of the last one."""
    while True:
        steps = [found["step"] for found in read_events(workdir / EVENTS) if found["event"] == event]
        if len(steps) >= count:
            return int(steps[-1])
        assert all(process.poll() is None for process in processes), finish(processes)
        time.sleep(0.05)
