"""What late outcomes say of a champion: nothing yet."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime

from jobs.drift.measure import Measure
from shared.champion import Champion
from shared.job import Job


@dataclass(frozen=True)
class Late:
    """Late outcomes of a champion's claims."""

    job: Job
    found: Champion

    def due(self, _start: datetime, _end: datetime, _done: Set[str]) -> bool:
        """Whether there is something new to say of a window."""
        return False

    def measures(self, _start: datetime, _end: datetime, _done: Set[str]) -> list[Measure]:
        """What there is to say of a window that is due."""
        return []

    def append_cohorts(self) -> None:
        """Append to table ``cohorts`` what is new since it was looked at last."""


def late_outcomes(job: Job, found: Champion) -> Late:
    """Gather what became of a champion's claims."""
    return Late(job, found)
