"""What the report shows of single claims: those that a champion scored, or those that are unusual."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from deploy.local.report.present import present
from deploy.local.report.words import figure
from shared.contract import Contract
from shared.database import Database, quoted
from shared.draws import DRAWS, SPLIT_DRAW

TOP_CLAIMS = 25
TOP_UNUSUAL = 20
SCORE_BINS = 25

Row = dict[str, Any]


def scores(database: Database, contract: Contract, champion: Row, trained: Row, as_of: datetime) -> Row:
    """Predictions for the claims that the champion did not learn from."""
    later = (
        "FROM predictions p JOIN claims_as_of(%(as_of)s) c USING (claim_id) "
        "LEFT JOIN outcomes_as_of(%(as_of)s) o USING (claim_id) WHERE p.model_version = %(version)s "
        "AND p.variant = 'champion' AND p.scored_as_of <= %(as_of)s AND (c.event_time > %(train_end)s "
        f"OR {SPLIT_DRAW} < %(below)s)"
    )
    values = {
        "as_of": as_of,
        "version": champion["model_version"],
        "train_end": trained["train_end"],
        "below": (trained["judged_share"] or 0.0) * DRAWS,
    }
    whole = database.rows(
        "SELECT count(*) AS claims, count(*) FILTER (WHERE flagged) AS flagged, "
        "count(*) FILTER (WHERE audited) AS audited, sum(fraud_probability) FILTER (WHERE flagged) AS expected, "
        "max(fraud_probability) AS top, count(o.claim_id) FILTER (WHERE flagged) AS flagged_known, "
        "count(*) FILTER (WHERE flagged AND is_fraud) AS flagged_frauds, "
        f"max(event_time) AS last {later}",
        values,
    )[0]
    if not whole["claims"]:
        return whole
    top = whole["top"] or 1.0
    binned = database.rows(
        f"SELECT least(floor(fraud_probability / %(width)s)::int, {SCORE_BINS - 1}) AS bin, count(*) AS claims {later} "
        "GROUP BY 1",
        values | {"width": top / SCORE_BINS},
    )
    by_bin = {row["bin"]: row["claims"] for row in binned}
    tenths = database.rows(
        "SELECT tenth, count(*) AS claims, min(fraud_probability) AS low, max(fraud_probability) AS high, "
        "count(*) FILTER (WHERE flagged) AS flagged, count(*) FILTER (WHERE audited) AS audited, "
        "count(is_fraud) AS known, count(*) FILTER (WHERE is_fraud) AS frauds "
        "FROM (SELECT fraud_probability, flagged, audited, is_fraud, "
        f"ntile(10) OVER (ORDER BY fraud_probability DESC, claim_id) AS tenth {later}) t GROUP BY tenth ORDER BY tenth",
        values,
    )
    return whole | {
        "weeks": max((whole["last"] - trained["train_end"]) / timedelta(weeks=1), 1 / 7),
        "top": top,
        "bins": [by_bin.get(place, 0) for place in range(SCORE_BINS)],
        "tenths": tenths,
        "threshold": champion["threshold"],
        "first_claims": _first_claims(database, contract, later, values),
    }


def worklist(database: Database, contract: Contract, as_of: datetime) -> list[Row]:
    """Open claims that somebody is to look at, the newest week first, by their rank in it.

    Each row tells how many there are in all (``claims``), how many of them are flagged and how many drawn for audit.
    """
    if not present(database, "worklist_as_of"):
        return []
    rows = database.rows(
        "SELECT *, count(*) OVER () AS claims, count(*) FILTER (WHERE flagged) OVER () AS all_flagged, "
        "count(*) FILTER (WHERE audited AND NOT flagged) OVER () AS all_audited FROM worklist_as_of(%s) "
        "ORDER BY week DESC, rank_in_week LIMIT %s",
        [as_of, TOP_CLAIMS],
    )
    return [_told(row, contract) for row in rows]


def _first_claims(database: Database, contract: Contract, later: str, values: Row) -> list[Row]:
    """Claims to look at first: flagged, without an outcome yet, the most probable first; then those with one."""
    roles = contract.roles
    amount = f"c.{quoted(roles.amount)}" if roles.amount and roles.amount not in contract.personal else "NULL"
    claims = database.rows(
        f"SELECT claim_id, c.event_time, fraud_probability, reasons, is_fraud, {amount} AS amount {later} AND flagged "
        "ORDER BY o.claim_id IS NOT NULL, fraud_probability DESC, claim_id LIMIT %(most)s",
        values | {"most": TOP_CLAIMS},
    )
    return [_told(claim, contract) for claim in claims]


def unusual(database: Database, contract: Contract, trained: Row, as_of: datetime) -> Row:
    """Claims ranked by how unusual they are, for lines of business without outcomes: how many, and the first."""
    ranked = (
        "FROM anomalies a JOIN claims_as_of(%(as_of)s) c USING (claim_id) "
        "WHERE a.model_version = %(version)s AND a.scored_as_of <= %(as_of)s"
    )
    values = {"as_of": as_of, "version": trained["model_version"], "most": TOP_UNUSUAL}
    first = database.rows(
        f"SELECT claim_id, c.event_time, score, rank_share, reasons {ranked} "
        "ORDER BY score DESC, claim_id LIMIT %(most)s",
        values,
    )
    for claim in first:
        claim["shown_id"] = _shown_id(claim, contract)
        claim["reasons"] = [reason | {"value": _value(reason["value"])} for reason in claim["reasons"]]
    return database.rows(f"SELECT count(*) AS claims {ranked}", values)[0] | {"first": first}


def _told(claim: Row, contract: Contract) -> Row:
    reasons = [_in_words(reason) for reason in claim["reasons"] or []]
    return claim | {"shown_id": _shown_id(claim, contract), "reasons": reasons}


def _shown_id(claim: Row, contract: Contract) -> str:
    return claim["claim_id"] if contract.roles.id not in contract.personal else "(personal)"


def _in_words(reason: Row) -> str:
    """Say what speaks for or against a claim; a model of an earlier release gave its reasons no sentence."""
    if text := reason.get("text"):
        return str(text)
    factor = figure(math.exp(min(abs(reason["log_odds"]), 700)), 2)
    change = "times" if reason["log_odds"] > 0 else "divided by"
    return f"{reason['feature']} is {_value(reason['value'])}: odds {change} {factor}"


def _value(value: float | str | None) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() else figure(value)  # a year has no thousands separator
    return "unknown" if value is None else str(value)
