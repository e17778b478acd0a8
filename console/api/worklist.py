"""The worklist as each process of the console keeps it: the alerts, read anew when something changed, and the cases.

Alerts take seconds to find among a million predictions, and change with each run of a stage; so they are read in the
background, and the earlier ones shown meanwhile. What people do with the cases is asked of the database at least once a
second while somebody looks, so that several processes show the same. No lock is kept here: who may take a case is
decided by the database.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl
import psycopg
from psycopg_pool import PoolTimeout

from console.api.alerts import ALERTS, CASES, arranged, joined
from console.api.store import Store, fetch
from shared.contract_parts import DType
from shared.copied import parsed
from shared.logs import log

FRESH_SECONDS = 1.0
"""How old what is shown of the cases may be."""
ANEW_SECONDS = 600.0
"""After which the alerts are read again though nothing was written: an outcome may become known by the clock alone."""
READ_SECONDS = 120
"""How long that may take."""
ERROR = 40


@dataclass(frozen=True)
class Kept:
    """What is known of the worklist.

    Attributes
    ----------
    alerts : polars.DataFrame
        `ALERTS`, and `CASES` but for ``decided``.
    names : mapping
        Name by login, of all who may work cases.
    as_of : datetime
        When the alerts were such.
    """

    alerts: pl.DataFrame
    names: Mapping[str, str]
    as_of: datetime


@dataclass(frozen=True)
class _Read:
    alerts: pl.DataFrame
    stamp: str
    last_outcome: int
    as_of: datetime
    at: float
    reasons: dict[str, str | None] = field(default_factory=dict)


class Worklist:
    """The worklist of one line of business; ``async with`` ends what it does in the background.

    Parameters
    ----------
    store : Store
        Sessions on the line.
    clock : callable
        Gives the moment by which claims and outcomes are known.
    """

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store, self._clock = store, clock
        self._read: _Read | None = None
        self._kept: tuple[Kept, float, int] | None = None
        self._changes = 0
        self._one = asyncio.Lock()
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Worklist:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._reading is not None:
            self._reading.cancel()
            with suppress(asyncio.CancelledError):
                await self._reading

    def changed(self) -> None:
        """Have the next reading see what was just done with a case."""
        self._changes += 1

    async def now(self) -> Kept:
        """Give what is known of the worklist; only the first reading takes long."""
        async with self._one:
            now, changes = time.monotonic(), self._changes
            if self._kept is None or now - self._kept[1] > FRESH_SECONDS or self._kept[2] != changes:
                self._kept = (await self._follow(), now, changes)
            return self._kept[0]

    async def reasons(self, claim_ids: Sequence[str]) -> Mapping[str, str | None]:
        """Tell in words why some alerts stand on the list: read when first shown, and kept with the alerts."""
        read = self._read
        if read is None:
            return {}
        lacking = [claim_id for claim_id in claim_ids if claim_id not in read.reasons]
        if lacking:
            found = await self._store.rows("SELECT * FROM console_why(%s, %s)", [lacking, read.as_of])
            read.reasons.update(dict.fromkeys(lacking) | {row["claim_id"]: row["reason"] for row in found})
        return read.reasons

    async def _follow(self) -> Kept:
        """Ask what became of the cases, and whether the alerts are still the same."""
        if self._read is None:
            await self._read_alerts()
        (found,) = await self._store.rows("SELECT stamp FROM console_worklist_stamp()")
        read = self._read  # not before the stamp: they may have been read anew meanwhile
        assert read is not None
        old = found["stamp"] != read.stamp or time.monotonic() - read.at > ANEW_SECONDS
        if old and (self._reading is None or self._reading.done()):
            self._reading = asyncio.create_task(self._read_behind())
        cases = await self._copied("SELECT * FROM console_cases(%s, %s)", CASES, [self._clock(), read.last_outcome])
        people = await self._store.rows(
            "SELECT login, name FROM people WHERE disabled_at IS NULL AND 'investigator' = ANY (roles) ORDER BY name"
        )
        alerts = await asyncio.to_thread(joined, read.alerts, cases)
        return Kept(alerts, {person["login"]: person["name"] for person in people}, read.as_of)

    async def _read_alerts(self) -> None:
        # The stamp first: what is written while the alerts are read has them read again.
        (stamped,) = await self._store.rows("SELECT stamp, last_outcome FROM console_worklist_stamp()")
        moment, at = self._clock(), time.monotonic()
        alerts = await self._copied("SELECT * FROM console_worklist(%s)", ALERTS, [moment])
        ordered = await asyncio.to_thread(arranged, alerts)
        self._read = _Read(ordered, stamped["stamp"], stamped["last_outcome"], moment, at)

    async def _read_behind(self) -> None:
        try:
            await self._read_alerts()
        except (psycopg.Error, PoolTimeout) as error:
            log(ERROR, "the worklist could not be read anew", reason=type(error).__name__)

    async def _copied(self, query: str, dtypes: Mapping[str, DType], parameters: list[object]) -> pl.DataFrame:
        text = io.BytesIO()
        async with self._store.transaction() as connection:
            await fetch(connection, f"SET LOCAL statement_timeout = '{READ_SECONDS}s'")
            copy_out = f"COPY ({query}) TO STDOUT (FORMAT csv)".encode()
            async with connection.cursor() as cursor, cursor.copy(copy_out, parameters) as copy:
                async for rows in copy:
                    text.write(rows)
        return await asyncio.to_thread(parsed, text, dict(dtypes))
