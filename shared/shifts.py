"""What drift said of windows of claims, arranged to be read: verdicts, and what shifted in which window by how much."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from shared.profile import PROBABILITY

MOST_WINDOWS = 26
"""Columns of a heat map: half a year of weeks."""
WHOLE = "*"
"""Stands for a window as a whole."""
WHOLES = (WHOLE, PROBABILITY.name)
"""What stands for the features together: their joint shift, and the model's own probabilities."""
SOURCE = "source:"
"""What the names of sources begin with, where the feature of a measure is told."""
LATE = {
    "roc_auc": "AUC",
    "lift_top_decile": "Lift of the top tenth",
    "precision": "Frauds among the flagged",
    "calibration_error": "Calibration error",
    "estimate_error": "Error of the estimate",
    "maturity": "Outcomes known",
}
"""Figures of a window whose outcomes came, in the order in which they are told."""
BIAS = {"demographic_parity": "shares flagged", "equal_opportunity": "shares of frauds flagged"}
"""What may differ between groups of people."""

VERDICTS = (
    "SELECT model_version, window_start, window_end, verdict, reason FROM drift_metrics WHERE metric = 'verdict' "
    "AND as_of <= %s ORDER BY window_end DESC, model_version DESC"
)
"""Of every model's windows, the latest first."""
MEASURES = (
    'SELECT *, value / nullif("limit", 0) AS ratio FROM drift_metrics WHERE model_version = %s AND as_of <= %s '
    "ORDER BY window_end, feature, metric"
)
"""All that was measured of a model's windows."""
IMPORTANCE = (
    "SELECT DISTINCT ON (feature) feature, value FROM importance WHERE model_version = %s AND as_of <= %s "
    "ORDER BY feature, window_start DESC"
)
"""How much each feature weighs, as last told; see :func:`shares`."""

Row = dict[str, Any]


def watched(verdicts: Sequence[Row], champion: int | None) -> int | None:
    """Choose the model whose windows are shown: the champion, or while it has none the one that was measured last."""
    measured = [row["model_version"] for row in verdicts]
    return champion if champion in measured or not measured else measured[0]


def reasons(verdicts: Iterable[Row]) -> list[Row]:
    """Verdicts with their reasons one by one, the gravest first."""
    return [row | {"reasons": (row["reason"] or "").split("; ")} for row in verdicts]


def shares(importance: Sequence[Row]) -> dict[str, float]:
    """Share of each feature in the importance of all."""
    whole = sum(row["value"] for row in importance) or 1.0
    return {row["feature"]: row["value"] / whole for row in importance}


def shifts(measures: Sequence[Row], importance: Mapping[str, float]) -> Row:
    """Shift of each feature in each of the latest windows, as a multiple of its limit; see :func:`grid`."""
    # Windows of an earlier release have no measure called shift; the one whose limit they had was PSI.
    limited = [row for row in measures if row["limit"] and not row["feature"].startswith(SOURCE)]
    found = {(row["window_end"], row["feature"]): row for row in limited if row["metric"] == "psi"}
    found |= {(row["window_end"], row["feature"]): row for row in limited if row["metric"] == "shift"}
    return grid(list(found.values()), importance)


def associations(measures: Sequence[Row], importance: Mapping[str, float]) -> Row:
    """Change of each feature's odds of fraud in each of the latest windows, as a multiple of its limit."""
    return grid([row for row in measures if row["metric"] == "association" and row["limit"]], importance)


def grid(measures: Sequence[Row], importance: Mapping[str, float]) -> Row:
    """Arrange measures by feature and window.

    What stands for all features comes first, then each by its excess in the newest window times its importance, so that
    what matters comes first and what the model does not look at last.
    """
    windows = sorted({row["window_end"] for row in measures})[-MOST_WINDOWS:]
    cells: dict[str, dict[datetime, Row]] = {}
    for row in measures:
        if row["window_end"] in windows:
            cells.setdefault(row["feature"], {})[row["window_end"]] = row
    features: list[Row] = [
        {
            "feature": feature,
            "importance": importance.get(feature),
            "cells": [found.get(window) for window in windows],
            "newest": found[windows[-1]]["ratio"] if windows[-1] in found else 0.0,
        }
        for feature, found in cells.items()
    ]
    features.sort(
        key=lambda row: (
            WHOLES.index(row["feature"]) if row["feature"] in WHOLES else len(WHOLES),
            -row["newest"] * (row["importance"] or 0.0),
            -row["newest"],
        )
    )
    return {"windows": windows, "features": features}


def late(measures: Sequence[Row]) -> Row:
    """What the outcomes of each window show, the latest first."""
    rows = _by_window(measures, lambda row: row["metric"] in LATE and row["feature"] == WHOLE)
    metrics = {name: words for name, words in LATE.items() if any(name in found for found in rows.values())}
    ranking = [
        found["roc_auc"] | {"label": window.date().isoformat()} for window, found in rows.items() if "roc_auc" in found
    ]
    return {"metrics": metrics, "windows": list(reversed(rows.items())), "ranking": ranking}


def bias(measures: Sequence[Row]) -> Row:
    """By how much groups of each sensitive column are treated differently, window by window."""
    rows = [row for row in measures if row["metric"] in BIAS]
    windows = sorted({row["window_end"] for row in rows})[-MOST_WINDOWS:]
    found = {(row["feature"], row["metric"], row["window_end"]): row for row in rows}
    columns = sorted({(row["feature"], row["metric"]) for row in rows})
    return {
        "windows": windows,
        "columns": [
            {"name": f"{feature}: {BIAS[metric]}", "cells": [found.get((feature, metric, end)) for end in windows]}
            for feature, metric in columns
        ],
    }


def quality(measures: Sequence[Row]) -> list[Row]:
    """The newest of each measure of a source, and of columns those that are amiss in the newest window; these first."""
    newest = max((row["window_end"] for row in measures), default=None)
    other = {"shift", "psi", "association", *BIAS}
    found: dict[tuple[str, str], Row] = {}
    for row in measures:  # the earliest window first
        key, amiss = (row["feature"], row["metric"]), row["verdict"] != "ok" and row["window_end"] == newest
        if row["feature"].startswith(SOURCE) or (amiss and row["feature"] != WHOLE and row["metric"] not in other):
            found[key] = row | {"before": found[key]["value"] if key in found else None}
    return sorted(found.values(), key=lambda row: (row["verdict"] == "ok", row["feature"], row["metric"]))


def _by_window(measures: Sequence[Row], wanted: Callable[[Row], bool]) -> dict[datetime, dict[str, Row]]:
    found: dict[datetime, dict[str, Row]] = {}
    for row in measures:
        if wanted(row):
            found.setdefault(row["window_end"], {})[row["metric"]] = row
    return found
