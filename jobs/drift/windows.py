"""What stands of a champion's windows, and how it is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from jobs.drift.due import Window
from jobs.drift.measure import WHOLE, Measure
from jobs.drift.verdict import Said
from shared.champion import Champion
from shared.job import Job

ASKED = "asked"
"""Metric that says that a new model was asked for, and how severe it was."""
SUMMED_UP = ("wanted", "severity", "verdict", ASKED)
"""Metrics that sum a window up, and are no measures of it."""


def measured(job: Job, version: int) -> dict[datetime, set[str]]:
    """Metrics that stand for a model already, by the start of their window."""
    rows = job.database.rows(
        "SELECT DISTINCT window_start, metric FROM drift_metrics WHERE model_version = %s AND as_of <= %s",
        [version, job.as_of],
    )
    metrics = defaultdict(set)
    for row in rows:
        metrics[row["window_start"]].add(row["metric"])
    return metrics


def standing(job: Job, version: int, window: Window, weights: Mapping[str, float]) -> list[Measure]:
    """Measures of a window as they were written."""
    rows = job.database.rows(
        'SELECT feature, metric, value, "limit", verdict, reason, low, high FROM drift_metrics '
        "WHERE model_version = %s AND window_start = %s AND NOT (feature = %s AND metric = ANY(%s))",
        [version, window.start, WHOLE, list(SUMMED_UP)],
    )
    return [Measure(**row, weight=weights.get(row["feature"], 1.0)) for row in rows]


def said(job: Job, version: int, over: Sequence[Window]) -> tuple[list[Said], Said | None]:
    """What was said of windows that are over, the oldest first, and when a new model was last asked for."""
    rows = job.database.rows(
        "SELECT window_start, metric, value, verdict, reason, as_of FROM drift_metrics WHERE model_version = %s "
        "AND feature = %s AND metric = ANY(%s) AND as_of <= %s ORDER BY window_start",
        [version, WHOLE, list(SUMMED_UP), job.as_of],
    )
    windows = defaultdict[datetime, dict[str, Any]](dict)
    for row in rows:
        windows[row["window_start"]][row["metric"]] = row
    told = [
        Said(
            start,
            found["verdict"]["as_of"],
            found["wanted"]["verdict"],
            found["verdict"]["verdict"],
            found["severity"]["value"],
            found["verdict"]["reason"],
        )
        for start in (window.start for window in over)
        if set(SUMMED_UP) - {ASKED} <= (found := windows[start]).keys()
    ]
    asked = [
        Said(row["window_start"], row["as_of"], row["verdict"], row["verdict"], row["value"])
        for row in rows
        if row["metric"] == ASKED
    ]
    return told, max(asked, key=lambda each: each.as_of, default=None)


def record(job: Job, found: Champion, window: Window, measures: Sequence[Measure]) -> None:
    """Write measures of a window, in place of what stood of the same metrics."""
    frame = pl.DataFrame(
        {
            "window_start": window.start.isoformat(),
            "window_end": window.end.isoformat(),
            "model_version": found.version,
            "feature": [measure.feature for measure in measures],
            "metric": [measure.metric for measure in measures],
            "value": [measure.value for measure in measures],
            "limit": pl.Series([measure.limit for measure in measures], dtype=pl.Float64),
            "low": pl.Series([measure.low for measure in measures], dtype=pl.Float64),
            "high": pl.Series([measure.high for measure in measures], dtype=pl.Float64),
            "verdict": [measure.verdict for measure in measures],
            "reason": pl.Series([measure.reason for measure in measures], dtype=pl.String),
            "as_of": job.as_of.isoformat(),
            "run_id": job.run_id,
        }
    )
    with job.database.transaction():
        job.database.rows(
            "DELETE FROM drift_metrics d USING unnest(%s::text[], %s::text[]) AS new (feature, metric) "
            "WHERE model_version = %s AND window_start = %s AND (d.feature, d.metric) = (new.feature, new.metric)",
            [frame["feature"].to_list(), frame["metric"].to_list(), found.version, window.start],
        )
        job.database.append("drift_metrics", frame)


def withdraw(job: Job, version: int, window: Window) -> None:
    """Remove what was said of a window before it was over."""
    job.database.rows(
        "DELETE FROM drift_metrics WHERE model_version = %s AND window_start = %s", [version, window.start]
    )
