"""The disk under a disturbed run: filled up, and with checkpoints damaged on it."""

import contextlib
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from glcic_jax.run.checkpoint_folder import list_steps
from glcic_jax.run.events import EVENTS


class Disk:
    """The folder of the disturbed run, a small file system where one may be mounted; a context manager."""

    def __init__(self, folder: Path, checkpoints: Path):
        """folder: where the run will be; checkpoints: of a run like it, which tell how much room it needs."""
        self.folder = folder
        self._bytes = 4 * sum(file.stat().st_size for file in checkpoints.rglob("*") if file.is_file()) + 2**25
        self.can_fill = False

    def __enter__(self) -> Self:
        self.folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={self._bytes}", "glcic-chaos", str(self.folder)]
        try:
            self.can_fill = subprocess.run(command, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            self.can_fill = False
        # The run's events go beside the folder, so that they are told also when its disk is full.
        (self.folder / EVENTS).symlink_to(self.folder.absolute().with_name(f"{self.folder.name}.{EVENTS}"))
        return self

    def __exit__(self, *exception: object) -> None:
        if self.can_fill:
            # Lazily: a process that is not gone yet may hold it.
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    @property
    def checkpoints(self) -> Path:
        """Where the run keeps them."""
        return self.folder / "checkpoints"

    @contextlib.contextmanager
    def filled(self) -> Iterator[None]:
        """With no room left meanwhile."""
        ballast = self.folder / "ballast"
        try:
            with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):  # until there is no room left
                while file.write(bytes(2**14)):
                    pass
            yield
        finally:
            ballast.unlink()


def damage_newest_checkpoint(checkpoints: Path, rng: random.Random) -> None:
    """Flips a bit of a file of the newest checkpoint, cuts it, or deletes it; nothing where there is none."""
    steps = list_steps(checkpoints)
    if not steps:
        return
    newest = checkpoints / str(steps[-1])
    file = rng.choice(sorted(file for file in newest.rglob("*") if file.is_file() and file.stat().st_size))
    content = bytearray(file.read_bytes())
    match rng.choice(("flip", "cut", "delete")):
        case "flip":
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            file.write_bytes(content)
        case "cut":
            file.write_bytes(content[: rng.randrange(len(content))])
        case _:
            file.unlink()
