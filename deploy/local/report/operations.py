"""What the report says of the operation: runs, their cost, what waits, when scoring stood still."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from deploy.local.report.present import present
from deploy.local.report.queues import unlabelled, unscorable, unscored, waited
from shared import ledger
from shared.champion import ranking
from shared.choreography import STAGES
from shared.contract import Contract
from shared.database import Database
from shared.sizes import SIZES
from shared.stops import STOPS, stretches

LATEST = 20
"""Runs that are told one by one."""
SPANS = 40
"""Stretches of time into which a chart of runs is cut."""
Row = dict[str, Any]


def gather_operations(database: Database, contract: Contract, champion: Row | None, as_of: datetime) -> Row:
    """Read what the page of the operation shows.

    Parameters
    ----------
    champion : dict or None
        Its entry in the history.
    """
    if contract.labelled:
        version = champion["model_version"] if champion else None
    else:
        newest = ranking(database, as_of)
        version = newest.version if newest else None
    values = ledger.asked(contract.name, as_of, LATEST)
    return _runs(database, values) | {
        "unscored": unscored(database, contract, version, as_of),
        "unscorable": unscorable(database, version, as_of),
        "unlabelled": unlabelled(database, version, as_of) if contract.labelled else None,
        "waited": waited(database, as_of) if contract.labelled else None,
        "stops": stops(database, as_of),
    }


def stops(database: Database, as_of: datetime) -> list[Row]:
    """Times in which scoring stood still, the first first; ``until`` is None for one that stands."""
    if not present(database, "stops"):
        return []
    return stretches(database.rows(STOPS, [as_of]))


def standing_stop(database: Database, as_of: datetime) -> Row | None:
    """Look up why scoring stands still, or None: it does not."""
    told = stops(database, as_of)
    return told[-1] if told and told[-1]["until"] is None else None


def _runs(database: Database, values: Row) -> Row:
    found = ledger.sums(database.rows(ledger.OF_STAGES, values))
    latest, bad = (
        ledger.told(database.rows(ledger.LATEST.format(which=which), values)) for which in ("true", ledger.BAD)
    )
    first, last = found["first"], found["last"]
    return found | {
        "latest": latest,
        "bad": bad,
        "sizes": SIZES,
        "spans": SPANS,
        "durations": _durations(database, values, first, last) if first and last and last > first else {},
    }


def _durations(database: Database, values: Row, first: datetime, last: datetime) -> dict[str, list[Row]]:
    """The longest run of each stage in each stretch of time, and how many did not end well."""
    rows = database.rows(
        "SELECT stage, least(width_bucket(extract(epoch FROM as_of), %(first)s, %(last)s, %(spans)s), %(spans)s) - 1 "
        "AS place, min(as_of) AS at, count(*) AS runs, max(seconds) AS seconds, "
        f"count(*) FILTER (WHERE {ledger.BAD}) AS bad "
        f"{ledger.RUNS} GROUP BY 1, 2 ORDER BY 1, 2",
        values | {"first": first.timestamp(), "last": last.timestamp(), "spans": SPANS},
    )
    told = {stage: [row for row in rows if row["stage"] == stage] for stage in STAGES}
    return {stage: spans for stage, spans in told.items() if spans}
