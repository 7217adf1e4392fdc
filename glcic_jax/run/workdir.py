"""The folder of a run: made if missing, used by one run at a time."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from glcic_jax.errors import UserError
from glcic_jax.models import folder as model_folder
from glcic_jax.run.config import Config
from glcic_jax.run.processes import is_first
from glcic_jax.system.atomic import atomic_file
from glcic_jax.system.lock import locked


@contextlib.contextmanager
def hold_workdir(workdir: Path) -> Iterator[None]:
    """Makes the folder and locks it, for all processes of this run together.

    Raises: UserError if another run has it, if it cannot be made, or if its `model` is not one.
    """
    model_folder.require_replaceable(workdir / "model")
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot use {workdir} as --workdir: {error.strerror}; choose another") from error
    with locked(workdir / "lock", f"the run in {workdir}") if is_first() else contextlib.nullcontext():
        yield


def write_config(workdir: Path, config: Config) -> None:
    """Writes the recipe as it was given, for whoever reads the run later."""
    if is_first():
        with atomic_file(workdir / "config.json") as partial:
            partial.write_text(json.dumps(config.to_dict(), indent=2) + "\n")
