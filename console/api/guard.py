"""What every request passes, and every answer bears, whatever the route."""

from __future__ import annotations

import time
import traceback
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.api import problems
from console.api.segments import routed
from shared.logs import log

INFO, ERROR = 20, 40
LARGEST_BODY = 1_000_000
"""Bytes; a claim to be scored takes some thousand."""
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
"""Sent with every answer that does not say otherwise."""


class Guard:
    """Refuses what no page of ours sends, adds `HEADERS` to every answer, and logs one line a request.

    The line tells method, route, status, milliseconds and who; never the address' query or a body. What fails
    unforeseen is answered without a word on why: that stands in the log, by place and not by value.

    Parameters
    ----------
    public_url : str
        Where browsers reach the console.
    """

    def __init__(self, app: ASGIApp, public_url: str) -> None:
        parts = urlsplit(public_url)
        self._app, self._public_url, self._host = app, public_url, parts.hostname
        self._headers = HEADERS | ({"Strict-Transport-Security": "max-age=63072000"} if parts.scheme == "https" else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 0
        scope["path"] = routed(scope["raw_path"])
        headers = self._headers
        if scope["path"].startswith(("/api/", "/v1/")):
            headers = headers | {"Cache-Control": "no-store"}

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                told = MutableHeaders(scope=message)
                for name, value in headers.items():
                    told.setdefault(name, value)
            await send(message)

        try:
            if refusal := self._refusal(scope):
                await problems.answer(*refusal)(scope, receive, guarded)
            else:
                await self._app(scope, receive, guarded)
        except Exception as error:
            log(ERROR, "a request failed", error=type(error).__name__, at=_place(error))
            if status:  # the answer has begun: to break it off is all that can be done
                raise
            sentence = "something went wrong here; it is in the log"
            await problems.answer(500, sentence)(scope, receive, guarded)
        finally:
            self._enter(scope, status, begun)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Tell what stands against a request before anything of it is read."""
        headers = Headers(scope=scope)
        # A load balancer asks for the health of a task by its address.
        if scope["path"] != "/healthz" and _hostname(headers.get("host", "")) != self._host:
            return 421, f"the console is at {self._public_url}"
        # Of one that does not tell its size, Starlette's middleware counts what is read.
        size = headers.get("content-length", "0")
        if not size.isdecimal() or int(size) > LARGEST_BODY:
            return 413, f"a request holds at most {LARGEST_BODY:,} bytes"
        # Another site may have a browser send something, cookies and all. As Go's CrossOriginProtection has it, a
        # browser says where a request comes from, and what does not is no browser. /v1 knows no cookies.
        if scope["method"] in UNSAFE and not scope["path"].startswith("/v1/"):
            site, origin = headers.get("sec-fetch-site"), headers.get("origin")
            if site not in ("same-origin", "none") if site else origin not in (None, self._public_url):
                return 403, "the request comes from another site"
        return None

    def _enter(self, scope: Scope, status: int, begun: float) -> None:
        path = getattr(scope.get("route"), "path", None)
        log(
            INFO,
            "request",
            method=scope["method"],
            route=path and scope.get("root_path", "") + path,  # of an application below, such as /v1, with its prefix
            status=status,
            milliseconds=round((time.perf_counter() - begun) * 1000, 1),
            login=scope.get("state", {}).get("login"),
        )


def note_login(request: Request, login: str) -> None:
    """Have the request's line in the log name who sent it."""
    request.state.login = login


def _place(error: Exception) -> list[str]:
    """Tell where it happened, innermost last: not what was said of it, which may hold a value."""
    return [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-6:]]


def _hostname(host: str) -> str | None:
    """Name of a ``Host`` header, without the port.

    >>> _hostname("Claims.example:8400"), _hostname("[::1]:80"), _hostname("a b"), _hostname("[")
    ('claims.example', '::1', 'a b', None)
    """
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
