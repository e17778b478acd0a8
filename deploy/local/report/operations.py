"""What the report says of the operation: runs, their cost, what waits, when scoring stood still."""

from __future__ import annotations

import tomllib
from datetime import datetime, timedelta
from typing import Any

from deploy.cost import LEAST_SECONDS, PRICES, START_SECONDS, an_hour
from deploy.local.report.present import present
from deploy.local.report.queues import unlabelled, unscorable, unscored, waited
from deploy.sizes import SIZES
from shared.champion import ranking
from shared.choreography import STAGES
from shared.contract import Contract
from shared.database import Database
from shared.errors import ExitCode

LATEST = 20
"""Runs that are told one by one."""
SPANS = 40
"""Stretches of time into which a chart of runs is cut."""
REGION = "us-east-1"
MONTH = timedelta(days=30)
BAD = "status NOT IN ('done', 'running')"
_RUNS = (
    "FROM (SELECT *, extract(epoch FROM ended_at - started_at)::float8 AS seconds FROM job_runs "
    "WHERE line = %(line)s AND as_of <= %(as_of)s) r"
)
_BILLED = "greatest(%(least)s, %(start)s + seconds)"
"""Seconds that Fargate bills for a run, as :func:`deploy.cost.billed`."""

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
    values = {"line": contract.name, "as_of": as_of, "least": LEAST_SECONDS, "start": START_SECONDS}
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
    told: list[Row] = []
    for entry in database.rows("SELECT * FROM stops WHERE as_of <= %s ORDER BY as_of, stop_id", [as_of]):
        standing = bool(told) and told[-1]["until"] is None
        if entry["action"] == "stop" and not standing:
            told.append(entry | {"until": None, "cleared": None})
        elif entry["action"] == "clear" and standing:
            told[-1] |= {"until": entry["as_of"], "cleared": entry}
    return told


def standing_stop(database: Database, as_of: datetime) -> Row | None:
    """Look up why scoring stands still, or None: it does not."""
    told = stops(database, as_of)
    return told[-1] if told and told[-1]["until"] is None else None


def _runs(database: Database, values: Row) -> Row:
    prices = tomllib.loads(PRICES.read_text())[REGION]
    an_hour_of = {stage: an_hour(SIZES[stage], prices) for stage in STAGES}
    stages = {
        row["stage"]: row | {"usd": (row["billed"] or 0.0) / 3600 * an_hour_of[row["stage"]]}
        for row in database.rows(
            f"SELECT stage, count(*) AS runs, count(*) FILTER (WHERE {BAD}) AS bad, "
            "percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS median, max(seconds) AS longest, "
            "sum(rows_in)::bigint AS rows_in, sum(rows_out)::bigint AS rows_out, "
            "sum(quarantined)::bigint AS quarantined, sum(cpu_seconds) AS cpu_seconds, max(peak_rss_bytes) AS peak, "
            f"sum({_BILLED}) AS billed {_RUNS} WHERE stage = ANY(%(stages)s) GROUP BY stage",
            values | {"stages": list(STAGES)},
        )
    }
    columns = "run_id, stage, shard, as_of, status, exit_code, message, rows_in, rows_out, seconds, peak_rss_bytes"
    latest, bad = (
        [
            row | {"meaning": _meaning(row), "usd": (row["billed"] or 0.0) / 3600 * an_hour_of.get(row["stage"], 0.0)}
            for row in database.rows(
                f"SELECT {columns}, {_BILLED} AS billed {_RUNS} WHERE {which} ORDER BY run_id DESC LIMIT {LATEST}",
                values,
            )
        ]
        for which in ("true", BAD)
    )
    first, last = (row["as_of"] for row in _span(database, values)) if stages else (None, None)
    return {
        "stages": {stage: stages[stage] for stage in STAGES if stage in stages},
        "latest": latest,
        "bad": bad,
        "bad_runs": sum(row["bad"] for row in stages.values()),
        "usd": sum(row["usd"] for row in stages.values()),
        "a_month": sum(row["usd"] for row in stages.values()) / max((last - first) / MONTH, 1.0) if first else None,
        "prices": {"region": REGION, "read": prices["read"]},
        "sizes": SIZES,
        "spans": SPANS,
        "first": first,
        "last": last,
        "durations": _durations(database, values, first, last) if first and last and last > first else {},
    }


def _span(database: Database, values: Row) -> list[Row]:
    return database.rows(
        f"SELECT unnest(ARRAY[min(as_of), max(as_of)]) AS as_of {_RUNS}",
        values,
    )


def _durations(database: Database, values: Row, first: datetime, last: datetime) -> dict[str, list[Row]]:
    """The longest run of each stage in each stretch of time, and how many did not end well."""
    rows = database.rows(
        "SELECT stage, least(width_bucket(extract(epoch FROM as_of), %(first)s, %(last)s, %(spans)s), %(spans)s) - 1 "
        f"AS place, min(as_of) AS at, count(*) AS runs, max(seconds) AS seconds, count(*) FILTER (WHERE {BAD}) AS bad "
        f"{_RUNS} GROUP BY 1, 2 ORDER BY 1, 2",
        values | {"first": first.timestamp(), "last": last.timestamp(), "spans": SPANS},
    )
    told = {stage: [row for row in rows if row["stage"] == stage] for stage in STAGES}
    return {stage: spans for stage, spans in told.items() if spans}


def _meaning(run: Row) -> str:
    if run["status"] == "running":
        return "is at work, or was killed and not cleared up yet"
    known = run["exit_code"] in set(ExitCode)
    return ExitCode(run["exit_code"]).sentence if known else f"ended with code {run['exit_code']}"
