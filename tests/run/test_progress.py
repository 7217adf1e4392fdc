"""What is shown, on a terminal and in a log."""

import io

from rich.console import Console

from glcic_jax.run.progress import Progress
from glcic_jax.run.schedule import Stage

STAGE = Stage(3, "joint", 10, 30)
VALUES = {"accuracy_completed": 0.25, "accuracy_real": 0.75, "completion_loss": 0.0123456, "images_per_second": 80.0}
FIGURES = "C error 0.01235, D right on real 0.75, D right on completed 0.25, images/s 80"


def shown(terminal: bool) -> str:
    file = io.StringIO()
    with Progress(Console(file=file, force_terminal=terminal, width=120)) as progress:
        progress.start_stage(STAGE, 14)
        progress.log(20, VALUES)
        progress.advance(20)
        progress.log_validation(20, {"hole_l1": 0.1, "hole_psnr": 18.126})
    return file.getvalue()


def test_a_log_has_plain_lines():
    assert shown(terminal=False).splitlines() == [
        "stage 3 (joint): steps 14 to 30; the first one compiles",
        f"step 20: {FIGURES}",
        "step 20: validation in-hole L1 0.1000, PSNR 18.13 dB",
    ]


def test_a_terminal_has_a_live_line():
    text = shown(terminal=True)
    assert "10/20" in text and FIGURES in text and "step 20: C error" not in text
