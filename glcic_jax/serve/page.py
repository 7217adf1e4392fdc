"""The page's files, read once from the package: a request's path is looked up among them, and never opened."""

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FOLDER = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
    ".jpg": "image/jpeg", ".svg": "image/svg+xml",
}  # fmt: skip


def load_page() -> list[Route]:
    """A route for each file, and / for index.html."""
    routes = [Route(f"/{file.name}", _answer(file)) for file in sorted(FOLDER.iterdir())]
    return [Route("/", _answer(FOLDER / "index.html")), *routes]


def _answer(file: Path) -> Callable[[Request], Awaitable[Response]]:
    data = file.read_bytes()
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}

    async def answer(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(data, headers=headers, media_type=_TYPES[file.suffix])

    return answer
