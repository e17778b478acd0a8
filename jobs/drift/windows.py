"""Gather the windows' claims, and apply what was measured."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from jobs.drift.due import Window, windows
from shared.champion import Champion
from shared.claims import read_claims
from shared.errors import ModelError
from shared.job import Job

if TYPE_CHECKING:
    from jobs.drift.measure import Measure
    from shared.profile import Profile


def windows_since(job: Job, train_end: datetime, length: timedelta) -> list[Window]:
    """Whole windows between a model's training and the last claim that is visible, the oldest first."""
    rows = job.database.rows(
        "SELECT ceil(extract(epoch FROM c.event_time - %(train_end)s) / %(length)s)::int AS place, count(*) AS claims, "
        "count(*) FILTER (WHERE o.is_fraud) AS frauds, count(*) FILTER (WHERE NOT o.is_fraud) AS clean, "
        "max(c.event_time) AS latest "
        "FROM claims_as_of(%(as_of)s) c LEFT JOIN outcomes_as_of(%(as_of)s) o USING (claim_id) "
        "WHERE c.event_time > %(train_end)s GROUP BY place",
        {"as_of": job.as_of, "train_end": train_end, "length": int(length.total_seconds())},
    )
    latest = max((row["latest"] for row in rows), default=train_end)
    counts = {row["place"]: (row["claims"], row["frauds"], row["clean"]) for row in rows}
    return [
        Window(start, end, *counts.get(place, (0, 0, 0)))
        for place, (start, end) in enumerate(windows(train_end, latest, length), 1)
    ]


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


def reference(found: Champion) -> Profile:
    """What the champion learnt from, and the probabilities it gave when it was judged.

    Raises
    ------
    ModelError
        What train wrote of it cannot be read.
    """
    from shared.profile import Profile

    try:
        learnt = Profile.of_document(json.loads((found.folder / "profile.json").read_text()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"model {found.folder}: cannot be read ({error}); train a new one") from error
    return learnt + Profile.of_document(found.metrics["probability"])


def claims_of(job: Job, window: Window) -> pl.DataFrame:
    """Claims of a window, with ``is_fraud`` where the outcome is known."""
    return read_claims(
        job.database,
        job.contract,
        "LEFT JOIN outcomes_as_of(%(as_of)s) o USING (claim_id) "
        "WHERE c.event_time > %(start)s AND c.event_time <= %(end)s",
        {"as_of": job.as_of, "start": window.start, "end": window.end},
        {"is_fraud": ("o.is_fraud", "boolean")},
    )


def record(job: Job, version: int, window: Window, measures: Sequence[Measure], *, first: bool) -> None:
    """Write a window's measures; a window's claims count once, though its outcomes come later."""
    frame = pl.DataFrame(
        {
            "window_start": window.start.isoformat(),
            "window_end": window.end.isoformat(),
            "model_version": version,
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
        # Outcomes that came later may change what was said of a window: its verdict is said anew.
        job.database.rows(
            "DELETE FROM drift_metrics WHERE model_version = %s AND window_start = %s AND metric = 'verdict'",
            [version, window.start],
        )
        job.database.append("drift_metrics", frame)
        if first:
            job.record(rows_in=window.claims, rows_out=window.claims)
