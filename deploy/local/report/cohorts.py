"""What each week's claims came to once their outcomes were known, and what was expected before."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from deploy.local.report.present import present
from shared.database import Database

MOST_WEEKS = 60
"""Cohorts of a chart."""
TOLD = {
    "lift_top_decile": "Lift of the top tenth",
    "recall_at_capacity": "Frauds found at the capacity",
    "precision": "Frauds among the flagged",
    "average_precision": "Average precision",
    "roc_auc": "AUC",
    "calibration_error": "Calibration error",
    "prevalence": "Frauds among all claims",
}
"""Figures of a cohort, in the order in which they are told."""
KINDS = ("realised", "estimated")
SHARES = ("recall_at_capacity", "precision", "prevalence")
COMPARABLE = ("lift_top_decile", "roc_auc")
"""Those that do not hang on how many of the claims with an outcome are frauds, which is not so in the whole book."""

Row = dict[str, Any]

# Of each cohort what was said last, of the model that was live at its end if that has any.
_NEWEST = """
WITH newest AS (
    SELECT DISTINCT ON (model_version, week, metric, kind) * FROM cohorts WHERE as_of <= %(as_of)s
    ORDER BY model_version, week, metric, kind, as_of DESC
)
SELECT DISTINCT ON (n.week, n.metric, n.kind) n.* FROM newest n LEFT JOIN LATERAL (
    SELECT h.model_version FROM model_history h
    WHERE h.alias = 'champion' AND h.as_of <= least(n.week + n.weeks * interval '7 days', %(as_of)s)
    ORDER BY h.as_of DESC, h.entry_id DESC LIMIT 1
) live ON live.model_version = n.model_version
ORDER BY n.week, n.metric, n.kind, live.model_version IS NULL, n.model_version DESC
"""


def gather_cohorts(database: Database, champion: Row | None, as_of: datetime) -> Row:
    """Read the figures of each cohort.

    Parameters
    ----------
    champion : dict or None
        Its entry in the history; what it showed when it was judged is what cohorts are held against.
    """
    if not present(database, "cohorts"):
        return {"cohorts": []}
    by_metric: dict[str, dict[date, Row]] = {}
    for row in database.rows(_NEWEST, {"as_of": as_of}):
        by_metric.setdefault(row["metric"], {}).setdefault(row["week"], {"week": row["week"]})[row["kind"]] = row
    judged = champion["metrics"]["ranking"] if champion else {}
    return {
        "cohorts": [
            {
                "name": name,
                "weeks": [dict.fromkeys(KINDS) | told for _, told in sorted(by_metric[metric].items())][-MOST_WEEKS:],
                "judged": judged.get(metric, {}).get("value") if metric in COMPARABLE else None,
                "share": metric in SHARES,
            }
            for metric, name in TOLD.items()
            if metric in by_metric
        ]
    }
