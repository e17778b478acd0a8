"""The ledger ``job_runs`` as people read it: what each stage did, how runs ended, what they would have been billed.

Its queries take :func:`asked`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from shared.billing import LEAST_SECONDS, START_SECONDS, an_hour, prices_of
from shared.choreography import STAGES
from shared.errors import ExitCode
from shared.sizes import SIZES

REGION = "us-east-1"
MONTH = timedelta(days=30)
BAD = "status NOT IN ('done', 'running')"
RUNS = (
    "FROM (SELECT *, extract(epoch FROM ended_at - started_at)::float8 AS seconds FROM job_runs "
    "WHERE line = %(line)s AND as_of <= %(as_of)s) r"
)
_BILLED = "greatest(%(least)s, %(start)s + seconds) AS billed"
"""Seconds that Fargate bills for a run, as :func:`shared.billing.billed`."""
OF_STAGES = (
    f"SELECT stage, count(*) AS runs, count(*) FILTER (WHERE {BAD}) AS bad, "
    "percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS median, max(seconds) AS longest, "
    "sum(rows_in)::bigint AS rows_in, sum(rows_out)::bigint AS rows_out, "
    "sum(quarantined)::bigint AS quarantined, sum(cpu_seconds) AS cpu_seconds, max(peak_rss_bytes) AS peak, "
    f"sum({_BILLED.removesuffix(' AS billed')}) AS billed, min(as_of) AS first, max(as_of) AS last {RUNS} "
    "WHERE stage = ANY(%(stages)s) GROUP BY stage"
)
"""What each stage did, all its runs together."""
LATEST = (
    "SELECT run_id, stage, shard, as_of, started_at, status, exit_code, message, rows_in, rows_out, quarantined, "
    f"seconds, peak_rss_bytes, {_BILLED} {RUNS} WHERE {{which}} ORDER BY run_id DESC LIMIT %(latest)s"
)
"""The latest runs one by one; ``which`` is a condition."""

Row = dict[str, Any]


def asked(line: str, as_of: datetime, latest: int) -> Row:
    """Give the parameters of the queries.

    Parameters
    ----------
    latest : int
        Runs that are told one by one.
    """
    own: Row = {"least": LEAST_SECONDS, "start": START_SECONDS, "stages": list(STAGES), "latest": latest}
    return own | {"line": line, "as_of": as_of}


def sums(rows: Iterable[Row]) -> Row:
    """Tell of all stages what :data:`OF_STAGES` found, in the order in which a claim meets them, with the cost in USD.

    ``a_month`` is the cost at the pace from the first run to the last, over a month at the least; None without runs.
    """
    hour = _hours()
    found = {row["stage"]: row | {"usd": (row["billed"] or 0.0) / 3600 * hour[row["stage"]]} for row in rows}
    usd = sum(row["usd"] for row in found.values())
    first = min((row["first"] for row in found.values()), default=None)
    last = max((row["last"] for row in found.values()), default=None)
    return {
        "stages": {stage: found[stage] for stage in STAGES if stage in found},
        "bad_runs": sum(row["bad"] for row in found.values()),
        "usd": usd,
        "a_month": usd / max((last - first) / MONTH, 1.0) if first and last else None,
        "first": first,
        "last": last,
        "prices": {"region": REGION, "read": prices_of(REGION)["read"]},
    }


def told(rows: Iterable[Row]) -> list[Row]:
    """Tell of single runs what :data:`LATEST` found, with the cost in USD and what the way they ended means."""
    hour = _hours()
    return [
        row | {"meaning": meaning(row), "usd": (row["billed"] or 0.0) / 3600 * hour.get(row["stage"], 0.0)}
        for row in rows
    ]


def meaning(run: Mapping[str, Any]) -> str:
    """Say what the end of a run means.

    >>> meaning({"status": "failed", "exit_code": 99})
    'ended with code 99'
    """
    if run["status"] == "running":
        return "is at work, or was killed and not cleared up yet"
    known = run["exit_code"] in set(ExitCode)
    return ExitCode(run["exit_code"]).sentence if known else f"ended with code {run['exit_code']}"


def _hours() -> dict[str, float]:
    prices = prices_of(REGION)
    return {stage: an_hour(SIZES[stage], prices) for stage in STAGES}
