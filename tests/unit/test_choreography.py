"""Which event starts which stage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.choreography import RULES, STAGES, schedules_due, started_by

MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)


def test_each_event_has_one_rule() -> None:
    """No event is listed twice."""
    events = [rule.event for rule in RULES]
    assert len(events) == len(set(events))


def test_every_stage_is_started_by_something() -> None:
    """No stage waits for an event that nobody puts."""
    assert {stage for rule in RULES for stage in rule.starts} == set(STAGES)


def test_every_event_has_a_consequence() -> None:
    """An event starts a stage, or people are told of it."""
    assert all(rule.starts or rule.tells for rule in RULES)


def test_who_puts_events() -> None:
    """An event is put by a stage, S3, the scheduler or the release, and only the scheduler's have a period."""
    assert {rule.put_by for rule in RULES} <= {*STAGES, "s3", "scheduler", "release"}
    assert {rule.put_by for rule in RULES if rule.every} == {"scheduler"}
    assert all(rule.every for rule in RULES if rule.put_by == "scheduler")


@pytest.mark.parametrize(
    ("event", "stages"),
    [
        ("Object Created", ("etl",)),
        ("ClaimsLoaded", ("score",)),
        ("DriftDetected", ("train",)),
        ("ScoringStopped", ()),
        ("ScoringResumed", ("score",)),
        ("ClaimsScored", ()),
        ("ModelTrained", ("evaluate",)),
        ("ModelPromoted", ("score",)),
        ("RankingTrained", ("score",)),
        ("ReleaseDeployed", ("train",)),
        ("DailySweep", ("evaluate", "score")),
    ],
)
def test_started_by(event: str, stages: tuple[str, ...]) -> None:
    """An event starts its stages in order."""
    assert started_by(event) == stages


def test_no_stage_depends_on_events_alone() -> None:
    """Every stage is started by a schedule as well, whatever becomes of the events."""
    swept = {stage for rule in RULES if rule.put_by == "scheduler" for stage in rule.starts}
    assert swept == set(STAGES)


def test_unknown_event() -> None:
    """An event without a rule is an error and starts nothing."""
    with pytest.raises(KeyError):
        started_by("Nonsense")


def test_no_time_no_schedule() -> None:
    """No schedule fires in an empty span, nor in one that runs backwards."""
    assert schedules_due(MONDAY, MONDAY) == ()
    assert schedules_due(MONDAY + WEEK, MONDAY) == ()


def test_a_schedule_fires_at_the_end_of_its_span() -> None:
    """A span takes in its end and not its start, so that spans laid end to end lose no firing and double none."""
    noon = MONDAY + 12 * HOUR
    assert schedules_due(noon - HOUR / 2, noon) == ("HourlyIngest",)
    assert schedules_due(noon, noon + HOUR / 2) == ()


def test_a_long_span_names_each_schedule_once() -> None:
    """A schedule that fires often in a span is named once."""
    due = schedules_due(MONDAY, MONDAY + 3 * WEEK)
    assert sorted(due) == sorted(rule.event for rule in RULES if rule.every)


@pytest.mark.parametrize("step", [HOUR / 2, HOUR, 5 * HOUR, DAY])
def test_weekly_schedules_fire_weekly(step: timedelta) -> None:
    """Over ten weeks a weekly schedule fires ten times, however the weeks are cut."""
    steps = int(10 * WEEK / step)
    fired = [event for i in range(steps) for event in schedules_due(MONDAY + i * step, MONDAY + (i + 1) * step)]
    assert fired.count("WeeklyDrift") == 10
    assert fired.count("DailySweep") == 70


def test_order_does_not_depend_on_the_zone() -> None:
    """Schedules follow the moment, not the zone that it is written in."""
    zoned = (MONDAY + DAY).astimezone()
    assert schedules_due(MONDAY, zoned) == schedules_due(MONDAY, MONDAY + DAY)
