"""The worklist, and who works which of its cases."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime, BaseModel, Field

from console.api.alerts import ALERTS, CASES, Filter, Sort, Text, takeable, view
from console.api.people import Person, may, store_of
from console.api.problems import ProblemError
from console.api.segments import ClaimId
from console.api.worklist import Worklist

router = APIRouter(prefix="/api")
SHOWN = [name for name in dict.fromkeys((*ALERTS, *CASES)) if name not in ("model_version", "decided")]
MOST = 500
"""Alerts of one answer."""
TRIED = 200
"""Cases that are tried when somebody takes the next; others took those before it within the last moments."""

Reader = Annotated[Person, Depends(may("see_claims"))]
Worker = Annotated[Person, Depends(may("decide"))]


class Asked(Filter):
    """A part of the worklist.

    Attributes
    ----------
    reading : int or None
        What the answer before it said: whoever scrolls on or looks again does not read anew, and the access log has one
        entry for all of it.
    """

    sort: Sort = "expected_loss"
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    limit: Annotated[int, Field(ge=1, le=MOST)] = 100
    reading: Annotated[int, Field(ge=1, lt=2**63)] | None = None


class Choice(Filter):
    """From what to take the next case."""

    sort: Sort = "expected_loss"


Note = Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*\S[^\x00]*$")]


class Assignment(BaseModel):
    """To whom a case goes, by login; to nobody without one."""

    to: Annotated[Text, Field(min_length=1, max_length=128)] | None
    note: Note | None = None


class Snooze(BaseModel):
    """Until when nobody need look at a case."""

    until: AwareDatetime
    note: Note | None = None


class Escalation(BaseModel):
    """Why a case is passed on."""

    note: Note


@router.get("/worklist")
async def worklist(asked: Annotated[Asked, Query()], person: Reader, request: Request) -> dict[str, Any]:
    """Show a part of the worklist, with sums and counts of all that the filter lets through."""
    kept = await worklist_of(request).now()
    shown = await asyncio.to_thread(view, kept.alerts, asked, person.login, asked.sort)
    total = len(shown.places)
    wanted = asked.model_dump(mode="json", include=set(Filter.model_fields), exclude_none=True)
    (logged,) = await store_of(request).rows(
        "SELECT console_read_worklist(%s, %s, %s, %s) AS reading",
        [person.login, asked.reading, json.dumps(wanted), total],
    )
    part = kept.alerts.select(SHOWN)[shown.places[asked.offset : asked.offset + asked.limit]]
    reasons = await worklist_of(request).reasons(part["claim_id"].to_list())
    contract = request.app.state.contract
    amount, kind = contract.roles.amount, contract.roles.kind
    return {
        "reading": logged["reading"],
        "as_of": kept.as_of,
        "total": total,
        "amount": shown.amount,
        "expected_loss": shown.expected_loss,
        "unit": contract.columns[amount].unit if amount in contract.columns else "",
        "kind": kind,
        "facets": shown.facets,
        "names": kept.names,
        "rows": [row | {"reason": reasons.get(row["claim_id"])} for row in part.iter_rows(named=True)],
    }


@router.post("/cases/next")
async def take_next(choice: Annotated[Choice, Query()], person: Worker, request: Request) -> dict[str, str]:
    """Take the first case under a filter that nobody else works."""
    worklist_of(request).changed()
    kept = await worklist_of(request).now()
    ids = await asyncio.to_thread(takeable, kept.alerts, choice, person.login, choice.sort)
    (taken,) = await store_of(request).rows(
        "SELECT console_take_next(%s, %s, %s) AS claim_id",
        [person.login, ids[:TRIED], request.app.state.settings.now()],
    )
    if taken["claim_id"] is None:
        raise ProblemError(409, "no case is free under this filter; choose another, or come back later")
    return {"claim_id": taken["claim_id"]}


@router.post("/cases/{claim_id}/take")
async def take(claim_id: ClaimId, person: Worker, request: Request) -> dict[str, Any]:
    """Lock a case for half an hour."""
    return await _done(request, "console_take(%s, %s)", person.login, claim_id)


@router.post("/cases/{claim_id}/renew")
async def renew(claim_id: ClaimId, person: Worker, request: Request) -> dict[str, Any]:
    """Go on holding a case, half an hour from now."""
    return await _done(request, "console_renew(%s, %s)", person.login, claim_id)


@router.post("/cases/{claim_id}/release", status_code=204)
async def release(claim_id: ClaimId, person: Worker, request: Request) -> None:
    """Let a case go; of one that is not held nothing changes."""
    await _done(request, "console_release(%s, %s)", person.login, claim_id)


@router.post("/cases/{claim_id}/assign", status_code=204)
async def assign(claim_id: ClaimId, given: Assignment, person: Worker, request: Request) -> None:
    """Give a case to an investigator, or to nobody."""
    await _done(request, "console_assign(%s, %s, %s, %s)", person.login, claim_id, given.to, given.note)


@router.post("/cases/{claim_id}/snooze", status_code=204)
async def snooze(claim_id: ClaimId, given: Snooze, person: Worker, request: Request) -> None:
    """Put a case aside until a moment of the next 90 days."""
    await _done(request, "console_snooze(%s, %s, %s, %s)", person.login, claim_id, given.until, given.note)


@router.post("/cases/{claim_id}/escalate", status_code=204)
async def escalate(claim_id: ClaimId, given: Escalation, person: Worker, request: Request) -> None:
    """Pass a case on, with the reason."""
    await _done(request, "console_escalate(%s, %s, %s)", person.login, claim_id, given.note)


def worklist_of(request: Request) -> Worklist:
    """Give the worklist that the process keeps."""
    kept: Worklist = request.app.state.worklist
    return kept


async def _done(request: Request, call: str, *given: object) -> dict[str, Any]:
    try:
        (answer,) = await store_of(request).rows(f"SELECT {call} AS until", given)
    except psycopg.errors.NoDataFound as error:
        raise ProblemError(404, "there is no such claim") from error
    worklist_of(request).changed()
    return answer
