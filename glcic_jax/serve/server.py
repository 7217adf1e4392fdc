"""Running the application with uvicorn: connections that do nothing are closed, and a stop waits for what was begun."""

import asyncio
import functools
import logging
import socket
import sys
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from glcic_jax.errors import UserError
from glcic_jax.serve.limits import Limits

_MOST_CONNECTIONS = 512


class Connection(H11Protocol):
    """A connection that is closed when nothing was asked on it for a while, or when it only sends what nobody reads."""

    def __init__(self, *args: Any, idle_secs: float, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._idle_secs = idle_secs

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As asyncio has it."""
        super().connection_made(transport)
        self._answered: object = None
        self._timer = self.loop.call_later(self._idle_secs, self._close_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio has it."""
        self._timer.cancel()
        super().connection_lost(exc)

    def _close_idle(self) -> None:
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self._answered is self.cycle:
            self.transport.abort()
            return
        self._answered = self.cycle if idle else self
        self._timer = self.loop.call_later(self._idle_secs, self._close_idle)


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes any that is free. Raises: UserError."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=256)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot listen on {host}, port {port}: {reason}; give another --host or --port") from error


def make_server(app: Starlette, limits: Limits, ready: Callable[[], Any]) -> uvicorn.Server:
    """What answers requests, by `run(sockets=[...])`, until SIGINT or SIGTERM; what has been begun is ended first.

    ready: called when it is up.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s: %(name)s: %(message)s")
    for name in ("uvicorn.error", "python_multipart"):  # which warn of every request that cannot be read
        logging.getLogger(name).setLevel(logging.ERROR)
    connection: Any = functools.partial(Connection, idle_secs=limits.idle_secs)
    config = uvicorn.Config(
        app, http=connection, ws="none", lifespan="on", loop="asyncio", log_config=None, access_log=False,
        limit_concurrency=_MOST_CONNECTIONS, timeout_keep_alive=5, server_header=False, proxy_headers=False,
        timeout_graceful_shutdown=round(limits.body_secs + limits.wait_secs + limits.paint_secs),
    )  # fmt: skip
    return _Server(config, ready)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], Any]):
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()
