"""What has to be on the disk itself before what it replaces is deleted: a power failure may come any time."""

import contextlib
import os
from pathlib import Path


def flush_file(path: Path) -> None:
    """Returns when the bytes of a file are on the disk. Raises: OSError."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def flush_folder(path: Path) -> None:
    """Returns when the names in a folder are on the disk, where the system can say so."""
    with contextlib.suppress(OSError):  # Windows opens no folders; some network file systems flush none
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
