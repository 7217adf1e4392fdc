"""A server with a tiny model of random weights, in a thread of the tests."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from glcic_jax.models import folder as model_folder
from glcic_jax.models.card import Card, Trained
from glcic_jax.models.completion import CompletionNetwork
from glcic_jax.serve.app import make_app
from glcic_jax.serve.guard import Access
from glcic_jax.serve.limits import Limits
from glcic_jax.serve.models import Models
from glcic_jax.serve.server import bind, make_server
from tests.support.networks import shaken


class ColdModels(Models):
    """Nothing is compiled before it is asked for: six shapes that no test needs."""

    def warm(self) -> None:
        self.is_warm = True


def save_tiny_model(folder: Path, seed: int = 3) -> Path:
    """A network of a thirty-second of the width, trained, as its card says, on holes of 32 to 64 px.

    In so narrow a network all channels of a layer may be dead; with seeds 3 and 7 what it paints depends on the image.
    """
    network = CompletionNetwork(width_multiplier=0.03125)
    card = Card(trained=Trained(crop_px=128, hole_px=(32, 64)))
    model_folder.save(folder, (network, shaken(network, seed)), None, card)
    return folder


@contextlib.contextmanager
def running(models, limits: Limits, access: Access) -> Iterator[str]:
    """Yields the address without a slash at the end."""
    listening = bind("127.0.0.1", 0)
    up = threading.Event()
    server = make_server(make_app(models, limits, access), limits, up.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        assert up.wait(30)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


class PaintsBlack:
    """Stands in for models, without a network."""

    is_warm, names = True, ["black"]

    def find(self, name):
        return "black"

    def describe(self):
        return []

    def warm(self):
        pass

    def close(self):
        pass

    def paint_with(self, options, watch):
        def paint(pixels, mask):
            watch()
            return np.zeros_like(pixels), []

        return paint
