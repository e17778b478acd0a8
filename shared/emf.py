"""Figures for CloudWatch, which takes them out of log records that say where they stand: the embedded metric format.

The format is described, with its schema, in *Specification: Embedded metric format* of Amazon CloudWatch's user guide.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

UNITS: Mapping[str, str] = {
    "rows_in": "Count",
    "quarantined": "Count",
    "seconds": "Seconds",
    "peak_memory": "Bytes",
    "exit_code": "None",
    "scored": "Count",
    "flagged": "Count",
    "audited": "Count",
    "alerts": "Count",
    "waiting": "Count",
    "wait_hours": "None",
    "windows": "Count",
    "verdict": "None",
    "worst_shift": "None",
}
"""What is a metric wherever it stands in a record, with CloudWatch's word for its unit."""
DIMENSIONS = ("line", "stage")
"""A shard is none: an alarm would see each alone, and each would be billed."""
ALARMED = ("wait_hours",)
"""Metrics that stand by stage alone as well, so that one alarm serves all lines."""


def embedded(namespace: str | None, facts: Mapping[str, object]) -> dict[str, object]:
    """Let a log record's numbers be metrics.

    Parameters
    ----------
    namespace : str or None
        Of the metrics; without one the record stays as it is.
    facts : Mapping
        The record's, `DIMENSIONS` among them; those that `UNITS` knows become metrics, but for what is no finite
        number.

    >>> embedded("Team", {"line": "demo", "stage": "etl", "rows_in": 3})["_aws"]["CloudWatchMetrics"]
    [{'Namespace': 'Team', 'Dimensions': [['line', 'stage']], 'Metrics': [{'Name': 'rows_in', 'Unit': 'Count'}]}]
    >>> embedded(None, {"rows_in": 3})
    {'rows_in': 3}
    """
    names = [name for name, value in facts.items() if name in UNITS and _is_finite(value)]
    if not namespace or not names:
        return dict(facts)
    directives = [_directive(namespace, DIMENSIONS, names)]
    if alarmed := [name for name in names if name in ALARMED]:
        directives.append(_directive(namespace, ("stage",), alarmed))
    return {**facts, "_aws": {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": directives}}


def _directive(namespace: str, dimensions: tuple[str, ...], names: list[str]) -> dict[str, object]:
    metrics = [{"Name": name, "Unit": UNITS[name]} for name in names]
    return {"Namespace": namespace, "Dimensions": [list(dimensions)], "Metrics": metrics}


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
