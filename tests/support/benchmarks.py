"""Small benchmarks of `glcic evaluate`, and what the command says when it refuses one."""

from glcic_jax.cli.main import run

MAKE = ["make", "--count=12", "--crop_px=48", "--hole_px=12,24"]


def error(capsys, arguments) -> str:
    """The one line that `glcic evaluate` ends with."""
    assert run("evaluate", arguments) == 2
    line = capsys.readouterr().err.strip()
    assert "\n" not in line
    return line
