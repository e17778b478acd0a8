"""Which system sends a request to the API, whether it may, and how often."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from console.api.keys import Key, Keys, Scope
from console.api.problems import ProblemError
from console.api.store import Store

FAILURES = parse("60/minute")
"""Requests of one address whose key is not good, before it has to wait."""
BEARER = HTTPBearer(
    auto_error=False, description="A key of the system's own, which an administrator of the console makes."
)


class Systems:
    """Lets in systems by their keys, each so often.

    Parameters
    ----------
    rate : str
        Requests of one key, such as ``100/second``; this process counts its own.
    """

    def __init__(self, store: Store, rate: str) -> None:
        self._keys = Keys(store)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._rate = parse(rate)

    async def let_in(self, secret: str | None, address: str, scope: Scope) -> Key:
        """Tell whose key it is.

        Raises
        ------
        ProblemError
            401: it is none that is good. 403: it is not good for this. 429: too often.
        """
        key = None
        if secret and await self._limiter.test(FAILURES, address):
            key = await self._keys.find(secret)
        if key is None:
            await self._limit(FAILURES, address)
            raise ProblemError(
                401, "send a key that is good: Authorization: Bearer ...", headers={"WWW-Authenticate": "Bearer"}
            )
        await self._limit(self._rate, str(key.key_id))
        if scope not in key.scopes:
            raise ProblemError(403, f"the key is not good for {scope}")
        return key

    async def _limit(self, rate: RateLimitItem, who: str) -> None:
        if not await self._limiter.hit(rate, who):
            raise ProblemError(429, f"too many requests; {rate} are taken", headers={"Retry-After": "1"})


def system(scope: Scope) -> Callable[..., Awaitable[Key]]:
    """Make the dependency by which a route lets in systems whose key has a scope: ``Depends(system("score"))``."""

    async def let_in(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]) -> Key:
        systems: Systems = request.app.state.systems
        address = request.client.host if request.client else "nowhere"
        return await systems.let_in(given.credentials if given else None, address, scope)

    return let_in
