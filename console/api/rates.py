"""How often somebody may try: counted in the memory of this process, over windows of fixed length."""

from __future__ import annotations

import math
import time
from ipaddress import IPv6Address, ip_address

from fastapi import Request
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

from console.api.problems import ProblemError

REQUESTS = RateLimitItemPerMinute(900, namespace="requests")
"""Of one session: a page asks for some ten things, a long worklist scrolled fast for five a second."""
FROM_ADDRESS = RateLimitItemPerMinute(100, 5, namespace="address")
"""Sign-ins begun from one address by browsers that nobody has signed in with before. An office may share one."""
OF_LOGIN = RateLimitItemPerMinute(10, 15, namespace="login")
"""Sign-ins as one login by such browsers, from wherever: 960 guesses a day. One that succeeds clears the count."""
OF_BROWSER = RateLimitItemPerMinute(10, 15, namespace="browser")
"""Sign-ins by a browser that the person has signed in with before, and passwords tried in a session. These are counted
for themselves, so that whoever guesses at a login from elsewhere does not keep its owner out."""


class Rates:
    """Counts tries."""

    def __init__(self) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    async def spend(self, limit: RateLimitItem, key: str) -> None:
        """Count one try, before it is made, so that many at once are counted too.

        Raises
        ------
        ProblemError
            429: there were as many as the limit allows.
        """
        if not await self._limiter.hit(limit, key):
            reset = (await self._limiter.get_window_stats(limit, key)).reset_time
            seconds = max(1, math.ceil(reset - time.time()))
            wait = f"{math.ceil(seconds / 60)} minutes" if seconds > 60 else f"{seconds} seconds"
            raise ProblemError(429, f"too many tries; wait {wait}", headers={"Retry-After": str(seconds)})

    async def forgive(self, limit: RateLimitItem, key: str) -> None:
        """Forget what was counted."""
        await self._limiter.clear(limit, key)


def address_of(request: Request) -> str:
    """Give the address by which a request is counted."""
    return network(request.client.host if request.client else "")


def network(host: str) -> str:
    """Address by which tries are counted: of IPv6 the network that one household or office has.

    >>> network("192.0.2.7"), network("2001:db8:1:2:3::4"), network("testclient")
    ('192.0.2.7', '2001:db8:1:2::', 'testclient')
    """
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(IPv6Address(int(address) >> 64 << 64))
    return str(address)
