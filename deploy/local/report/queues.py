"""What waits, and how long: claims for a score, claims for an outcome; and how long claims waited that have a score."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from deploy.local.report.present import present
from shared.ages import AGES, by_age, names
from shared.champion import ranking
from shared.contract import Contract
from shared.database import Database

WAITS = (1, 2, 4, 7, 14, 28)
"""As above, of times from claim to score."""

_AGE = "width_bucket(extract(epoch FROM %(as_of)s - c.event_time) / 86400, %(ages)s::numeric[]) AS place"
_UNSCORABLE = "unscorable_as_of(%(as_of)s) u WHERE u.model_version = %(version)s"
_LISTED = (
    "(SELECT b.event_time, p.flagged FROM predictions p JOIN claims_as_of(%(as_of)s) b USING (claim_id) "
    "WHERE p.model_version = %(version)s AND p.variant = 'champion' AND p.scored_as_of <= %(as_of)s "
    "AND (p.flagged OR p.audited) "
    "AND NOT EXISTS (SELECT FROM outcomes_as_of(%(as_of)s) o WHERE o.claim_id = p.claim_id))"
)
"""The open claims that somebody is to look at, in a database without the function that lists them."""

Row = dict[str, Any]


def queues(database: Database, contract: Contract, version: int | None, as_of: datetime) -> Row:
    """How many claims wait for what, and the days since the oldest, for the summary.

    Parameters
    ----------
    version : int or None
        The champion; None while there is none.
    """
    with database.transaction():
        database.rows("SET LOCAL enable_nestloop = off")  # as in the report itself
        return _queues(database, contract, version, as_of)


def _queues(database: Database, contract: Contract, version: int | None, as_of: datetime) -> Row:
    if not contract.labelled:
        newest = ranking(database, as_of)
        told = unscored(database, contract, newest.version if newest else None, as_of)
        return {"unscored": _size(told["claims"], told["oldest"]), "to_review": None, "unlabelled": None}
    waiting, told = unscored(database, contract, version, as_of), unlabelled(database, version, as_of)
    listed = told["flagged"] + told["audited"]
    return {
        "unscored": _size(waiting["claims"], waiting["oldest"]),
        "to_review": {"claims": listed, "flagged": told["flagged"], "audited": told["audited"]},
        "unlabelled": _size(told["claims"], told["oldest"]),
    }


def _size(claims: int, oldest: timedelta | None) -> Row:
    return {"claims": claims, "oldest_days": None if oldest is None else oldest.days}


def unscored(database: Database, contract: Contract, version: int | None, as_of: datetime) -> Row:
    """Claims that the model which holds has not scored, by age.

    Parameters
    ----------
    version : int or None
        The champion, or where no outcomes are known the model that ranks; None while there is none.
    """
    # Those that the model cannot score do not wait; they are told apart.
    apart = f" AND NOT EXISTS (SELECT FROM {_UNSCORABLE} AND u.claim_id = c.claim_id)"
    held = "predictions p WHERE p.variant = 'champion' AND" if contract.labelled else "anomalies p WHERE"
    rows = database.rows(
        f"SELECT {_AGE}, count(*) AS claims, min(c.event_time) AS oldest "
        "FROM claims_as_of(%(as_of)s) c WHERE NOT EXISTS (SELECT FROM "
        f"{held} p.claim_id = c.claim_id AND p.model_version = %(version)s AND p.scored_as_of <= %(as_of)s)"
        f"{apart if present(database, 'unscorable_as_of') else ''} GROUP BY 1",
        {"as_of": as_of, "ages": list(AGES), "version": version},
    )
    return by_age(rows, ("claims",), as_of)


def unscorable(database: Database, version: int | None, as_of: datetime) -> list[Row]:
    """How many claims the model that holds cannot score, by the reason; the most frequent first."""
    if not present(database, "unscorable_as_of"):
        return []
    return database.rows(
        f"SELECT u.reason, count(*) AS claims FROM {_UNSCORABLE} GROUP BY u.reason ORDER BY claims DESC, u.reason",
        {"as_of": as_of, "version": version},
    )


def unlabelled(database: Database, version: int | None, as_of: datetime) -> Row:
    """Claims without an outcome, by age: those that somebody is to look at, and the rest.

    Parameters
    ----------
    version : int or None
        The champion, by whose scores claims are flagged.
    """
    listed = "worklist_as_of(%(as_of)s)" if present(database, "worklist_as_of") else _LISTED
    values = {"as_of": as_of, "ages": list(AGES), "version": version}
    rows = database.rows(
        f"SELECT {_AGE}, count(*) AS claims, min(c.event_time) AS oldest FROM claims_as_of(%(as_of)s) c "
        "WHERE NOT EXISTS (SELECT FROM outcomes_as_of(%(as_of)s) o WHERE o.claim_id = c.claim_id) "
        "GROUP BY 1",
        values,
    )
    to_review = database.rows(
        f"SELECT {_AGE}, count(*) FILTER (WHERE flagged) AS flagged, count(*) FILTER (WHERE NOT flagged) AS audited "
        f"FROM {listed} c GROUP BY 1",
        values,
    )
    looked_at = {row["place"]: row for row in to_review}
    none = {"flagged": 0, "audited": 0}
    told = [row | {key: looked_at.get(row["place"], none)[key] for key in none} for row in rows]
    return by_age(told, ("claims", "flagged", "audited"), as_of)


def waited(database: Database, as_of: datetime) -> Row | None:
    """How long the claims that came while a model was live waited for their first score, by the clock; None: none did.

    Claims that came before wait for a model and not for score, and are counted as ``earlier``.
    """
    found = database.rows(
        "WITH scored AS (SELECT claim_id, min(scored_as_of) AS scored FROM predictions WHERE scored_as_of <= %(as_of)s "
        "GROUP BY claim_id), waits AS (SELECT f.loaded_at > l.since AS late, "
        "extract(epoch FROM s.scored - c.event_time)::float8 / 86400 AS since_event, "
        "extract(epoch FROM s.scored - f.loaded_at)::float8 / 86400 AS since_loaded "
        "FROM scored s JOIN claims c ON c.claim_id = s.claim_id AND c.revision = 1 "
        "JOIN ingest_files f USING (file_id), "
        "(SELECT min(as_of) AS since FROM model_history WHERE alias = 'champion') l) "
        "SELECT count(*) FILTER (WHERE late) AS claims, count(*) FILTER (WHERE NOT late) AS earlier, "
        "percentile_disc(ARRAY[0.5, 0.9, 1]) WITHIN GROUP (ORDER BY since_event) FILTER (WHERE late) AS since_event, "
        "percentile_disc(ARRAY[0.5, 0.9, 1]) WITHIN GROUP (ORDER BY since_loaded) FILTER (WHERE late) AS since_loaded, "
        + ", ".join(
            f"count(*) FILTER (WHERE late AND width_bucket(since_event, %(waits)s::float8[]) = {place}) AS n{place}"
            for place in range(len(WAITS) + 1)
        )
        + " FROM waits",
        {"as_of": as_of, "waits": list(WAITS)},
    )[0]
    if not found["claims"] and not found["earlier"]:
        return None
    bins = [
        {"label": name, "claims": found[f"n{place}"], "share": found[f"n{place}"] / max(found["claims"], 1)}
        for place, name in enumerate(names(WAITS))
    ]
    return found | {"bins": bins}
