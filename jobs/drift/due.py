"""Decide which windows of time are to be measured, and of which only the ranking is still to be judged."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime, timedelta

MIN_FRAUDS = 10
"""Frauds that a window needs before its ranking is judged."""


@dataclass(frozen=True)
class Window:
    """A stretch of time, open at its start and closed at its end, and how many claims fell into it.

    Attributes
    ----------
    frauds, clean : int
        Claims whose outcome is known.
    """

    start: datetime
    end: datetime
    claims: int = 0
    frauds: int = 0
    clean: int = 0

    @property
    def rankable(self) -> bool:
        """Whether enough outcomes are known to judge how the model ranked its claims."""
        return rankable(self.frauds, self.clean)

    def due(self, done: Set[str], min_claims: int) -> bool:
        """Whether there is something to measure that has not been.

        Parameters
        ----------
        done : set of str
            Metrics that stand already.
        """
        if self.claims < min_claims:
            return False
        return "psi" not in done or ("roc_auc" not in done and self.rankable)


def rankable(frauds: int, clean: int) -> bool:
    """Whether so many frauds and others make a ranking that can be judged.

    >>> rankable(10, 1), rankable(10, 0), rankable(9, 100)
    (True, False, False)
    """
    return frauds >= MIN_FRAUDS and clean > 0


def windows(train_end: datetime, last_event: datetime, length: timedelta) -> list[tuple[datetime, datetime]]:
    """Cut the time after training into whole windows: each open at its start, closed at its end.

    >>> from datetime import UTC
    >>> day = datetime(2024, 1, 1, tzinfo=UTC)
    >>> len(windows(day, day + timedelta(days=60), timedelta(days=28)))
    2
    """
    count = max(0, int((last_event - train_end) / length))
    return [(train_end + length * step, train_end + length * (step + 1)) for step in range(count)]
