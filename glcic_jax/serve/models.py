"""The models that a server completes with, loaded once; their networks run one at a time."""

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np

from glcic_jax.errors import UserError
from glcic_jax.inference.complete_files import Options, load_completer, painter
from glcic_jax.inference.completer import Completer
from glcic_jax.inference.files import Paint
from glcic_jax.inference.masks import SMALLEST_PX, trained_px
from glcic_jax.inference.windows import CORES_PX
from glcic_jax.serve.refusals import Refusal


class Models:
    """Models by name; the first one is meant where none is named. Threads may share one."""

    def __init__(self, folders: Sequence[Path]):
        """folders: of models, at least one; one is called like its folder. Raises: UserError as loading does."""
        self._loaded = dict(zip(_names(folders), (load_completer(folder) for folder in folders), strict=True))
        self._network = threading.Lock()
        self._closing = threading.Event()
        self.is_warm = False

    @property
    def names(self) -> list[str]:
        """All of them."""
        return list(self._loaded)

    def find(self, name: str) -> str:
        """The name of the model that is meant. Raises: Refusal if there is none of that name."""
        if name and name not in self._loaded:
            raise Refusal(404, f"no model {name[:80]!r}; there are {', '.join(self._loaded)}")
        return name or self.names[0]

    def describe(self) -> list[dict[str, Any]]:
        """What a page has to know of each."""
        described = []
        for name, completer in self._loaded.items():
            note = completer.card.published.licence_note if completer.card.published else ""
            trained = trained_px(completer.card)
            described.append({"name": name, "blend": completer.blends, "trained_px": trained, "licence_note": note})
        return described

    def paint_with(self, options: Options, watch: Callable[[], None]) -> Paint:
        """What completes pixels, as `glcic complete` does.

        options: how; the model in them by its name. watch: called before each window.
        """
        completer = self._loaded[str(options.model)]
        loaded: Future[Completer] = Future()
        loaded.set_result(completer)
        paint = painter(loaded, options, watch)

        def paint_alone(pixels: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, list[str]]:
            with self._network:
                watch()
                return paint(pixels, mask)

        return paint_alone

    def warm(self) -> None:
        """Compiles every network for every shape of window, so that nobody waits for that; requests go first."""
        shapes = [max(SMALLEST_PX, side) for side in sorted({side for core in CORES_PX for side in core})]
        by_size = sorted(itertools.product(shapes, shapes), key=lambda shape: shape[0] * shape[1])
        for shape in (core for core in by_size if core in CORES_PX):
            for completer in self._loaded.values():
                if self._closing.is_set():
                    return
                if completer.network.margin_px is not None:
                    with self._network:
                        _compile(completer, shape)
                    time.sleep(0.01)  # who waits for the network may take it
        self.is_warm = True

    def close(self) -> None:
        """Ends warming."""
        self._closing.set()


def _compile(completer: Completer, core: tuple[int, int]) -> None:
    """Completes a grey picture whose hole takes one window of that shape."""
    hole = np.ones((*core, 1), np.uint8)
    hole[0, 0] = 0
    completer(np.full((*core, 3), 128, np.uint8), hole, coarse=False, blend=False)


def _names(folders: Sequence[Path]) -> list[str]:
    """A name for each folder: its own, or, where that is called `model` or not the only one, with the one above it."""
    if not folders:
        raise UserError("no model; give --model=FOLDER")
    paths = [folder.resolve() for folder in folders]
    plain = [path.name for path in paths]
    names = [
        path.name if path.name != "model" and plain.count(path.name) == 1 else f"{path.parent.name}/{path.name}"
        for path in paths
    ]
    if len(set(names)) != len(names):
        raise UserError(
            f"two models would have one name, among {', '.join(names)}; rename a folder, or give one of them"
        )
    return names
