"""The page of the operation: runs and their cost, what waits, how fresh sources are, what was set aside."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from console.api.people import Person, may, store_of
from console.api.plain import plain
from shared import ledger
from shared.ages import AGES, by_age
from shared.stops import STOPS, stretches

router = APIRouter(prefix="/api/operations")
Reader = Annotated[Person, Depends(may("see_operations"))]
LATEST = 50
"""Runs that are told one by one."""

Row = dict[str, Any]


@router.get("")
async def runs(_: Reader, request: Request) -> Row:
    """Tell what each stage did, the latest runs, those that did not end well, and when scoring stood still."""
    store, contract, moment = store_of(request), request.app.state.contract, request.app.state.settings.now()
    asked = ledger.asked(contract.name, moment, LATEST)
    latest, bad = [
        ledger.told(await store.rows(ledger.LATEST.format(which=which), asked)) for which in ("true", ledger.BAD)
    ]
    sums = ledger.sums(await store.rows(ledger.OF_STAGES, asked))
    return plain(
        sums
        | {
            "as_of": moment,
            "stages": list(sums["stages"].values()),
            "latest": latest,
            "bad": bad,
            "stops": stretches(await store.rows(STOPS, [moment])),
        }
    )


@router.get("/waiting")
async def waiting(_: Reader, request: Request) -> Row:
    """Tell what waits for what, and what was set aside; it looks at every claim, so ask for it now and then only."""
    store, contract, moment = store_of(request), request.app.state.contract, request.app.state.settings.now()
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in await store.rows(
        "SELECT * FROM console_queues(%s, %s, %s::double precision[])", [moment, contract.labelled, list(AGES)]
    ):
        groups[row["queue"]].append(row)
    queues = {name: by_age(groups[name], ("claims",), moment) for name in ("score", "flagged", "audited", "outcome")}
    for queue in queues.values():
        queue["oldest"] = None if queue["oldest"] is None else queue["oldest"] / timedelta(days=1)
    return {
        "as_of": moment,
        "labelled": contract.labelled,
        "capacity_per_week": contract.review.capacity_per_week,
        "queues": queues,
        "unscorable": sorted(groups["unscorable"], key=lambda row: -row["claims"]),
        "feeds": await store.rows("SELECT * FROM console_feeds(%s)", [moment]),
        "quarantine": await store.rows("SELECT * FROM console_quarantine(%s)", [moment]),
    }
