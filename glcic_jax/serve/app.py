"""The server as an ASGI application: the page, and the HTTP interface behind it."""

import asyncio
import contextlib
import json
import logging
import re
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from importlib.util import find_spec
from typing import TypeAlias

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from glcic_jax.errors import UserError
from glcic_jax.serve.answers import refuse
from glcic_jax.serve.erasing import Erased, Progress, Task, erase, preview
from glcic_jax.serve.guard import Access, Guard
from glcic_jax.serve.limits import Bodies, Limits, Line
from glcic_jax.serve.metrics import Metrics
from glcic_jax.serve.models import Models
from glcic_jax.serve.openapi import describe
from glcic_jax.serve.page import load_page
from glcic_jax.serve.parsing import parse_image, parse_task
from glcic_jax.serve.refusals import GivenUp, Refusal
from glcic_jax.version import __version__

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

_log = logging.getLogger("glcic_jax.serve")
_TICKET = re.compile(r"[A-Za-z0-9-]{8,64}")


class Eraser:
    """What answers requests: models, limits and counts."""

    def __init__(self, models: Models, limits: Limits):
        self._models, self._limits = models, limits
        self._bodies, self._line, self._metrics = Bodies(limits), Line(limits), Metrics()
        self._progress: dict[str, tuple[Progress, list[asyncio.Future[None]]]] = {}

    async def inpaint(self, request: Request) -> Response:
        """POST /api/v1/inpaint."""

        async def parse(body: AsyncGenerator[bytes, None]) -> tuple[Callable[[Progress], Erased], str]:
            task = await parse_task(request, body)
            task = Task(**{**vars(task), "model": self._models.find(task.model)})
            return lambda progress: erase(task, self._models, self._limits.max_pixels, progress), task.seed

        began = time.monotonic()
        answer = await self._work(request, parse)
        if answer.status_code == 200:
            self._metrics.observe(time.monotonic() - began)
        return answer

    async def preview(self, request: Request) -> Response:
        """POST /api/v1/preview."""

        async def parse(body: AsyncGenerator[bytes, None]) -> tuple[Callable[[Progress], Erased], str]:
            image = await parse_image(request, body)
            return lambda progress: preview(image, self._limits.max_pixels), "0"

        return await self._work(request, parse)

    async def _work(
        self,
        request: Request,
        parse: Callable[[AsyncGenerator[bytes, None]], Awaitable[tuple[Callable[[Progress], Erased], str]]],
    ) -> Response:
        self._line.check_room()
        progress, turns = Progress(self._limits.paint_secs), list[asyncio.Future[None]]()
        ticket = request.query_params.get("ticket", "")
        with self._bodies.hold() as held, self._shown(ticket, progress, turns):
            try:
                work, seed = await parse(self._bodies.stream(request, held))
                progress.state = "waiting"
                done = await self._run(request, progress, turns, work)
            except GivenUp:
                self._metrics.count_given_up(progress.state)
                raise
        notes = json.dumps(done.notes)  # ASCII, as headers must be
        return Response(done.data, 200, {"X-Notes": notes[:4096], "X-Seed": seed}, done.media_type)

    async def _run(
        self,
        request: Request,
        progress: Progress,
        turns: list[asyncio.Future[None]],
        work: Callable[[Progress], Erased],
    ) -> Erased:
        gone = asyncio.ensure_future(_hang_up(request, progress))

        def work_now() -> Erased:
            progress.state = "painting"
            return work(progress)

        try:
            return await self._line.run(work_now, gone, turns.append)
        finally:
            gone.cancel()

    @contextlib.contextmanager
    def _shown(self, ticket: str, progress: Progress, turns: list[asyncio.Future[None]]) -> Iterator[None]:
        if not _TICKET.fullmatch(ticket) or ticket in self._progress:
            yield
            return
        self._progress[ticket] = progress, turns
        try:
            yield
        finally:
            del self._progress[ticket]

    async def progress(self, request: Request) -> Response:
        """GET /api/v1/progress/TICKET."""
        known = self._progress.get(request.path_params["ticket"])
        if known is None:
            return JSONResponse({"state": "unknown", "ahead": 0, "windows": 0})
        progress, turns = known
        ahead = self._line.ahead_of(turns[0]) if turns and progress.state == "waiting" else 0
        return JSONResponse({"state": progress.state, "ahead": ahead, "windows": progress.windows})

    async def model(self, request: Request) -> Response:
        """GET /api/v1/model, in the words of IOPaint's clients."""
        name = self._models.names[0]
        fields = {
            "name": name, "path": name, "model_type": "inpaint", "is_single_file_diffusers": False,
            "need_prompt": False, "controlnets": [], "brushnets": [], "support_strength": False,
            "support_outpainting": False, "support_lcm_lora": False, "support_controlnet": False,
            "support_brushnet": False, "support_powerpaint_v2": False,
        }  # fmt: skip
        return JSONResponse(fields)

    async def models(self, request: Request) -> Response:
        """GET /api/v1/models: what the page has to know."""
        limits = self._limits
        return JSONResponse(
            {
                "models": self._models.describe(),
                "max_pixels": limits.max_pixels,
                "max_bytes": limits.body_bytes,
                "copies_texture": find_spec("patchmatch") is not None,
            }
        )

    async def health(self, request: Request) -> Response:
        """GET /health."""
        return JSONResponse({"status": "ok", "version": __version__, "warm": self._models.is_warm})

    async def metrics(self, request: Request) -> Response:
        """GET /metrics."""
        gauges = {
            "glcic_waiting": ("Photographs that wait", float(self._line.waiting)),
            "glcic_working": ("Photographs that are worked on", float(self._line.working)),
            "glcic_held_bytes": ("Bodies of requests in memory", float(self._bodies.held_bytes)),
            "glcic_warm": ("Whether every shape is compiled", float(self._models.is_warm)),
        }
        return PlainTextResponse(self._metrics.text(gauges), media_type="text/plain; version=0.0.4")

    def counted(self, path: str, answer: Endpoint) -> Endpoint:
        """An endpoint whose errors become answers, and whose answers are counted."""

        async def answer_and_count(request: Request) -> Response:
            try:
                response = await answer(request)
            except GivenUp:
                return Response(status_code=499)  # nobody reads it
            except Refusal as refusal:
                await self._bodies.drain(request)
                response = refuse(refusal)
            except UserError as error:
                response = refuse(Refusal(422, str(error)))
            except MemoryError:
                response = refuse(Refusal(413, "not enough memory for this photograph; send a smaller one"))
            except Exception:
                _log.exception("%s %s", request.method, request.url.path)
                response = refuse(Refusal(500, "an error of the server's own; its log says more"))
            self._metrics.count_answer(path, response.status_code)
            return response

        return answer_and_count

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Warms the networks beside the first requests, and in the end waits for what is worked on."""
        warming = threading.Thread(target=self._models.warm, name="warming", daemon=True)
        warming.start()
        yield
        self._models.close()
        self._line.close()
        warming.join()


async def _hang_up(request: Request, progress: Progress) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    progress.gone.set()


def make_app(models: Models, limits: Limits, access: Access) -> Starlette:
    """The application; what it holds is in memory, and none of it is written anywhere."""
    eraser = Eraser(models, limits)
    paths: list[tuple[str, str, Endpoint]] = [
        ("POST", "/api/v1/inpaint", eraser.inpaint),
        ("POST", "/api/v1/preview", eraser.preview),
        ("GET", "/api/v1/progress/{ticket}", eraser.progress),
        ("GET", "/api/v1/model", eraser.model),
        ("GET", "/api/v1/models", eraser.models),
        ("GET", "/health", eraser.health),
        ("GET", "/metrics", eraser.metrics),
    ]
    routes = [Route(path, eraser.counted(path, endpoint), methods=[method]) for method, path, endpoint in paths]
    described = json.dumps(describe(limits, bool(access.token))).encode()

    async def openapi(request: Request) -> Response:
        return Response(described, media_type="application/json")

    async def preflight(request: Request) -> Response:
        return Response(
            status_code=204,
            headers={
                "Access-Control-Allow-Methods": "GET, POST",
                "Access-Control-Allow-Headers": "Authorization, Content-Type",
                "Access-Control-Max-Age": "600",
            },
        )

    async def answer_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        words = {404: "there is nothing here", 405: f"{request.method[:20]} is not understood here"}
        return refuse(Refusal(error.status_code, words.get(error.status_code, error.detail), error.headers))

    if access.origins:
        routes.append(Route("/api/{path:path}", preflight, methods=["OPTIONS"]))
    return Starlette(
        routes=[*routes, Route("/openapi.json", openapi), *load_page()],
        middleware=[Middleware(Guard, access=access)],
        exception_handlers={HTTPException: answer_error},
        lifespan=eraser.lifespan,
    )
