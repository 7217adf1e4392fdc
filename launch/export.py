"""Runs `glcic export` from a clone, installed or not: python launch/export.py --help."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from glcic_jax.cli.main import run

if __name__ == "__main__":
    sys.exit(run("export", sys.argv[1:]))
