"""The API for other systems, ``/v1``: an application of its own within the console's, with its own OpenAPI document."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from fastapi import FastAPI
from psycopg_pool import PoolTimeout

from console.api import problems
from console.api.keys import let_in_check
from console.api.settings import ConsoleSettings
from console.api.store import Store
from console.api.v1.document import describe
from console.api.v1.routes import router_of
from console.api.v1.scores import Scores
from console.api.v1.standing import WARNING, Standing
from console.api.v1.systems import Systems
from shared.contract import Contract
from shared.logs import log

VERSION = "1.0.0"


def mount(app: FastAPI, contract: Contract) -> None:
    """Have the console's application answer below ``/v1``; :func:`serving` has that work."""
    v1 = FastAPI(
        title=f"Claimsight: {contract.title}",
        version=VERSION,
        description="Scores a claim now, hands out alerts, takes decisions in. Every answer about claims is logged.",
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    v1.state = app.state
    problems.install(v1)
    v1.include_router(router_of(contract))
    describe(v1)
    app.mount("/v1", v1)


@asynccontextmanager
async def serving(app: FastAPI, store: Store, settings: ConsoleSettings, contract: Contract) -> AsyncIterator[None]:
    """Watch what holds and score what comes while the block lasts."""
    app.state.systems = Systems(store, settings.api_rate)
    standing = Standing(store, settings, contract)
    app.state.scores = Scores(store, standing, settings, contract)
    if settings.check_key is not None:
        try:
            await let_in_check(store, settings.check_key.get_secret_value())
        except (PoolTimeout, psycopg.Error) as error:  # the console may wait for its database; the check will not pass
            log(WARNING, "the key of the check cannot be let in", reason=type(error).__name__)
    async with standing.watched(), app.state.scores.at_work():
        yield
