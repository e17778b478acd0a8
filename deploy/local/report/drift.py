"""What the report says of drift: verdicts, what shifted in which window, what outcomes showed, how sources are."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from deploy.local.report.cohorts import gather_cohorts
from shared import shifts
from shared.database import Database

Row = dict[str, Any]


def gather_drift(database: Database, champion: Row | None, as_of: datetime) -> Row:
    """Read verdicts of every model's windows, and all else of the model that is watched.

    Parameters
    ----------
    champion : dict or None
        Its entry in the history.
    """
    verdicts = shifts.reasons(database.rows(shifts.VERDICTS, [as_of]))
    version = shifts.watched(verdicts, champion["model_version"] if champion else None)
    measures = database.rows(shifts.MEASURES, [version, as_of])
    importance = shifts.shares(database.rows(shifts.IMPORTANCE, [version, as_of]))
    told = {row["window_end"]: row["verdict"] for row in measures if row["metric"] == "verdict"}
    return {
        "version": version,
        "verdicts": verdicts,
        "told": told,
        "shifts": shifts.shifts(measures, importance),
        "associations": shifts.associations(measures, importance),
        "importance": _importance_over_time(database, version, as_of),
        "late": shifts.late(measures),
        "bias": shifts.bias(measures),
        "quality": shifts.quality(measures),
        **gather_cohorts(database, champion, as_of),
    }


def worst(database: Database, version: int, as_of: datetime) -> list[Row]:
    """Single features by their shift in the newest window, as a multiple of the limit, times their importance."""
    measures = database.rows(
        'SELECT window_end, feature, metric, "limit", value / nullif("limit", 0) AS ratio FROM drift_metrics '
        "WHERE model_version = %(version)s AND as_of <= %(as_of)s AND metric IN ('shift', 'psi') AND window_end = "
        "(SELECT max(window_end) FROM drift_metrics WHERE model_version = %(version)s AND as_of <= %(as_of)s)",
        {"version": version, "as_of": as_of},
    )
    importance = shifts.shares(database.rows(shifts.IMPORTANCE, [version, as_of]))
    found = shifts.shifts(measures, importance)["features"]
    return [row for row in found if row["feature"] not in shifts.WHOLES]


def _importance_over_time(database: Database, version: int | None, as_of: datetime) -> Row:
    """Share of each feature in the importance of all, window by window, the most important in the newest first."""
    rows = database.rows(
        "SELECT window_end, feature, value / nullif(sum(value) OVER (PARTITION BY window_end), 0) AS ratio "
        "FROM importance WHERE model_version = %s AND as_of <= %s",
        [version, as_of],
    )
    found = shifts.grid([row for row in rows if row["ratio"] is not None], {})
    return found if len(found["windows"]) > 1 else {"windows": [], "features": []}
