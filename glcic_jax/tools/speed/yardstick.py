"""PyTorch beside us: the yardstick's trainer in a process of its own, asked for one round of steps at a time.

A yardstick is a Python file; the one that a clone brings is reference/yardstick.py. It defines

- `Trainer(crop_px=, window_px=, batch_size=, width=, device=, tuned=)`, with a batch of its own and the methods
  `forward()`, which paints it as for inference, and `step(stage)`, which trains once; where C is not the paper's, it is
  also given the fields of `CompletionNetwork` that differ;
- `CompletionNetwork(width)`, called with images (N, 3, H, W) and masks (N, 1, H, W).

In a process of its own, so that neither side's allocator settings and threads touch the other's; between its turns it
waits at a pipe. No JAX in here: the process starts by importing this module.
"""

import argparse
import contextlib
import importlib.util
import multiprocessing
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Protocol

from glcic_jax.errors import UserError
from glcic_jax.system.paths import user_path
from glcic_jax.tools.speed.timing import Stopwatch

PLAIN, TUNED = "PyTorch", "tuned"
"""float32 as people usually run it; with bfloat16, channels_last and, on GPUs, torch.compile."""
REFERENCE = Path(__file__).parents[3] / "reference" / "yardstick.py"
"""What --yardstick takes if it names no file."""


class Sizes(NamedTuple):
    """What is trained: images and windows in pixels, samples in a step, width of both networks, C's other fields."""

    crop_px: int
    window_px: int
    batch_size: int
    width: float
    departures: tuple[tuple[str, Any], ...] = ()


def add_argument(parser: argparse.ArgumentParser) -> None:
    """The option --yardstick."""
    parser.add_argument(
        "--yardstick", type=user_path, nargs="?", const=REFERENCE, metavar="FILE",
        help="measure PyTorch too: the implementation in a clone's reference/, or that of a Python file",
    )  # fmt: skip


def require(path: Path) -> None:
    """Raises UserError if the yardstick's file or PyTorch is missing."""
    if not path.is_file():
        raise UserError(f"--yardstick is {path}, which is no file; run it in a clone, or give a Python file")
    if importlib.util.find_spec("torch") is None:
        raise UserError("--yardstick needs PyTorch; pip install torch, or leave --yardstick out")


class Yardstick:
    """A Python file with a PyTorch trainer; to be closed, or used as a context."""

    def __init__(self, path: Path, sizes: Sizes, device: str):
        """device: "cpu" or "cuda". Raises: UserError if the file does not work."""
        self.path = path
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(theirs, path, sizes, device), daemon=True)
        self._process.start()
        theirs.close()
        self.version, self.threads = self._answer()

    def step_secs(self, who: str, part: str) -> float:
        """Of a step of that part ("forward", "1", "2", "3"), by PLAIN or TUNED; the first call warms up.

        Raises: UserError if it fails.
        """
        with contextlib.suppress(OSError):  # then there is no answer either
            self._pipe.send((who, part))
        return self._answer()

    def close(self) -> None:
        """Ends the process."""
        self._pipe.close()
        self._process.join(10)
        self._process.kill()

    def __enter__(self) -> "Yardstick":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self) -> Any:
        try:
            answer, failure = self._pipe.recv()
        except (EOFError, OSError):
            answer, failure = None, "its process has died, perhaps for want of memory; try a smaller --batch"
        if failure:
            self.close()
            raise UserError(f"the yardstick {self.path}: {failure}")
        return answer


def _serve(pipe: Any, path: Path, sizes: Sizes, device: str) -> None:
    """Answers (what was asked for, "") or (None, why not) until the other side closes the pipe."""
    with contextlib.suppress(EOFError, KeyboardInterrupt, BrokenPipeError):
        try:
            import torch

            if device == "cuda" and not torch.cuda.is_available():
                raise RuntimeError("JAX computes on a GPU, and this PyTorch sees none; install torch with CUDA")
            contenders = _Contenders(load(path), sizes, device)
            watches: dict[tuple[str, str], Stopwatch] = {}
            pipe.send(((torch.__version__, torch.get_num_threads()), ""))
            while True:
                asked = pipe.recv()
                watches[asked] = watches.get(asked) or contenders.stopwatch(*asked)
                pipe.send((watches[asked].step_secs(), ""))
        except (EOFError, BrokenPipeError):
            raise
        except Exception as error:
            pipe.send((None, f"{type(error).__name__}: {error}"))


def load(path: Path) -> ModuleType:
    """Runs the yardstick's file; if it belongs to a package, its modules may import each other. Raises: ImportError."""
    spec = importlib.util.spec_from_file_location("yardstick", path)
    if spec is None or spec.loader is None:
        raise ImportError("it is no Python file")
    root = path.resolve().parent
    while (root / "__init__.py").is_file():
        root = root.parent
    sys.path.insert(0, str(root))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Trainer(Protocol):
    """What a yardstick's `Trainer` can do."""

    def forward(self) -> object:
        """Paints its batch, as for inference."""

    def step(self, stage: int) -> object:
        """Trains once on its batch."""


class _Contenders:
    """The yardstick's trainers, plain and tuned, made when they are asked for."""

    def __init__(self, yardstick: ModuleType, sizes: Sizes, device: str):
        self._yardstick, self._sizes, self._device = yardstick, sizes, device
        self._trainers: dict[str, _Trainer] = {}

    def stopwatch(self, who: str, part: str) -> Stopwatch:
        import torch

        if who not in self._trainers:
            torch.manual_seed(0)
            sizes = self._sizes._asdict()
            sizes |= dict(sizes.pop("departures"))
            trainer = self._yardstick.Trainer(**sizes, device=self._device, tuned=who == TUNED)
            self._trainers[who] = trainer
        trainer = self._trainers[who]

        def run(steps: int) -> None:
            for _ in range(steps):
                trainer.forward() if part == "forward" else trainer.step(int(part))
            if self._device == "cuda":
                torch.cuda.synchronize()

        return Stopwatch(run)
