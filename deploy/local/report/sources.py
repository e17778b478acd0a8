"""What the report says of the sources: how fresh each is, what came on which day, and what senders changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from deploy.local.report.words import age
from shared.database import Database

Row = dict[str, Any]

_FEED = (
    "CASE WHEN pull IS NOT NULL THEN 'pull ' || pull WHEN kind = 'reference' THEN split_part(uri, '/', 3) ELSE kind END"
)
"""Name of a file's feed: that of the pull, of the reference table, or what its files hold."""


def gather_sources(database: Database, as_of: datetime) -> Row:
    """Read what came when, as of the clock: counts, times, names of columns and, of open categories, new levels."""
    feeds = database.rows(
        f"SELECT {_FEED} AS feed, kind, count(*) AS files, count(*) FILTER (WHERE status = 'rejected') AS rejected, "
        "sum(rows_in) FILTER (WHERE status <> 'replaced') AS rows_in, "
        "sum(rows_out) FILTER (WHERE status <> 'replaced') AS rows_out, "
        "max(loaded_at) FILTER (WHERE reason IS NULL) AS loaded FROM ingest_files WHERE loaded_at <= %s "
        "GROUP BY 1, 2 ORDER BY kind = 'reference', 1",
        [as_of],
    )
    newest = database.rows(
        "SELECT (SELECT max(event_time) FROM claims_as_of(%(as_of)s)) AS claims, "
        "(SELECT max(known_at) FROM outcomes WHERE known_at <= %(as_of)s AND file_id IS NOT NULL) AS outcomes",
        {"as_of": as_of},
    )[0]
    days = database.rows(
        "SELECT (loaded_at AT TIME ZONE 'UTC')::date::text AS day, count(*) AS files, sum(rows_in) AS rows_in, "
        "sum(rows_out) AS rows_out, sum(quarantined) AS quarantined, "
        "count(*) FILTER (WHERE status = 'rejected') AS rejected FROM ingest_files WHERE loaded_at <= %s "
        "GROUP BY 1 ORDER BY 1 DESC",
        [as_of],
    )
    changes = database.rows(
        f"SELECT uri, {_FEED} AS feed, loaded_at, change FROM ingest_files, unnest(changes) WITH ORDINALITY "
        "AS told (change, place) WHERE loaded_at <= %s ORDER BY file_id DESC, place",
        [as_of],
    )
    return {"feeds": [feed | _freshness(feed, newest, as_of) for feed in feeds], "days": days, "changes": changes}


def _freshness(feed: Row, newest: Row, as_of: datetime) -> Row:
    event = newest.get(feed["kind"])
    return {
        "file_age": age(as_of - feed["loaded"] if feed["loaded"] else None),
        "newest": event,
        "event_age": age(as_of - event) if event else "",
    }
