"""What the report says of the judged model: when it was live, what it costs and catches, where it errs, its card."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from shared.champion import folder_of
from shared.contract import Contract
from shared.database import Database
from shared.draws import DRAWS, SPLIT_DRAW
from shared.errors import ModelError
from shared.judgement import thinned, unit
from shared.metrics import wilson

Z_95 = 1.96

Row = dict[str, Any]

# Claims of equal probability are one step of the curve: the sum over steps of the gain in recall times the precision.
_SHADOW = f"""
WITH judged AS (
    SELECT o.is_fraud, s.fraud_probability AS standing, c.fraud_probability AS shadow
    FROM predictions s JOIN predictions c USING (claim_id)
    JOIN outcomes_as_of(%(as_of)s) o USING (claim_id) JOIN claims_as_of(%(as_of)s) b USING (claim_id),
    (SELECT max(train_end) AS learnt, min(judged_share) AS share FROM models
     WHERE model_version IN (%(standing)s, %(shadow)s)) m
    WHERE s.model_version = %(standing)s AND s.variant = 'champion' AND s.scored_as_of <= %(as_of)s
    AND c.model_version = %(shadow)s AND c.variant = 'challenger' AND c.scored_as_of <= %(as_of)s
    AND (b.event_time > m.learnt OR {SPLIT_DRAW} < m.share * {DRAWS})
), steps AS (
    SELECT variant, p, count(*) AS claims, count(*) FILTER (WHERE is_fraud) AS frauds
    FROM judged, LATERAL (VALUES ('standing', standing), ('challenger', shadow)) AS v (variant, p) GROUP BY variant, p
), sums AS (
    SELECT variant, frauds, sum(frauds) OVER down AS found, sum(claims) OVER down AS looked_at,
           sum(frauds) OVER (PARTITION BY variant) AS all_frauds, sum(claims) OVER (PARTITION BY variant) AS all_claims
    FROM steps WINDOW down AS (PARTITION BY variant ORDER BY p DESC)
)
SELECT variant, max(all_claims)::bigint AS claims, max(all_frauds)::bigint AS frauds,
       sum(frauds / nullif(all_frauds, 0) * found / looked_at)::float8 AS average_precision
FROM sums GROUP BY variant
"""


def gather_model(database: Database, contract: Contract, judged: Row | None, history: Sequence[Row]) -> Row:
    """Read what the page shows of the judged model.

    Parameters
    ----------
    judged : dict or None
        Its entry in the history; one of an earlier version of evaluate has fewer figures, and less is shown.
    history : sequence of dict
        All entries, in their order.
    """
    metrics = judged["metrics"] if judged else {}
    errors = metrics.get("errors") or {"slices": [], "kinds": []}
    return {
        "card": _card(database, judged["model_version"]) if judged else None,
        "live": _live(history),
        "curve": metrics.get("curve") or [],
        "told_curve": thinned(metrics.get("curve") or []),
        "capacity": metrics.get("capacity"),
        "unit": unit(contract),
        "calibration": metrics.get("calibration"),
        "fairness": metrics.get("fairness") or [],
        "judged_errors": "errors" in metrics,
        "slices": _with_examples(database, contract, judged["model_version"], errors["slices"]) if judged else [],
        "kinds": _by_column(errors["kinds"]),
    }


def _card(database: Database, version: int) -> str | None:
    found = database.rows("SELECT html FROM model_cards WHERE model_version = %s", [version])
    return found[0]["html"] if found else None


def _live(history: Sequence[Row]) -> list[Row]:
    """Champions in their order, each with the moment until which it was live; None for the present one."""
    champions = [entry for entry in history if entry["alias"] == "champion"]
    ends = [after["as_of"] for _, after in pairwise(champions)]
    return [entry | {"until": until} for entry, until in zip(champions, [*ends, None], strict=False)]


def _by_column(kinds: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for kind in kinds:
        found.setdefault(kind["column"], []).append(kind | _missed(kind))
    return found


def _missed(kind: Row) -> Row:
    """Share of a kind's frauds that are missed, with its 95 % interval."""
    frauds = kind["found"] + kind["missed"]
    low, high = wilson(kind["missed"], frauds, Z_95)
    return {"frauds": frauds, "share": kind["missed"] / frauds if frauds else None, "low": low, "high": high}


def _with_examples(database: Database, contract: Contract, version: int, slices: Sequence[Row]) -> list[Row]:
    rows = database.rows(
        "SELECT slice, claim_id, fraud_probability FROM slice_examples WHERE model_version = %s "
        "ORDER BY slice, fraud_probability, claim_id",
        [version],
    )
    personal = contract.roles.id in contract.personal
    return [
        found | {"examples": [] if personal else [row["claim_id"] for row in rows if row["slice"] == place]}
        for place, found in enumerate(slices)
    ]


def shadow(database: Database, champion: Row, as_of: datetime) -> Row | None:
    """Hold the challenger that scores in the shadow against the champion, or None: there is none.

    Both are judged on the claims that both have scored, that are later than any either learnt from (where time is not
    split: drawn to judge), and whose outcome is known. Average precision is that of :func:`shared.metrics`.
    """
    newest = database.rows(
        "SELECT p.model_version, min(p.scored_as_of) AS since, count(*) AS claims, "
        "count(*) FILTER (WHERE p.flagged) AS flagged FROM predictions p "
        "WHERE p.variant = 'challenger' AND p.model_version > %s AND p.scored_as_of <= %s "
        "GROUP BY 1 ORDER BY 1 DESC LIMIT 1",
        [champion["model_version"], as_of],
    )
    if not newest:
        return None
    judged = database.rows(
        _SHADOW, {"as_of": as_of, "standing": champion["model_version"], "shadow": newest[0]["model_version"]}
    )
    return newest[0] | {row["variant"]: row for row in judged}


def training(trained: Row | None, contract: Contract) -> Row | None:
    """What stands beside the model about how it came about, or None: its files cannot be read."""
    if trained is None:
        return None
    try:
        folder = folder_of(trained["artifact_uri"], trained["files_sha256"])
        told: Row = json.loads((folder / "training.json").read_text())
        features = json.loads((folder / "model.json").read_text())["features"]
    except (ModelError, OSError, ValueError, KeyError):
        return None
    columns = contract.known
    for feature in features:
        known = [columns[name] for name in feature["sources"][:1] if name in columns]
        feature["meaning"] = known[0].meaning if known else ""
        feature["sensitive"] = any(name in contract.roles.sensitive for name in feature["sources"])
    trials = [trial | {"place": place} for place, trial in enumerate(told.get("trials", ()))]
    findings = [finding | {"let_in": contract.features.allow.get(finding["column"])} for finding in told["findings"]]
    return told | {"trials": trials, "findings": findings, "features": features}
