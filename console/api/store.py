"""Postgres as the console reaches it: a pool of sessions on one line of business."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

Parameters = Sequence[Any] | Mapping[str, Any]
Connection = AsyncConnection[DictRow]

SESSIONS = 8
WAIT_SECONDS = 5.0
"""How long a request waits for a session of the pool, and for the server to let it in."""
_OPTIONS = (
    "-c timezone=UTC -c datestyle=ISO -c statement_timeout=15s -c idle_in_transaction_session_timeout=15s -c jit=off"
)


class Store:
    """Sessions on one line of business; ``async with`` opens and closes them.

    Parameters
    ----------
    url : str
        A libpq connection string, of a login in the role ``claimsight_console`` and in no other.
    line : str
        Schema of the line of business: queries name its tables plainly, and ``claimsight``'s.
    """

    def __init__(self, url: str, line: str) -> None:
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            connection_class=AsyncConnection[DictRow],
            kwargs={
                "autocommit": True,
                "row_factory": dict_row,
                "options": f"{_OPTIONS} -c search_path={line},claimsight",
                "connect_timeout": int(WAIT_SECONDS),
            },
            min_size=1,
            max_size=SESSIONS,
            timeout=WAIT_SECONDS,
            check=AsyncConnectionPool.check_connection,
            open=False,
            name="claimsight",
        )

    async def __aenter__(self) -> Store:
        await self._pool.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close()

    async def rows(self, query: str, parameters: Parameters = ()) -> list[dict[str, Any]]:
        """Run a statement, committed at its end; its rows, each a dict, or none where it returns none."""
        async with self._pool.connection() as connection:
            return await fetch(connection, query, parameters)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Give a session for statements that are committed together; use :func:`fetch` on it."""
        async with self._pool.connection() as connection, connection.transaction():
            yield connection


async def fetch(connection: Connection, query: str, parameters: Parameters = ()) -> list[dict[str, Any]]:
    """Run a statement in a transaction's session."""
    cursor = await connection.execute(query.encode(), parameters)
    return await cursor.fetchall() if cursor.description else []
