"""The launcher: what people are told of, and how often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from deploy.launcher.main import Launcher
from deploy.launcher.notice import EVENTS, SUBJECT_LIMIT
from shared.choreography import RULES
from tests.aws_world import RELEASE, World, event_of, launcher_of, loaded


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def launcher(world: World) -> Launcher:
    return launcher_of(world)


def test_a_refusal_to_score_is_told_once_until_it_scores(world: World) -> None:
    """While drift has stopped it score ends with 70 each time, in each shard: that is told once, and again later."""
    launcher = launcher_of(world, score_shards=2)

    def sweep(name: str, code: int) -> int:
        launcher.answer(event_of("ClaimsLoaded", name, line="demo"))
        for task in [task for task, found in world.tasks.items() if found["lastStatus"] != "STOPPED"]:
            launcher.answer(world.stop(task, code))
        return len(world.published)

    assert [sweep("a", 70), sweep("b", 70), sweep("c", 0), sweep("d", 70)] == [1, 1, 1, 2]
    assert "exit code 70" in world.published[0]["Message"]


def test_other_failures_are_told_each_time(world: World, launcher: Launcher) -> None:
    """A model that evaluate cannot read may be another one tomorrow."""
    for name in "ab":
        launcher.answer(event_of("ModelTrained", name, line="demo"))
        launcher.answer(world.stop(list(world.tasks)[-1], 70))
    assert len(world.published) == 2


@pytest.mark.parametrize(("hours", "told"), [(23, 0), (25, 1)])
def test_a_task_that_does_not_end_is_told_once(world: World, launcher: Launcher, hours: int, told: int) -> None:
    """What has held its next run for more than a day is told, however often that is asked for; stopped, it goes on."""
    launcher.answer(loaded("first"))
    (task,) = world.tasks
    world.tasks[task]["createdAt"] = datetime.now(UTC) - timedelta(hours=hours)
    for name in "bc":
        launcher.answer(loaded(name))
    assert len(world.published) == told
    if told:
        assert world.published[0]["Subject"] == "Claimsight dev: score of demo does not end"
        assert task.rpartition("/")[2] in world.published[0]["Message"]
    launcher.answer(world.stop(task, 143))
    assert (len(world.tasks), len(world.published)) == (2, told)


DETAILS = {
    "ClaimsScored": {"model_version": 3, "claims": 900, "flagged": 40, "audited": 4, "alerts": 2},
    "DriftDetected": {"model_version": 3, "window_end": "2026-11-02 00:00:00+00:00"},
    "ScoringStopped": {"model_version": 3, "window_end": "2026-11-02 00:00:00+00:00", "reason": "amount: in cents"},
    "ScoringResumed": {"model_version": 3},
}


def test_each_event_for_people_has_its_words() -> None:
    """What the choreography says is told has a subject and a text, and nothing else has."""
    assert set(EVENTS) == set(DETAILS) == {rule.event for rule in RULES if rule.tells}


@pytest.mark.parametrize("name", DETAILS)
def test_people_are_told_of_an_event_once(world: World, launcher: Launcher, name: str) -> None:
    """A sentence names line and figures, in a subject that fits; the same event again says nothing."""
    event = event_of(name, line="demo", **DETAILS[name])
    launcher.answer(event)
    launcher.answer(event)
    (notice,) = world.published
    assert notice["TopicArn"] == RELEASE.topic
    assert notice["Subject"].startswith("Claimsight dev: ") and len(notice["Subject"]) <= SUBJECT_LIMIT
    assert "demo" in notice["Message"] and "{" not in notice["Message"]
    if "window_end" in event["detail"]:
        assert "to 2026-11-02 " in notice["Message"]
    started = {task["group"] for task in world.tasks.values()}
    assert started == {f"{stage}:demo:0/1" for rule in RULES if rule.event == name for stage in rule.starts}


def test_scored_claims_below_the_alert_amount_are_no_news(world: World, launcher: Launcher) -> None:
    """A run of score in which no claim exceeds it tells nobody, and starts nothing."""
    assert launcher.answer(event_of("ClaimsScored", line="demo", **DETAILS["ClaimsScored"] | {"alerts": 0})) == []
    assert (world.published, world.tasks) == ([], {})
