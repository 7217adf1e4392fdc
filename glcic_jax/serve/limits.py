"""What a server takes at once: sizes, times, bodies in memory, and how many requests wait."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from glcic_jax.serve.refusals import Busy, GivenUp, Refusal

T = TypeVar("T")
_DRAIN_SECS = 5.0
_SECONDS_AT_FIRST = 2.0  # of a job, before any has been timed


@dataclass(frozen=True)
class Limits:
    """What is refused rather than done.

    Fields:
        body_bytes: of one request. held_bytes: of all bodies in memory together.
        max_pixels: of a photograph, checked before it is decoded.
        waiting: requests that wait while others are worked on.
        workers: photographs that are decoded and written at a time; networks run one at a time.
        body_secs: until a request's body has to be there. wait_secs: until its work has to begin.
        paint_secs: that the network may take for one photograph.
        idle_secs: that a connection may do nothing.
    """

    body_bytes: int = 64 << 20
    held_bytes: int = 512 << 20
    max_pixels: int = 50_000_000
    waiting: int = 16
    workers: int = 2
    body_secs: float = 60
    wait_secs: float = 60
    paint_secs: float = 300
    idle_secs: float = 15


class Bodies:
    """The bytes of all bodies that are in memory."""

    def __init__(self, limits: Limits):
        self._limits = limits
        self.held_bytes = 0

    async def stream(self, request: Request, held: "HeldBody") -> AsyncGenerator[bytes, None]:
        """The body of a request, piece by piece. Raises: Refusal if it is too large, too slow or one too many."""
        limits = self._limits
        self._check_declared(request)
        pieces = aiter(request.stream())
        deadline = asyncio.get_running_loop().time() + limits.body_secs
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    piece = await anext(pieces)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise Refusal(408, f"the request was not there after {limits.body_secs:g} s; send it faster") from None
            except ClientDisconnect:
                raise GivenUp from None
            held.add(len(piece))
            if held.size > limits.body_bytes:
                raise self._too_large()
            yield piece

    async def drain(self, request: Request) -> None:
        """Reads what is left of a body and forgets it: a client that is still sending would not see the answer."""
        size = 0
        with contextlib.suppress(TimeoutError, ClientDisconnect, RuntimeError):  # the last: all has been read
            async with asyncio.timeout(_DRAIN_SECS):
                async for piece in request.stream():
                    size += len(piece)
                    if size > self._limits.body_bytes:
                        return

    def _check_declared(self, request: Request) -> None:
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > self._limits.body_bytes:
            raise self._too_large()

    def _too_large(self) -> Refusal:
        return Refusal(413, f"the request is larger than {self._limits.body_bytes / 1e6:.0f} MB; send less")

    def hold(self) -> "HeldBody":
        """A body that is about to be read, to be used in a `with`."""
        return HeldBody(self, self._limits.held_bytes)


class HeldBody:
    """One body's share of the memory, given back at the end."""

    def __init__(self, bodies: Bodies, most_bytes: int):
        self._bodies, self._most_bytes, self.size = bodies, most_bytes, 0

    def add(self, size: int) -> None:
        """Counts further bytes. Raises: Busy if all bodies together are too many."""
        if self._bodies.held_bytes + size > self._most_bytes:
            raise Busy("too many photographs are being sent; try again later", _SECONDS_AT_FIRST)
        self._bodies.held_bytes += size
        self.size += size

    def __enter__(self) -> "HeldBody":
        return self

    def __exit__(self, *_: object) -> None:
        self._bodies.held_bytes -= self.size


class Line:
    """Work in the order in which it came, a few at a time, each in a thread; what is given up leaves the line."""

    def __init__(self, limits: Limits):
        self._limits = limits
        self._free = limits.workers
        self._line: deque[asyncio.Future[None]] = deque()
        self._pool = ThreadPoolExecutor(limits.workers, "worker")
        self._job_secs = _SECONDS_AT_FIRST

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._line)

    @property
    def working(self) -> int:
        """How many are worked on."""
        return self._limits.workers - self._free

    def ahead_of(self, turn: "asyncio.Future[None] | None") -> int:
        """How many come before one that waits."""
        return self._line.index(turn) if turn is not None and turn in self._line else 0

    def check_room(self) -> None:
        """Raises: Busy if as many wait as may."""
        if self.waiting >= self._limits.waiting:
            raise Busy(f"{self.waiting} photographs wait already; try again later", self._secs_to_wait())

    async def run(
        self, work: Callable[[], T], gone: "asyncio.Future[None]", placed: Callable[["asyncio.Future[None]"], None]
    ) -> T:
        """Does the work when its turn comes.

        Args:
            work: run in a thread.
            gone: done when the client has hung up.
            placed: told the place in the line.

        Raises: Busy if the line is full or too slow, GivenUp if the client left before the work began, what `work`
            raises.

        """
        loop = asyncio.get_running_loop()
        await self._wait(gone, placed)
        began = loop.time()
        try:
            return await loop.run_in_executor(self._pool, work)
        finally:
            self._job_secs += 0.2 * (loop.time() - began - self._job_secs)
            self._leave()

    async def _wait(self, gone: "asyncio.Future[None]", placed: Callable[["asyncio.Future[None]"], None]) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._free:
            self._free -= 1
            turn.set_result(None)
        else:
            self.check_room()
            self._line.append(turn)
        placed(turn)
        try:
            await asyncio.wait({turn, gone}, timeout=self._limits.wait_secs, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if turn.done():
                self._leave()
            raise
        finally:
            if not turn.done():
                self._line.remove(turn)
        if gone.done():
            if turn.done():
                self._leave()
            raise GivenUp
        if not turn.done():
            raise Busy(f"its turn had not come after {self._limits.wait_secs:g} s; try again", self._secs_to_wait())

    def _leave(self) -> None:
        if self._line:
            self._line.popleft().set_result(None)
        else:
            self._free += 1

    def _secs_to_wait(self) -> float:
        return self._job_secs * (self.waiting + self.working) / self._limits.workers

    def close(self) -> None:
        """Waits for what is worked on."""
        self._pool.shutdown(wait=True, cancel_futures=True)
