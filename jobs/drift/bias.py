"""Decide whether groups of people are still treated alike."""

from __future__ import annotations

from collections.abc import Iterator

from jobs.drift.measure import Measure
from shared.fairness import Disparity
from shared.metrics import Estimate


def parity(found: Disparity, limit: float) -> Iterator[Measure]:
    """Judge whether the groups of a column are flagged alike, and tell the share of each."""
    for group in found.groups:
        if group.name not in found.few_claims:
            yield Measure(found.column, f"flagged {group.name}", group.flagged_share, None, "ok")
    if found.demographic_parity is not None:
        yield bias(found.column, "demographic_parity", "shares flagged", found.demographic_parity, limit)


def bias(column: str, metric: str, what: str, difference: Estimate, limit: float) -> Measure:
    """Judge a largest difference between groups, by its lower bound as evaluate's gate does."""
    gone = difference.low > limit
    reason = f"the {what} of two groups of {column} differ by {difference.low:.2f} at least ({limit:.2f} is allowed)"
    value, low, high = difference.value, difference.low, difference.high
    return Measure(column, metric, value, limit, "retrain" if gone else "ok", reason if gone else None, low, high)
