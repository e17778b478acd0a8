"""The API for other systems: scores, alerts, decisions and what the champion is."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from psycopg.errors import NoDataFound
from pydantic import BaseModel, Field, ValidationError

from console.api.keys import Key
from console.api.people import store_of
from console.api.problems import ProblemError
from console.api.store import Store
from console.api.v1.bodies import body_of, object_of, once, told
from console.api.v1.checks import Check, compare
from console.api.v1.document import IDEMPOTENT, body, claim_schema, problems
from console.api.v1.pages import Cursor, Limit, Since, cursor_of, in_utc, place_of
from console.api.v1.scores import Scores
from console.api.v1.systems import system
from shared.contract import Contract

SAME = {"fraud": True, "not_fraud": False}
WORDS: dict[bool | None, str] = {True: "fraud", False: "not_fraud", None: "taken_back"}


class Reason(BaseModel):
    """What moved a claim's probability."""

    feature: str
    value: float | str | bool | None
    direction: Literal["raises", "lowers"]
    log_odds: float
    unusual: float | None
    peers: str
    text: str


class Scored(BaseModel):
    """What the champion says of a claim."""

    claim_id: str
    fraud_probability: Annotated[float, Field(ge=0, le=1)]
    flagged: bool
    threshold: float
    model_version: int
    reasons: list[Reason]
    scored_at: datetime
    contract_hash: str


class ShownReason(BaseModel):
    """A reason as far as it may be shown; see :class:`Reason`."""

    model_config = {"extra": "allow"}
    feature: str


class Alert(BaseModel):
    """An open claim that is flagged."""

    claim_id: str
    week: str
    rank_in_week: int
    event_time: datetime
    fraud_probability: float
    amount: float | None
    expected_loss: float | None
    model_version: int
    arm: str
    scored_as_of: datetime
    reasons: list[ShownReason]
    reasons_in_words: list[str]


class Alerts(BaseModel):
    """A page of alerts; `next` is the cursor of the page after it, null at the end."""

    alerts: list[Alert]
    next: str | None


class Decision(BaseModel):
    """What was decided about a claim."""

    decision_id: int
    claim_id: str
    decision: Literal["fraud", "not_fraud", "taken_back"]
    decided_at: datetime
    known_at: datetime
    source: str


class Decisions(BaseModel):
    """A page of decisions, in the order in which they came; `next` is null at the end."""

    decisions: list[Decision]
    next: str | None


class Decide(BaseModel):
    """A decision to be taken in."""

    model_config = {"extra": "forbid", "strict": True}
    claim_id: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00]+$")]
    decision: Literal["fraud", "not_fraud"]
    decided_at: Annotated[datetime | None, Field(strict=False, description="When; now, where it is not said.")] = None


class Model(BaseModel):
    """The champion."""

    model_version: int
    family: str
    promoted_at: datetime
    trained_as_of: datetime
    train_start: datetime
    train_end: datetime
    claims: int | None
    threshold: float
    contract_hash: str
    judged: dict[str, Any]


def router_of(contract: Contract) -> APIRouter:
    """Make the routes; what a claim is, the contract says."""
    router = APIRouter()

    @router.post(
        "/score",
        summary="Score one claim now",
        response_model=Scored,
        responses=problems(400, 409, 413, 415, 422),
        openapi_extra=IDEMPOTENT | body(claim_schema(contract)),
    )
    async def score(request: Request, key: Annotated[Key, Depends(system("score"))]) -> Response:
        """As the batch does it, by the same checks, features, model and reasons; kept is an entry in the log."""
        content = await body_of(request)
        row, scores = object_of(content), scores_of(request)

        async def work() -> tuple[str, Response]:
            found = await scores.score(key, row)
            return found["claim_id"], told(found)

        return await once(request, key, content, work)

    router.add_api_route(
        "/alerts",
        alerts,
        response_model=Alerts,
        responses=problems(422),
        summary="Open flagged claims, with their reasons",
    )
    router.add_api_route(
        "/decisions",
        decide,
        methods=["POST"],
        status_code=201,
        response_model=Decision,
        responses=problems(400, 404, 409, 413, 415, 422),
        openapi_extra=IDEMPOTENT | body(Decide.model_json_schema()),
        summary="Take in what was decided about a claim",
    )
    router.add_api_route(
        "/decisions",
        decisions,
        response_model=Decisions,
        responses=problems(422),
        summary="What was decided about claims",
    )
    router.add_api_route("/model", model, response_model=Model, responses=problems(), summary="What the champion is")
    router.add_api_route(
        "/check",
        check,
        methods=["POST"],
        response_model=Check,
        responses=problems(),
        summary="Score some claims once more, and compare with what the batch said",
    )
    return router


