"""From model folders to a server that runs."""

import signal
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from glcic_jax.serve.app import make_app
from glcic_jax.serve.guard import Access
from glcic_jax.serve.limits import Limits
from glcic_jax.serve.models import Models
from glcic_jax.serve.server import bind, make_server


def start(models: Sequence[Path], limits: Limits, access: Access, port: int, open_browser: bool) -> None:
    """Loads the models and serves until it is told to stop. Raises: UserError."""
    listening = bind(access.host, port)
    app = make_app(Models(models), limits, access)
    host = "127.0.0.1" if access.host in ("0.0.0.0", "::") else access.host
    address = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}/"

    def say() -> None:
        print(f"the eraser is at {address} (Ctrl-C ends it)", flush=True)
        if not access.is_local:
            guarded = "with the token" if access.token else "without any token: set GLCIC_TOKEN to have one asked for"
            print(f"other machines can use it, {guarded}", flush=True)
        if open_browser:
            webbrowser.open(address)

    for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn raises them once more when all work has been ended
        signal.signal(number, _ignore)
    make_server(app, limits, say).run(sockets=[listening])


def _ignore(number: int, frame: FrameType | None) -> None:
    """A stop that was asked for is no failure."""
