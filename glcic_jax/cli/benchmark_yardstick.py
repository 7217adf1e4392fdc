"""PyTorch beside us: the yardstick's trainer in a process of its own, asked for one round of steps at a time.

So neither side's allocator settings and threads touch the other's; between its turns the process waits at a pipe.
No JAX in here: the process starts by importing this module.
"""

import argparse
import contextlib
import importlib.util
import multiprocessing
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from glcic_jax.cli.timing import Stopwatch
from glcic_jax.errors import UserError

PLAIN, TUNED = "PyTorch", "tuned"
"""float32 as people usually run it; with bfloat16, channels_last and, on GPUs, torch.compile."""


class Sizes(NamedTuple):
    """What is trained: images and windows in pixels, samples in a step, width of both networks."""

    crop_px: int
    window_px: int
    batch_size: int
    width: float


def require(path: Path) -> None:
    """Raises UserError if the yardstick's file or PyTorch is missing."""
    if not path.is_file():
        raise UserError(f"--yardstick is {path}, which is no file; give the Python file with the PyTorch trainer")
    if importlib.util.find_spec("torch") is None:
        raise UserError("--yardstick needs PyTorch; pip install torch, or leave --yardstick out")


class Yardstick:
    """A Python file with a PyTorch trainer; to be closed, or used as a context."""

    def __init__(self, path: Path, sizes: Sizes, device: str):
        """device: "cpu" or "cuda". Raises: UserError if the file does not work."""
        self._path = path
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
            raise UserError(f"the yardstick {self._path}: {failure}")
        return answer


def _serve(pipe: Any, path: Path, sizes: Sizes, device: str) -> None:
    """Answers (what was asked for, "") or (None, why not) until the other side closes the pipe."""
    with contextlib.suppress(EOFError, KeyboardInterrupt, BrokenPipeError):
        try:
            import torch

            if device == "cuda" and not torch.cuda.is_available():
                raise RuntimeError("JAX computes on a GPU, and this PyTorch sees none; install torch with CUDA")
            contenders = _Contenders(_load(path), sizes, device)
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


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("yardstick", path)
    if spec is None or spec.loader is None:
        raise ImportError("it is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Contenders:
    """The yardstick's trainers, plain and tuned, made when they are asked for, and one batch for both."""

    def __init__(self, yardstick: ModuleType, sizes: Sizes, device: str):
        import torch

        self._yardstick, self._sizes, self._device = yardstick, sizes, device
        self._trainers: dict[str, Any] = {}
        arguments = argparse.Namespace(seed=0, batch=sizes.batch_size, size=sizes.crop_px, local=sizes.window_px)
        self._batch = yardstick.batch_of(arguments, torch.float32, device)

    def stopwatch(self, who: str, part: str) -> Stopwatch:
        import torch

        if who not in self._trainers:
            torch.manual_seed(0)
            sizes = (self._sizes.crop_px, self._sizes.window_px, self._sizes.width)
            self._trainers[who] = self._yardstick.Trainer(*sizes, self._device, who == TUNED)
        trainer = self._trainers[who]
        image, mask = self._batch[:2]

        def forward(steps: int) -> None:
            trainer.c.eval()
            with torch.no_grad(), torch.autocast(self._device, torch.bfloat16, enabled=trainer.tuned):
                for _ in range(steps):
                    trainer.complete(image, mask)
            trainer.c.train()
            self._wait()

        def train(steps: int) -> None:
            for _ in range(steps):
                trainer.step(int(part), *self._batch)
            self._wait()

        return Stopwatch(forward if part == "forward" else train)

    def _wait(self) -> None:
        import torch

        if self._device == "cuda":
            torch.cuda.synchronize()
