"""Decide which weeks and windows there are: the weeks to hold others against, and those since a model's training."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from jobs.drift.measure import SHIFT

WEEK = timedelta(weeks=1)
MOST_WEEKS = 104
"""Weeks of the training claims that others are held against, the newest: two years have met each season twice."""


@dataclass(frozen=True)
class Week:
    """A week and its visible claims.

    Attributes
    ----------
    place : int
        Weeks since training: 0 is the last that was learnt from, 1 the first after it.
    known_at : datetime
        When the newest of the claims' versions was known: with the count it tells whether other claims are seen now.
    """

    place: int
    claims: int
    known_at: datetime


@dataclass(frozen=True)
class Window:
    """A stretch of whole weeks, open at its start and closed at its end."""

    first: int
    start: datetime
    end: datetime
    claims: int

    def places(self, length: int) -> range:
        """Places of its weeks."""
        return range(self.first, self.first + length)

    def due(self, done: AbstractSet[str], min_claims: int) -> bool:
        """Whether its columns are to be measured and have not been."""
        return self.claims >= min_claims and SHIFT not in done


def starts(train_end: datetime, place: int) -> datetime:
    """When the week at a place begins, itself not in it."""
    return train_end + WEEK * (place - 1)


def weeks_before(train_end: datetime, moment: datetime) -> int:
    """Place of the first whole week after a moment.

    >>> weeks_before(datetime(2024, 2, 1), datetime(2024, 1, 20))
    0
    """
    return ceil((moment - train_end) / WEEK) + 1


def since(weeks: Sequence[Week], begins: int, fewest: int) -> list[Week]:
    """Leave weeks out that come before a place, unless fewer than so many of training's were left."""
    kept = [week for week in weeks if week.place >= begins]
    return kept if sum(week.place <= 0 for week in kept) >= fewest else list(weeks)


def windows(train_end: datetime, weeks: Sequence[Week], latest: datetime, length: int) -> list[Window]:
    """Cut the time after training into windows; all are over but the last, which may hold no claim yet.

    Parameters
    ----------
    latest : datetime
        Of the last claim that is visible.
    length : int
        Weeks of a window.

    >>> from datetime import UTC
    >>> day = datetime(2024, 1, 1, tzinfo=UTC)
    >>> [window.first for window in windows(day, [], day + timedelta(days=60), 4)]
    [1, 5, 9]
    """
    claims = {week.place: week.claims for week in weeks}
    whole = max(0, int((latest - train_end) / (length * WEEK)))
    found = []
    for first in range(1, whole * length + 2, length):
        count = sum(claims.get(place, 0) for place in range(first, first + length))
        found.append(Window(first, starts(train_end, first), starts(train_end, first + length), count))
    return found


def newest(weeks: Sequence[Week], min_claims: int) -> list[int]:
    """Places of the newest weeks after training, as few as hold enough claims; empty where all of them do not."""
    found, claims = list[int](), 0
    for week in sorted(weeks, key=lambda week: -week.place):
        if week.place <= 0:
            break
        found.append(week.place)
        claims += week.claims
        if claims >= min_claims:
            return found
    return []
