"""Who may ask: the Host, Origin and token of requests, and what every answer tells the browser.

A page of another site can make a browser send requests to this machine. So requests must name a host that is ours,
which a name that was bound to this address later (DNS rebinding) is not, and must not come from another site.
"""

import hmac
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from glcic_jax.errors import UserError
from glcic_jax.serve.answers import refuse
from glcic_jax.serve.refusals import Refusal

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[\w.-]+)(?::\d{1,5})?", re.ASCII)
GUARDED_PATHS = ("/api/", "/metrics", "/openapi.json")
"""What a token guards: the page itself holds no secrets."""

ANSWER_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Fields:
        host: the address that the server is bound to.
        hosts: further names by which it may be called.
        origins: other sites whose pages may ask, such as https://example.org.
        token: what requests must carry; "" asks for none.
    """

    host: str = "127.0.0.1"
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    token: str = ""

    def __post_init__(self) -> None:
        """Raises: UserError."""
        if not re.fullmatch(r"[!-~]*", self.token):
            raise UserError("GLCIC_TOKEN has letters that no header can carry; take ASCII letters and digits")
        for origin in self.origins:
            parts = urlsplit(origin)
            if (
                parts.scheme not in ("http", "https")
                or not parts.netloc
                or origin != f"{parts.scheme}://{parts.netloc}"
            ):
                raise UserError(f"--allow_origin is {origin!r}; give it as https://example.org, with nothing behind it")

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host == "localhost" or (_is_address(self.host) and ipaddress.ip_address(self.host).is_loopback)

    def knows(self, host: str) -> bool:
        """Whether the Host of a request is a name of ours, or, where others may reach us, an address."""
        name = _name_of(host)
        if name in (self.host.lower(), *(known.lower() for known in self.hosts)):
            return True
        if not self.is_local and _is_address(name):  # no name, so no other name that was bound to our address
            return True
        return name in ("localhost", "127.0.0.1", "::1")


class Guard:
    """Passes on requests that may be answered."""

    def __init__(self, app: ASGIApp, access: Access):
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, path, method = Headers(scope=scope), scope["path"], scope["method"]
        origin = headers.get("origin")
        allowed = origin if origin in self._access.origins else None

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in ANSWER_HEADERS.items():
                    answer.setdefault(name, value)
                answer["Cross-Origin-Resource-Policy"] = "cross-origin" if allowed else "same-origin"
                if allowed:
                    answer["Access-Control-Allow-Origin"] = allowed
                    answer["Access-Control-Expose-Headers"] = "X-Notes, X-Seed, Retry-After"
                if self._access.origins:
                    answer.add_vary_header("Origin")
            await send(message)

        try:
            self._check_site(headers, allowed, path, method)
            preflight = method == "OPTIONS" and allowed is not None
            if not preflight and path.startswith(GUARDED_PATHS):
                self._check_token(headers)
        except Refusal as refusal:
            await refuse(refusal)(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)

    def _check_site(self, headers: Headers, allowed: str | None, path: str, method: str) -> None:
        hosts = headers.getlist("host")
        host = hosts[0] if len(hosts) == 1 else ""
        if not self._access.knows(host):
            raise Refusal(403, f"this server is not called {_shown(host)}; --allow_host names further hosts")
        if allowed:
            return
        origin = headers.get("origin")
        if len(headers.getlist("origin")) > 1 or (origin is not None and _host_of(origin) != _normal(host)):
            raise Refusal(403, f"pages of {_shown(origin or '')} may not ask this server; --allow_origin lets them")
        navigates = method == "GET" and headers.get("sec-fetch-mode") == "navigate" and path in ("/", "/index.html")
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not navigates:
            raise Refusal(403, "pages of other sites may not ask this server; --allow_origin lets them")

    def _check_token(self, headers: Headers) -> None:
        if not self._access.token:
            return
        scheme, _, given = headers.get("authorization", "").partition(" ")
        right = hmac.compare_digest(given.strip().encode("utf-8", "replace"), self._access.token.encode())
        if not right or scheme.lower() != "bearer":
            raise Refusal(
                401, "this server asks for its token, as Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"}
            )


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}...")


def _name_of(host: str) -> str:
    """The Host of a request without its port: lower case, and addresses of IPv6 without brackets."""
    found = _HOST.fullmatch(host.lower())
    return found[1].strip("[]") if found else ""


def _normal(host: str, scheme: str = "") -> str:
    """Host and port; the port that belongs to the scheme, or to either of both if it is not known, is left out."""
    usual: Iterable[str] = {"http": (":80",), "https": (":443",)}.get(scheme, (":80", ":443"))
    host = host.lower()
    return next((host.removesuffix(port) for port in usual if host.endswith(port)), host)


def _host_of(origin: str) -> str:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return ""
    return _normal(parts.netloc, parts.scheme) if parts.scheme in ("http", "https") else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
