"""Running the launch scripts as a user does: in a process of their own, without installation."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.tiny import TINY_SIZES

TINY_TRAINING = [
    "--config=tests/support/tiny_recipe.py",
    "--config.batch_size=4",
    "--config.completion_steps=2",
    "--config.discriminator_steps=1",
    "--config.joint_steps=1",
    *TINY_SIZES,
    "--config.validation_samples=4",
]
"""Arguments of train: two, one and one steps of four samples."""

ENVIRONMENT = {k: v for k, v in os.environ.items() if k not in ("JAX_NUM_CPU_DEVICES", "PYTHONPATH")}


def launch(command: str, *arguments: str, cwd: Path = ROOT, timeout_secs: float = 300) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(ROOT / "launch" / f"{command}.py"), *arguments],
        cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=timeout_secs, check=False,
    )  # fmt: skip


def fails(result: subprocess.CompletedProcess, message: str) -> None:
    """One line on stderr that matches, exit code 2."""
    assert result.returncode == 2, result.stderr
    line = result.stderr.strip()
    assert "\n" not in line, line
    assert re.search(message, line), line
