"""The page of the log: who used what, when, and what for; and the log as a file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from console.api.people import Person, may, store_of
from console.api.store import Store
from shared.spreadsheets import harmless

router = APIRouter(prefix="/api/audit")
Reader = Annotated[Person, Depends(may("see_audit"))]
Text = Annotated[str | None, Field(max_length=255, pattern=r"^[^\x00]+$")]
Day = Annotated[date | None, Field(ge=date(1900, 1, 1), le=date(9998, 1, 1))]

COLUMNS = ("entry_id", "at", "by", "login", "action", "subject", "model_version", "purpose", "detail", "asked")
ROWS_AT_ONCE = 5_000
"""Entries that stand in memory at once."""


class Filter(BaseModel):
    """Which entries; what is left out is not asked for. Days are those of UTC, the last one whole."""

    person: Text = None
    action: Text = None
    claim: Text = None
    since: Day = None
    until: Day = None

    def parameters(self) -> list[Any]:
        """Give them as ``console_access_log`` takes them."""
        until = None if self.until is None else _begin(self.until + timedelta(days=1))
        return [self.person, self.action, self.claim, None if self.since is None else _begin(self.since), until]


class Page(Filter):
    """Some of these entries: those before one, the latest first."""

    before: Annotated[int | None, Field(ge=1, le=2**63 - 1)] = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class Export(Filter):
    """All of these entries, and what they are wanted for."""

    purpose: Annotated[str, Field(min_length=5, max_length=500, pattern=r"^[^\x00]*$")]


@router.get("")
async def log(asked: Annotated[Page, Query()], person: Reader, request: Request) -> dict[str, Any]:
    """Show entries of the log; ``next`` is what to ask for those before them."""
    store = store_of(request)
    ticket = await _ask(store, person, "looks at who used what")
    rows = await _read(store, person, ticket, asked, asked.before, asked.limit)
    return {"entries": rows, "next": rows[-1]["entry_id"] if len(rows) == asked.limit else None}


@router.get("/export")
async def export(asked: Annotated[Export, Query()], person: Reader, request: Request) -> StreamingResponse:
    """Give entries of the log as CSV; a text that a spreadsheet would run is one no longer."""
    store = store_of(request)
    ticket = await _ask(store, person, asked.purpose)
    name = f"access-log-{request.app.state.contract.name}.csv"
    return StreamingResponse(
        _csv(store, person, ticket, asked),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _ask(store: Store, person: Person, purpose: str) -> int:
    asked = await store.rows("SELECT console_ask(%s, 'audit', NULL, %s) AS ticket", [person.login, purpose])
    return int(asked[0]["ticket"])


async def _read(
    store: Store, person: Person, ticket: int, asked: Filter, before: int | None, many: int
) -> list[dict[str, Any]]:
    return await store.rows(
        "SELECT * FROM console_access_log(%s, %s, %s, %s, %s, %s::timestamptz, %s::timestamptz, %s::bigint, %s)",
        [person.login, ticket, *asked.parameters(), before, many],
    )


async def _csv(store: Store, person: Person, ticket: int, asked: Filter) -> AsyncIterator[str]:
    """Write record after record; each piece is read by itself, so that a slow reader keeps no session waiting."""
    before = None
    yield ",".join(COLUMNS) + "\n"
    while rows := await _read(store, person, ticket, asked, before, ROWS_AT_ONCE):
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([_cell(row[name]) for name in COLUMNS] for row in rows)
        yield text.getvalue()
        before = rows[-1]["entry_id"]


def _cell(value: Any) -> Any:
    match value:
        case str():
            return harmless(value)
        case dict():
            return json.dumps(value, ensure_ascii=False)
        case datetime():
            return value.isoformat()
    return value


def _begin(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
