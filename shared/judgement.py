"""What ``model_history`` keeps of a judgement, made ready to be shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.contract import Contract
from shared.metrics import wilson

Z_95 = 1.96
CURVE_ROWS = 20
"""Points of a curve that its table tells."""

Row = dict[str, Any]


def tenths_told(bins: Sequence[Row]) -> list[Row]:
    """Tenths of the judged claims, with their rates and their lift over the average, and 95 % intervals of both.

    The lift's is that of the rate (Wilson), over an average that is taken as it is; None without a fraud.

    >>> bins = [{"claims": 10, "expected": 3, "frauds": 4}, {"claims": 10, "expected": 1, "frauds": 0}]
    >>> [(row["rate"], row["lift"], round(row["lift_low"], 2)) for row in tenths_told(bins)]
    [(0.4, 2.0, 0.84), (0.0, 0.0, 0.0)]
    """
    claims, frauds = (sum(row[key] for row in bins) for key in ("claims", "frauds"))
    return [row | _rates(row, frauds / claims) | {"place": place} for place, row in enumerate(bins, 1)]


def _rates(row: Row, average: float) -> Row:
    low, high = wilson(row["frauds"], row["claims"], Z_95)
    rate = row["frauds"] / row["claims"]
    lifts = {"lift": rate, "lift_low": low, "lift_high": high}
    return {
        "rate": rate,
        "low": low,
        "high": high,
        "expected_rate": row["expected"] / row["claims"],
        **{name: value / average if average else None for name, value in lifts.items()},
    }


def groups_told(fairness: Sequence[Row]) -> list[Row]:
    """Groups of the sensitive columns, with 95 % intervals (Wilson) of the shares of their claims, and frauds, flagged.

    >>> groups = [{"name": "a", "claims": 10, "frauds": 0, "flagged_share": 0.5, "recall": None}]
    >>> told = groups_told([{"column": "sex", "groups": groups}])[0]["groups"][0]
    >>> [round(bound, 2) for bound in told["flagged"]], told["found"]
    ([0.24, 0.76], None)
    """
    return [found | {"groups": [group | _bounds(group) for group in found["groups"]]} for found in fairness]


def _bounds(group: Row) -> Row:
    pairs = {"flagged": ("flagged_share", "claims"), "found": ("recall", "frauds")}
    return {
        name: None if group[share] is None else list(wilson(group[share] * group[whole], group[whole], Z_95))
        for name, (share, whole) in pairs.items()
    }


def thinned(curve: Sequence[Row]) -> list[Row]:
    """Some points of a curve, the last among them."""
    step = -(-len(curve) // CURVE_ROWS) or 1
    return [*curve[:-1:step], *curve[-1:]]


def unit(contract: Contract) -> str:
    """Unit of the amount at stake, or nothing."""
    column = contract.known.get(contract.roles.amount or "")
    return column.unit if column else ""
