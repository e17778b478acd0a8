"""The console's application: its routes, what guards them, and its pages."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.staticfiles import StaticFiles

from console.api import problems
from console.api.guard import LARGEST_BODY, Guard
from console.api.oidc import TIMEOUT, Provider
from console.api.passwords import Passwords
from console.api.rates import Rates
from console.api.routes import audit, claims, keys, model, oidc, operations, people, session, worklist
from console.api.settings import WEB, ConsoleSettings
from console.api.store import Store
from console.api.v1 import app as v1
from console.api.worklist import Worklist
from shared.contract import load

ROUTERS: tuple[APIRouter, ...] = (
    session.router,
    oidc.router,
    people.router,
    keys.router,
    worklist.router,
    claims.router,
    model.router,
    operations.router,
    audit.router,
)


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
        async with AsyncExitStack() as stack:
            state = app.state
            store = state.store = await stack.enter_async_context(
                Store(settings.database_url.get_secret_value(), contract.name)
            )
            state.rates, state.passwords, state.provider = Rates(), Passwords(), None
            if settings.oidc_issuer:
                http = await stack.enter_async_context(httpx.AsyncClient(timeout=TIMEOUT))
                state.provider = Provider(settings, http)
            await stack.enter_async_context(v1.serving(app, store, settings, contract))
            state.worklist = await stack.enter_async_context(Worklist(store, settings.now))
            gc.freeze()  # what is there stays: to look through it for garbage takes 0.2 s, for which all requests wait
            stack.callback(gc.unfreeze)
            yield

    app = FastAPI(
        title="Claimsight",
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings, app.state.contract = settings, contract
    problems.install(app)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=LARGEST_BODY)
    app.add_middleware(Guard, public_url=settings.public_url)
    v1.mount(app, contract)  # first: a request is held against one route after the other
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


def _serve(app: FastAPI, web: Path) -> None:
    """Serve the pages: what Vite named by its content, and one document for every address of theirs."""
    app.mount("/assets", StaticFiles(directory=web / "assets"))

    @app.get("/{path:path}", include_in_schema=False)
    async def page(path: str) -> FileResponse:
        if path.startswith(("api/", "v1/", "assets/")):
            raise problems.ProblemError(404, "there is no such thing")
        return FileResponse(web / "index.html", headers={"Cache-Control": "no-cache"})