async def alerts(
    request: Request,
    key: Annotated[Key, Depends(system("alerts"))],
    since: Since = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> dict[str, Any]:
    """By when they were scored, and without those decided since. No sensitive, personal or ignored column is shown.

    With `since`, those of a run that was under way then come again: some of them may be new.
    """
    scored, claim = place_of(cursor, (str, str))
    try:
        after = datetime.fromisoformat(scored) if scored is not None else None
    except ValueError:
        raise ProblemError(422, "the cursor is none") from None
    store = store_of(request)
    rows = await store.rows(
        "SELECT * FROM api_alerts(%s, %s, %s, %s, %s, %s, %s)",
        [key.system, await ticket(store, key, "alerts"), now(request), in_utc(since), after, claim, limit],
    )
    last = rows[-1] if len(rows) == limit else None
    return {
        "alerts": [{**row, "week": str(row["week"]), "reasons_in_words": row["words"] or []} for row in rows],
        "next": cursor_of([last["scored_as_of"].isoformat(), last["claim_id"]]) if last else None,
    }


async def decide(request: Request, key: Annotated[Key, Depends(system("decisions"))]) -> Response:
    """It is known from now on, closes the claim, and is learnt from at the next training. A later one replaces it."""
    content = await body_of(request)
    object_of(content)
    try:
        given = Decide.model_validate_json(content)
    except ValidationError as error:
        faults = [{"field": ".".join(map(str, item["loc"])), "message": item["msg"]} for item in error.errors()]
        raise ProblemError(422, "the decision is not as it should be", faults) from None
    moment, decided = now(request), in_utc(given.decided_at)
    if decided is not None and decided > moment:
        raise ProblemError(
            422, "the decision lies in the future", [{"field": "decided_at", "message": "lies in the future"}]
        )

    async def work() -> tuple[str, Response]:
        try:
            (row,) = await store_of(request).rows(
                "SELECT * FROM api_decide(%s, %s, %s, %s, %s, %s)",
                [key.key_id, key.system, moment, given.claim_id, SAME[given.decision], decided],
            )
        except NoDataFound:
            raise ProblemError(404, "there is no such claim") from None
        return given.claim_id, told(json.loads(Decision(**decision_of(row)).model_dump_json()), 201)

    return await once(request, key, content, work)


async def decisions(
    request: Request,
    key: Annotated[Key, Depends(system("decisions"))],
    since: Since = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> dict[str, Any]:
    """Of everyone: investigators, files and systems, told by `source`. Of one claim the latest counts.

    With `since`, those entered from then on, whatever date they bear; some from shortly before come again.
    """
    (after,) = place_of(cursor, (int,))
    if after is not None and not 0 <= after < 1 << 63:
        raise ProblemError(422, "the cursor is none")
    store = store_of(request)
    rows = await store.rows(
        "SELECT * FROM api_decisions(%s, %s, %s, %s, %s, %s)",
        [key.system, await ticket(store, key, "decisions"), now(request), in_utc(since), after, limit],
    )
    last = rows[-1]["decision_id"] if len(rows) == limit else None
    return {"decisions": [decision_of(row) for row in rows], "next": cursor_of([last]) if last is not None else None}


async def model(request: Request, key: Annotated[Key, Depends(system("model"))]) -> dict[str, Any]:
    """When and from what it was trained, how it was judged, and from which probability on it flags."""
    found = await store_of(request).rows(
        "SELECT m.model_version, m.family, h.as_of AS promoted_at, m.as_of AS trained_as_of, m.train_start, "
        "m.train_end, m.claims, h.threshold, m.contract_hash, coalesce(h.metrics -> 'ranking', '{}') AS judged "
        "FROM model_history h JOIN models m USING (model_version) WHERE h.alias = 'champion' AND h.as_of <= %s "
        "ORDER BY h.as_of DESC, h.entry_id DESC LIMIT 1",
        [now(request)],
    )
    if not found:
        raise ProblemError(503, "no model has been promoted yet", headers={"Retry-After": "60"})
    return found[0]


async def check(request: Request, key: Annotated[Key, Depends(system("check"))]) -> Check:
    """Up to 20 that the batch scored last, each as it was known then; for whoever rolls a new version out."""
    store = store_of(request)
    digest = request.app.state.settings.image_digest
    return await compare(store, scores_of(request), key, await ticket(store, key, "check"), now(request), digest)


def decision_of(row: dict[str, Any]) -> dict[str, Any]:
    """Write an outcome as a decision."""
    return {**row, "decision": WORDS[row["is_fraud"]]}


async def ticket(store: Store, key: Key, scope: str) -> int:
    """Enter what a system is about to be told; the entry's number."""
    (entered,) = await store.rows("SELECT api_ask(%s, %s, %s) AS ticket", [key.key_id, key.system, scope])
    return int(entered["ticket"])


def scores_of(request: Request) -> Scores:
    """Give what scores claims."""
    scores: Scores = request.app.state.scores
    return scores


def now(request: Request) -> datetime:
    """Give the clock."""
    moment: datetime = request.app.state.settings.now()
    return moment
