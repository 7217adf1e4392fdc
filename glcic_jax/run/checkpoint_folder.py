"""What a folder of checkpoints holds: one folder a step, in it `state` and `about` by Orbax, and a signature.

`state` is the `TrainState`; `about` is a `Origin` in JSON; `checksums.json` is described in `signature.py`. A
checkpoint that was found to be damaged is called `damaged-STEP`, and is used no more.
"""

import dataclasses
import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp

from glcic_jax.training.state import TrainState

STATE, ABOUT, DAMAGED = "state", "about", "damaged-"


def list_steps(folder: Path) -> list[int]:
    """The steps that have a checkpoint, in order. Raises: OSError if that cannot be told."""
    return sorted(int(name) for name in _names(folder) if name.isdigit())


def list_damaged(folder: Path) -> list[str]:
    """Names of checkpoints that were set aside. Raises: OSError if that cannot be told."""
    return sorted(name for name in _names(folder) if name.startswith(DAMAGED))


def free_damaged_name(folder: Path, step: int) -> Path:
    """Where a damaged checkpoint can be moved to."""
    taken = set(list_damaged(folder))
    names = (f"{DAMAGED}{step}-{number}" if number else f"{DAMAGED}{step}" for number in itertools.count())
    return folder / next(name for name in names if name not in taken)


def stored_form(state: Any) -> Any:
    """A state as it is stored: without the parts that it does not have, which versions before them did not know."""
    if not isinstance(state, TrainState):
        return state
    parts = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    return {name: part for name, part in parts.items() if part is not None}


def read_about_json(path: Path) -> Mapping[str, Any]:
    """What lies beside the state in one checkpoint's folder. Raises: whatever Orbax meets; ValueError if nothing."""
    with ocp.Checkpointer(ocp.JsonCheckpointHandler()) as checkpointer:
        about = checkpointer.restore((path / ABOUT).absolute())
    if not isinstance(about, dict):
        raise ValueError("what was saved beside the state is gone")
    return about


def _names(folder: Path) -> list[str]:
    """Of what lies in a folder. Not `Path.is_dir`, which takes any error for a folder that is not there."""
    try:
        return os.listdir(folder)  # noqa: PTH208 (iterdir would raise later, in the middle)
    except FileNotFoundError:
        return []
