"""Which event starts which stage: the one table that production's rules and the local run both follow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Stage = Literal["etl", "train", "evaluate", "score", "drift"]
STAGES: tuple[Stage, ...] = ("etl", "train", "evaluate", "score", "drift")
"""In the order in which a claim meets them."""


@dataclass(frozen=True)
class Rule:
    """An event, and the stages it starts.

    Attributes
    ----------
    event : str
        Its detail type on the bus, or the name of the schedule.
    put_by : str
        Who puts it: a stage, S3, the scheduler or the release.
    starts : tuple of Stage
        In the order in which they are started.
    every : timedelta, optional
        For a schedule, the time between two of its events.
    tells : bool
        Whether people are told of it.
    """

    event: str
    put_by: str
    starts: tuple[Stage, ...]
    every: timedelta | None = None
    tells: bool = False


RULES: tuple[Rule, ...] = (
    Rule("Object Created", "s3", ("etl",)),
    Rule("HourlyIngest", "scheduler", ("etl",), timedelta(hours=1)),
    Rule("ClaimsLoaded", "etl", ("score",)),
    Rule("WeeklyTraining", "scheduler", ("train",), timedelta(days=7)),
    Rule("ClaimsScored", "score", (), tells=True),
    Rule("DriftDetected", "drift", ("train",), tells=True),
    Rule("ScoringStopped", "drift", (), tells=True),
    Rule("ScoringResumed", "drift", ("score",), tells=True),
    Rule("ModelTrained", "train", ("evaluate",)),
    Rule("RankingTrained", "train", ("score",)),
    Rule("ModelPromoted", "evaluate", ("score",)),  # and by the console, after a rollback
    Rule("DailySweep", "scheduler", ("evaluate", "score"), timedelta(days=1)),
    Rule("ReleaseDeployed", "release", ("train",)),
    Rule("WeeklyDrift", "scheduler", ("drift",), timedelta(days=7)),
)


def started_by(event: str) -> tuple[Stage, ...]:
    """Stages that an event starts, in order.

    Raises
    ------
    KeyError
        No rule knows the event.

    >>> started_by("DailySweep")
    ('evaluate', 'score')
    """
    return {rule.event: rule.starts for rule in RULES}[event]


def schedules_due(since: datetime, until: datetime) -> tuple[str, ...]:
    """Schedules that fire at least once in the half-open span from `since` to `until`.

    A schedule fires at whole multiples of its period counted from the Unix epoch; one that fires often within the span
    is named once, since a stage does all that remains to be done.

    >>> from datetime import UTC
    >>> monday = datetime(2024, 1, 1, tzinfo=UTC)
    >>> schedules_due(monday, monday + timedelta(hours=2))
    ('HourlyIngest',)
    """
    return tuple(
        rule.event
        for rule in RULES
        if rule.every is not None
        and since.timestamp() // rule.every.total_seconds() < until.timestamp() // rule.every.total_seconds()
    )
