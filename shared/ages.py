"""How long things wait, in groups of ages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

AGES = (1, 7, 28, 91, 182, 364)
"""Days at which one group of ages ends and the next begins."""

Row = dict[str, Any]


def by_age(rows: Sequence[Row], counted: Sequence[str], as_of: datetime) -> Row:
    """Arrange counts by group of ages, with their totals and the age of the oldest.

    Parameters
    ----------
    rows : sequence of dict
        ``place`` of the group, 0 for the youngest, what is `counted`, and ``oldest``, a moment.
    """
    found = {row["place"]: row for row in rows}
    ages = [
        {"label": name} | {key: found[place][key] if place in found else 0 for key in counted}
        for place, name in enumerate(names(AGES))
    ]
    oldest = min((row["oldest"] for row in rows), default=None)
    totals = {key: sum(row[key] for row in rows) for key in counted}
    return totals | {"ages": ages, "oldest": as_of - oldest if oldest else None}


def names(ends: Sequence[int]) -> list[str]:
    """Name groups of ages.

    >>> names((1, 7))
    ['under 1 day', '1 to 7 days', '7 days and more']
    """
    between = [f"{low} to {high} days" for low, high in pairwise(ends)]
    return [f"under {ends[0]} day{'s' if ends[0] > 1 else ''}", *between, f"{ends[-1]} days and more"]
