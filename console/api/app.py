"""The console's application: its routes, what guards them, and its pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse
from starlette.datastructures import MutableHeaders
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.api import problems
from console.api.routes import claims, session
from console.api.settings import WEB, ConsoleSettings
from console.api.store import Store
from shared.contract import load

ROUTERS: tuple[APIRouter, ...] = (session.router, claims.router)
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


def create_app(settings: ConsoleSettings, web: Path = WEB) -> FastAPI:
    """Make the application; it reaches the database once it is started.

    Parameters
    ----------
    web : Path
        The pages, as Vite built them; without them only the API answers.

    Raises
    ------
    ConfigError
        The contract is missing or malformed.
    """
    contract = load(settings.contract)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with Store(settings.database_url.get_secret_value(), contract.name) as store:
            app.state.store = store
            yield

    app = FastAPI(title="Claimsight", lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    app.state.settings, app.state.contract = settings, contract
    problems.install(app)
    app.add_middleware(Guard, secure=settings.secure)
    for router in ROUTERS:
        app.include_router(router)

    @app.get("/healthz")
    async def healthy() -> dict[str, str]:
        """Tell a load balancer that the process answers.

        It looks at nothing else, so that a failure of the database does not have all tasks replaced.
        """
        return {"status": "ok"}

    if (web / "index.html").exists():
        _serve(app, web)
    return app


class Guard:
    """Adds `HEADERS` to every answer that does not say otherwise.

    Parameters
    ----------
    secure : bool
        Whether browsers reach the console over https.
    """

    def __init__(self, app: ASGIApp, secure: bool) -> None:
        self._app = app
        self._headers = HEADERS | ({"Strict-Transport-Security": "max-age=63072000"} if secure else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = self._headers
        if scope["path"].startswith(("/api/", "/v1/")):
            headers = headers | {"Cache-Control": "no-store"}

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = MutableHeaders(scope=message)
                for name, value in headers.items():
                    told.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, guarded)


def _serve(app: FastAPI, web: Path) -> None:
    """Serve the pages: what Vite named by its content, and one document for every address of theirs."""
    app.mount("/assets", StaticFiles(directory=web / "assets"))

    @app.get("/{path:path}", include_in_schema=False)
    async def page(path: str) -> FileResponse:
        if path.startswith(("api/", "v1/", "assets/")):
            raise problems.ProblemError(404, "there is no such thing")
        return FileResponse(web / "index.html", headers={"Cache-Control": "no-cache"})
