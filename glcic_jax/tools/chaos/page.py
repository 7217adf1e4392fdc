"""A page of numbers that chaos and the processes under it share: what fails in them right now.

`faulty_files.c` reads the first ones at every file call, `victim.py` the others.
"""

import enum
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

_PATH, _FOLDERS = "GLCIC_CHAOS_PAGE", "GLCIC_CHAOS_FOLDERS"
_SOURCE = Path(__file__).with_name("faulty_files.c")


class Cell(enum.IntEnum):
    """What stands where in the page, int32 each."""

    ERROR = 0
    """The errno that file calls fail with; 0 for none."""
    PER_MILLE = 1
    """How many of a thousand fail."""
    FAILURES = 2
    """How many have."""
    DELAY_MS = 3
    """How long every file call takes."""
    MEMORY_ERRORS = 4
    """How many of the next hand-overs of a state to Orbax run out of memory."""
    EXPORT_SECS = 5
    """How long the next export of the model takes."""
    SLOW_EXPORTS = 6
    """How many have."""
    CLOCK_SECS = 7
    """By how much the clock is wrong."""


class Page:
    """The page; whoever opens the same file has the same."""

    def __init__(self, path: Path, *, new: bool = False):
        """new: all zeros."""
        self._path = path.absolute()
        self._cells = np.memmap(path, np.int32, "w+" if new else "r+", shape=(len(Cell),))

    @classmethod
    def of_environment(cls) -> "Page":
        """The one that chaos has named for this process."""
        return cls(Path(os.environ[_PATH]))

    def __getitem__(self, cell: Cell) -> int:
        return int(self._cells[cell])

    def __setitem__(self, cell: Cell, value: int) -> None:
        self._cells[cell] = value

    def take(self, cell: Cell) -> int:
        """What stands there, which then is 0."""
        value, self[cell] = self[cell], 0
        return value

    def environment(self, folders: Sequence[Path], library: Path | None) -> Mapping[str, str]:
        """What processes need to share it. folders: whose files fail; library: compiled by `compile_faulty_files`."""
        shared = {_PATH: str(self._path), _FOLDERS: os.pathsep.join(str(folder.absolute()) for folder in folders)}
        return shared | ({"LD_PRELOAD": str(library.absolute())} if library else {})


def compile_faulty_files(library: Path) -> Path | None:
    """The library that makes file calls fail; None where there is no C compiler, or no preloading."""
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE), "-ldl"]
    try:
        return library if subprocess.run(command, capture_output=True, check=False).returncode == 0 else None
    except FileNotFoundError:
        return None
