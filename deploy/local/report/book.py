"""What the report says of the book: claims and outcomes by period, files, quarantine, unknown values."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from shared.contract import Contract
from shared.database import Database, quoted
from shared.metrics import wilson

Z_95 = 1.96
PERIODS = (("day", 35), ("week", 200), ("month", 2200), ("year", 40_000), ("century", float("inf")))
"""Period by which a book is cut, and the days up to which a book is short enough for it."""

Row = dict[str, Any]


def gather_book(database: Database, contract: Contract, as_of: datetime) -> Row:
    """Read what came, what was set aside, and what is unknown in what was kept."""
    return {
        "book": _book(database, as_of),
        "files": database.rows(
            "SELECT * FROM ingest_files WHERE loaded_at <= %s AND (kind <> 'photos' OR status = 'rejected') "
            "ORDER BY file_id DESC",
            [as_of],
        ),
        "quarantine": _quarantine(database, as_of),
        "unknown": _unknown(database, contract, as_of),
    }


def _book(database: Database, as_of: datetime) -> Row:
    """Claims, outcomes and frauds, in all and by period."""
    whole = database.rows(
        "SELECT count(*) AS claims, count(o.claim_id) AS known, count(*) FILTER (WHERE o.is_fraud) AS frauds, "
        "min(event_time) AS first, max(event_time) AS last "
        "FROM claims_as_of(%(as_of)s) c LEFT JOIN outcomes_as_of(%(as_of)s) o USING (claim_id)",
        {"as_of": as_of},
    )[0]
    if not whole["claims"]:
        return whole | {"periods": [], "unit": ""}
    length = (whole["last"] - whole["first"]) / timedelta(days=1)
    unit = next(name for name, longest in PERIODS if length <= longest)
    shape = {"day": "MM-DD", "week": "MM-DD", "month": "YYYY-MM"}.get(unit, "YYYY")
    periods = database.rows(
        "SELECT to_char(begins, %(shape)s) AS label, count(c.claim_id) AS claims, count(o.claim_id) AS known, "
        "count(*) FILTER (WHERE o.is_fraud) AS frauds FROM generate_series("
        "date_trunc(%(unit)s, %(first)s), date_trunc(%(unit)s, %(last)s), ('1 ' || %(unit)s)::interval) AS begins "
        "LEFT JOIN claims_as_of(%(as_of)s) c ON date_trunc(%(unit)s, c.event_time) = begins "
        "LEFT JOIN outcomes_as_of(%(as_of)s) o USING (claim_id) GROUP BY begins ORDER BY begins",
        {"as_of": as_of, "unit": unit, "shape": shape, "first": whole["first"], "last": whole["last"]},
    )
    return whole | {"periods": [period | _rate(period["frauds"], period["known"]) for period in periods], "unit": unit}


def _rate(frauds: int, known: int) -> Row:
    low, high = wilson(frauds, known, Z_95)
    return {"rate": frauds / known if known else None, "low": low, "high": high}


def _quarantine(database: Database, as_of: datetime) -> Row:
    """Quarantined rows by column and reason; those of a rejected file count as that file's."""
    reasons = database.rows(
        "SELECT coalesce(q.column_name, '') AS column_name, "
        # The reason begins with its column; which row is repeated, or which file brought it, would split the counts.
        "regexp_replace(regexp_replace(CASE WHEN starts_with(q.reason, q.column_name || ': ') "
        "THEN substr(q.reason, length(q.column_name) + 3) ELSE q.reason END, "
        "'^repeats row [0-9]+', 'repeats an earlier row'), "
        "'^(already loaded from|another version came later from) .*', '\\1 another file') AS reason, "
        "count(*) AS rows, count(DISTINCT q.file_id) AS files "
        "FROM claims_quarantine q JOIN ingest_files f USING (file_id) WHERE f.loaded_at <= %s AND f.status = 'loaded' "
        "GROUP BY 1, 2 ORDER BY rows DESC, 1, 2",
        [as_of],
    )
    rejected = database.rows(
        "SELECT uri, loaded_at, rows_in, reason FROM ingest_files WHERE status = 'rejected' AND loaded_at <= %s "
        "ORDER BY file_id DESC",
        [as_of],
    )
    return {"reasons": reasons, "rejected": rejected, "rows": sum(row["rows"] for row in reasons)}


def _unknown(database: Database, contract: Contract, as_of: datetime) -> list[Row]:
    """Columns in which claims have unknown values, the most first."""
    names = [name for name in contract.stored if name not in ("claim_id", "event_time")]
    known = ", ".join(f"count({quoted(name)}) AS n{place}" for place, name in enumerate(names))
    found = database.rows(
        f"SELECT count(*) AS claims{', ' if names else ''}{known} FROM claims_as_of(%(as_of)s)", {"as_of": as_of}
    )[0]
    unknown = [(name, found["claims"] - found[f"n{place}"]) for place, name in enumerate(names)]
    rows = [{"column": name, "claims": n, "share": n / found["claims"]} for name, n in unknown if n]
    return sorted(rows, key=lambda row: -row["claims"])
