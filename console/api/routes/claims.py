"""The claim page: what is shown of a claim, its photos and what it shares with others, and decisions about it.

Reading takes two steps: opening a claim says what for, and gives the ticket by which all else is read.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from console.api.people import Person, may, store_of
from console.api.problems import ProblemError
from console.api.segments import ClaimId, Segment
from shared.access import related_entities
from shared.contract import Contract
from shared.words import spoken

router = APIRouter(prefix="/api/claims")

Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
Ticket = Annotated[int, Query(ge=1, lt=2**63)]
Reader = Annotated[Person, Depends(may("see_claims"))]
Decider = Annotated[Person, Depends(may("decide"))]
PHOTO_HEADERS = {
    "Content-Disposition": "inline",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private, max-age=3600",  # as long as a ticket
}
Facts = dict[str, Any]


class Opening(BaseModel):
    """What a claim is opened for."""

    purpose: Annotated[Text, Field(max_length=500)]


class Decision(BaseModel):
    """What an investigator says of a claim; without a verdict where something has to be found out first."""

    decision: Literal["fraud", "not_fraud", "more_information"]
    note: Annotated[Text, Field(max_length=2000)] = ""


class Undoing(BaseModel):
    """Which decision is taken back: one that has been already is not the one before it."""

    decision_id: Annotated[int, Field(ge=1, lt=2**63)]


@router.post("/{claim_id}/open")
async def open_claim(claim_id: ClaimId, given: Opening, person: Reader, request: Request) -> dict[str, int]:
    """Say what for one wants to see a claim; the ticket is good for an hour."""
    # Committed before anything is read by it.
    rows = await store_of(request).rows(
        "SELECT console_ask(%s, 'claim', %s, %s) AS ticket", [person.login, claim_id, given.purpose]
    )
    return {"ticket": rows[0]["ticket"]}


@router.get("/{claim_id}")
async def read_claim(claim_id: ClaimId, ticket: Ticket, person: Reader, request: Request) -> dict[str, Any]:
    """Tell all that the page shows of a claim but for photos and related claims."""
    told = await _read(request, "console_claim", person, ticket, claim_id)
    (case,) = await store_of(request).rows("SELECT console_case(%s, %s, %s) AS told", [person.login, ticket, claim_id])
    contract: Contract = request.app.state.contract
    versions = told.pop("versions")
    prediction = told["prediction"]
    if prediction is not None:
        prediction["reasons"] = _reasons(prediction["reasons"], prediction.pop("words"))
    holder = told["holder"]
    if holder is not None:
        holder["mine"] = holder.pop("person") == person.login
    return told | {
        "facts": [_described(contract, name, value) for name, value in _in_order(contract, told["facts"])],
        "amount_unit": _described(contract, str(contract.roles.amount), None)["unit"],
        "versions": _changes(contract, versions),
        "may_decide": told["may_decide"] and person.may("decide"),
        "case": case["told"],
    }


@router.get("/{claim_id}/related")
async def read_related(claim_id: ClaimId, ticket: Ticket, person: Reader, request: Request) -> dict[str, Any]:
    """Tell which claims share a claimant, garage or the like with it.

    Values are told where their column is shown; else an entity is named by its kind alone, as the same claimant.
    """
    told = await _read(request, "console_related", person, ticket, claim_id)
    shared = {entity for claim in told["claims"] for entity in claim["shares"]}
    entities = [
        {"name": name, "title": spoken(name), "value": told["values"].get(name), "shared": name in shared}
        for name in related_entities(request.app.state.contract)
    ]
    return {"entities": entities, "claims": told["claims"]}


@router.get("/{claim_id}/photos/{name}")
async def read_photo(
    claim_id: ClaimId,
    name: Segment,
    ticket: Ticket,
    person: Reader,
    request: Request,
    size: Literal["thumbnail", "full"] = "full",
) -> Response:
    """Give a photo, as it was made anew when it was loaded: JPEG."""
    rows = await store_of(request).rows(
        "SELECT console_photo(%s, %s, %s, %s, %s, %s) AS photo",
        [person.login, ticket, claim_id, name, size == "thumbnail", request.app.state.settings.now()],
    )
    if rows[0]["photo"] is None:
        raise ProblemError(404, "there is no such photo")
    return Response(rows[0]["photo"], media_type="image/jpeg", headers=PHOTO_HEADERS)


@router.post("/{claim_id}/decision", status_code=201)
async def decide(claim_id: ClaimId, given: Decision, person: Decider, request: Request) -> dict[str, int]:
    """Decide about a claim; a verdict becomes its outcome."""
    rows = await store_of(request).rows(
        "SELECT console_decide(%s, %s, %s, %s, %s) AS decision_id",
        [person.login, claim_id, given.decision, given.note, request.app.state.settings.now()],
    )
    request.app.state.worklist.changed()
    return _found(rows[0])


@router.post("/{claim_id}/undo")
async def undo(claim_id: ClaimId, given: Undoing, person: Decider, request: Request) -> dict[str, int]:
    """Take one's last decision about a claim back, within a day."""
    rows = await store_of(request).rows(
        "SELECT console_undo(%s, %s, %s, %s) AS decision_id",
        [person.login, claim_id, request.app.state.settings.now(), given.decision_id],
    )
    request.app.state.worklist.changed()
    return _found(rows[0])


async def _read(
    request: Request,
    function: Literal["console_claim", "console_related"],
    person: Person,
    ticket: int,
    claim_id: str,
) -> dict[str, Any]:
    rows = await store_of(request).rows(
        f"SELECT {function}(%s, %s, %s, %s) AS told",
        [person.login, ticket, claim_id, request.app.state.settings.now()],
    )
    told: dict[str, Any] = _found(rows[0])["told"]
    return told


def _found(row: dict[str, Any]) -> dict[str, Any]:
    if None in row.values():
        raise ProblemError(404, "there is no such claim")
    return row


def _in_order(contract: Contract, facts: Facts) -> list[tuple[str, Any]]:
    """Facts in the contract's order; JSON's is that of the names."""
    return [(name, facts[name]) for name in contract.stored if name in facts]


def _described(contract: Contract, name: str, value: Any) -> dict[str, Any]:
    column = contract.known.get(name)
    meaning, unit, dtype = (column.meaning, column.unit, column.dtype) if column else ("", "", "text")
    return {"name": name, "title": spoken(name), "meaning": meaning, "unit": unit, "dtype": dtype, "value": value}


def _changes(contract: Contract, versions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What each version of a claim changed of the one before; the first changed nothing."""
    told = []
    for place, version in enumerate(versions):
        before = versions[max(place - 1, 0)]
        changed = [
            _described(contract, name, value) | {"before": before["facts"].get(name)}
            for name, value in _in_order(contract, version["facts"])
            if value != before["facts"].get(name)
        ]
        moved = {"event_time": version["event_time"], "moved": version["event_time"] != before["event_time"]}
        told.append({"revision": version["revision"], "known_at": version["known_at"], **moved, "changes": changed})
    return told


def _reasons(reasons: list[dict[str, Any]], words: list[str] | None) -> list[dict[str, Any]]:
    """What is told of reasons, beside their sentences."""
    kept = ("direction", "log_odds", "unusual", "peers")
    return [
        {"text": text, **{name: reason.get(name) for name in kept}}
        for reason, text in zip(reasons, words or [], strict=True)
    ]
