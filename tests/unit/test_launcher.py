"""The launcher: from events to runs, from stopped tasks to further runs or one notification."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from deploy.launcher.cluster import LaunchError
from deploy.launcher.main import Launcher
from deploy.launcher.runs import SHARDED, WHOLE, Run, runs_for
from shared import shard
from shared.choreography import RULES
from shared.errors import ExitCode
from tests.aws_world import RELEASE, TASKS, Refused, World, event_of, launcher_of, loaded, queued, tags_of

NO_ROOM = "Capacity is unavailable at this time. Please try again later or in a different availability zone"


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def launcher(world: World) -> Launcher:
    return launcher_of(world)


def test_an_event_starts_its_stage_on_its_line(world: World, launcher: Launcher) -> None:
    """ClaimsLoaded of a line starts score with that line's contract, on Spot, tagged with what asked for it."""
    launcher.answer(loaded())
    (asked,) = world.called("RunTask")
    assert asked["taskDefinition"] == TASKS["score"]
    assert asked["capacityProviderStrategy"] == [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    (override,) = asked["overrides"]["containerOverrides"]
    assert override["name"] == "score"
    assert override["environment"] == [{"name": "CLAIMSIGHT_CONTRACT", "value": "/app/contracts/demo.toml"}]
    assert asked["group"] == "score:demo:0/1"
    assert len(asked["startedBy"]) <= 36
    assert len(asked["clientToken"]) <= 64
    assert tags_of(asked) == {
        "stage": "score",
        "line": "demo",
        "event": "ClaimsLoaded",
        "cause": "e-1",
        "attempt": "0",
        "release": "r1",
    }


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.event)
def test_every_rule_is_followed_for_every_line(rule: Any) -> None:
    """An event that names no line starts its stages, in order, on all lines."""
    runs = runs_for(event_of(rule.event), ["demo", "vehicle"])
    assert [(run.stage, run.line) for run in runs] == [
        (stage, line) for stage in rule.starts for line in ("demo", "vehicle")
    ]


def test_an_object_names_its_line(world: World, launcher: Launcher) -> None:
    """An object in the drop starts etl for the line that it lies below, and none for a line that is not served."""
    for key in ("drop/vehicle/claims/a.csv", "drop/boats/claims/a.csv", "drop/demo", "drop/a.csv", "elsewhere"):
        launcher.answer(event_of("Object Created", key, bucket={"name": "b"}, object={"key": key}))
    assert [task["group"] for task in world.tasks.values()] == ["etl:vehicle:0/1"]


def test_flags_are_passed_on_and_values_are_not(world: World, launcher: Launcher) -> None:
    """An event may ask for a bare flag; one with a value, which may be a person's, is refused without repeating it."""
    launcher.answer(event_of("HourlyIngest", line="demo", arguments=["--requeue"]))
    assert world.called("RunTask")[0]["overrides"]["containerOverrides"][0]["command"] == ["--requeue"]
    with pytest.raises(ValueError, match="bare flags") as refused:
        launcher.answer(event_of("HourlyIngest", line="demo", arguments=["--forget", "Ada Lovelace"]))
    assert "Ada" not in str(refused.value)


def test_an_event_without_a_rule_is_an_error(launcher: Launcher) -> None:
    """What no rule knows is raised, and so ends in the dead-letter queue."""
    with pytest.raises(KeyError):
        launcher.answer(event_of("Nonsense"))


def test_a_doubled_event_starts_one_task(world: World, launcher: Launcher) -> None:
    """The same event again starts nothing, neither while the task runs nor after it ended."""
    launcher.answer(loaded())
    assert launcher.answer(loaded()) == ["score:demo:0/1: started before"]
    (task,) = world.tasks
    launcher.answer(world.stop(task, 0))
    launcher.answer(loaded())
    assert len(world.tasks) == 1


def test_a_doubled_event_across_a_release(world: World, launcher: Launcher) -> None:
    """ECS refuses a known token with other parameters: that run was started before."""
    world.refusals = [Refused("ConflictException")]
    assert launcher.answer(loaded()) == ["score:demo:0/1: started before"]


def test_other_lines_do_not_wait(world: World, launcher: Launcher) -> None:
    """A run of one line holds no run of another."""
    launcher.answer(event_of("WeeklyTraining"))
    assert {task["group"] for task in world.tasks.values()} == {"train:demo:0/1", "train:vehicle:0/1"}


def test_an_overlapping_run_is_held_and_caught_up(world: World, launcher: Launcher) -> None:
    """Of all events that come while a run is at work, one run follows when that has ended."""
    launcher.answer(loaded("first"))
    (first,) = world.tasks
    for number in range(5):
        assert launcher.answer(loaded(f"later-{number}")) == [f"score:demo:0/1: held by {first}"]
    assert len(world.called("TagResource")) == 1
    stop = world.stop(first, 0)
    launcher.answer(stop)
    launcher.answer(stop)
    assert len(world.tasks) == 2
    follower = list(world.tasks.values())[1]
    assert (follower["group"], tags_of(follower)["attempt"]) == ("score:demo:0/1", "0")
    launcher.answer(world.stop(follower["taskArn"], 0))
    assert len(world.tasks) == 2


@pytest.mark.parametrize("moment", ["before the tag", "after the tag"])
def test_nothing_is_lost_when_a_task_stops_while_a_run_is_held(
    world: World, launcher: Launcher, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that stops in the very moment in which it is to hold a run holds none: the run is started."""
    launcher.answer(loaded("first"))
    (first,) = world.tasks
    tag = world.TagResource

    def stop_meanwhile(**asked: Any) -> None:
        monkeypatch.setattr(world, "TagResource", tag)
        if moment == "before the tag":
            world.stop(first, 0)
        tag(**asked)
        world.stop(first, 0)

    monkeypatch.setattr(world, "TagResource", stop_meanwhile)
    launcher.answer(loaded("second"))
    assert [task["lastStatus"] for task in world.tasks.values()] == ["STOPPED", "PENDING"]


def test_a_run_that_is_tried_again_covers_what_it_held(world: World, launcher: Launcher) -> None:
    """The retry starts later than the held event came, so no other run follows."""
    launcher.answer(loaded("first"))
    (first,) = world.tasks
    launcher.answer(loaded("second"))
    launcher.answer(world.stop(first, 75))
    assert (len(world.tasks), len(world.messages)) == (1, 1)


def test_spot_falls_back_on_demand(world: World, launcher: Launcher) -> None:
    """Where there is no Spot capacity, the run starts at once on demand."""
    for refusal in (NO_ROOM, Refused("ClientException", NO_ROOM), "RESOURCE:FARGATE"):
        world.refusals = [refusal]
        launcher.answer(loaded(str(refusal)))
        task = list(world.tasks.values())[-1]
        assert task["capacityProviderName"] == "FARGATE"
        world.stop(task["taskArn"], 0)


def test_no_capacity_at_all_is_raised(world: World, launcher: Launcher) -> None:
    """Without any capacity the event fails, so that Lambda delivers it again; that starts it, under the same token."""
    world.refusals = [NO_ROOM, NO_ROOM]
    with pytest.raises(ExceptionGroup) as raised:
        launcher.answer(loaded())
    assert raised.group_contains(LaunchError, match="FARGATE_SPOT: Capacity.*FARGATE: Capacity")
    launcher.answer(loaded())
    assert len(world.tasks) == 1


@pytest.mark.parametrize("refusal", ["AGENT", Refused("AccessDeniedException"), Refused("ThrottlingException")])
def test_other_failures_are_raised_and_keep_no_other_run(
    world: World, launcher: Launcher, refusal: str | Refused
) -> None:
    """A failure of RunTask is an error, and the event's other runs are started all the same."""
    world.refusals = [refusal]
    with pytest.raises(ExceptionGroup, match="1 of 4 runs"):
        launcher.answer(event_of("DailySweep"))
    assert len(world.tasks) == 3


def test_without_spot(world: World) -> None:
    """Spot can be switched off."""
    launcher_of(world, spot=False).answer(loaded())
    (task,) = world.tasks.values()
    assert task["capacityProviderName"] == "FARGATE"


@pytest.mark.parametrize("code", [1, 2, 65, 70, 78, 139, None])
def test_who_has_to_act_is_told_once(world: World, launcher: Launcher, code: int | None) -> None:
    """A failure is told at once, and once, with stage, line, sentence, reason and log, however often it is reported."""
    launcher.answer(loaded())
    (task,) = world.tasks
    stop = world.stop(task, code, reason="CannotPullContainerError: no such image" if code is None else "ended")
    launcher.answer(stop)
    launcher.answer(stop)
    (notice,) = world.published
    assert notice["TopicArn"] == RELEASE.topic
    expected = "never started" if code is None else f"failed ({code})"
    assert notice["Subject"] == f"Claimsight dev: score of demo {expected}"
    for part in ("score of demo", stop["detail"]["stoppedReason"], "$252Fclaimsight$252Fdev$252Fscore", "release  r1"):
        assert part in notice["Message"]
    if code in set(ExitCode):
        assert ExitCode(code).sentence in notice["Message"]
    assert (len(world.tasks), world.messages) == (1, [])


def test_success_tells_nobody(world: World, launcher: Launcher) -> None:
    """A task that did its work has no consequence."""
    launcher.answer(loaded())
    (task,) = world.tasks
    assert launcher.answer(world.stop(task, 0)) == []
    assert (len(world.tasks), world.messages, world.published) == (1, [], [])


def test_a_notice_that_could_not_be_sent_is_sent_later(
    world: World, launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If SNS fails, so does the event, and its next delivery tells."""
    launcher.answer(loaded())
    (task,) = world.tasks
    stop = world.stop(task, 65)

    def refuse(**_: object) -> None:
        raise Refused("InternalError")

    with monkeypatch.context() as broken:
        broken.setattr(world, "Publish", refuse)
        with pytest.raises(Exception, match="InternalError"):
            launcher.answer(stop)
    launcher.answer(stop)
    assert len(world.published) == 1


def test_what_may_pass_is_tried_again_and_then_told(world: World, launcher: Launcher) -> None:
    """75 is tried again after 60, 300 and 900 seconds, each time with another token, and told after the last."""
    launcher.answer(loaded())
    for tries, delay in enumerate((60, 300, 900), start=1):
        stop = world.stop(list(world.tasks)[-1], 75)
        launcher.answer(stop)
        assert (len(world.messages), world.messages[-1]["DelaySeconds"]) == (tries, delay)
        launcher.answer(queued(world))
        launcher.answer(queued(world))
        assert len(world.tasks) == tries + 1
    assert len({task["startedBy"] for task in world.tasks.values()}) == 4
    assert world.published == []
    launcher.answer(world.stop(list(world.tasks)[-1], 75))
    assert len(world.messages) == 3
    assert "exit code 75" in world.published[0]["Message"]
    assert "4. try" in world.published[0]["Message"]


def test_a_doubled_report_of_75_starts_one_task(world: World, launcher: Launcher) -> None:
    """Two messages from one stop lead to one further run."""
    launcher.answer(loaded())
    (task,) = world.tasks
    stop = world.stop(task, 75)
    for _ in range(2):
        launcher.answer(stop)
        launcher.answer(queued(world))
    assert len(world.tasks) == 2


@pytest.mark.parametrize(
    ("code", "stop_code", "provider"),
    [
        (143, "SpotInterruption", "FARGATE"),
        (137, "SpotInterruption", "FARGATE"),
        (None, "SpotInterruption", "FARGATE"),
        (143, "UserInitiated", "FARGATE_SPOT"),
    ],
)
def test_a_polite_stop_is_made_good_silently(
    world: World, launcher: Launcher, code: int | None, stop_code: str, provider: str
) -> None:
    """A run that was stopped starts again at once, with its arguments; on demand, if Spot took its place away."""
    launcher.answer(event_of("HourlyIngest", line="demo", arguments=["--requeue"]))
    (first,) = world.tasks
    stop = world.stop(first, code, code=stop_code)
    launcher.answer(stop)
    launcher.answer(stop)
    _, again = world.tasks.values()
    assert again["capacityProviderName"] == provider
    assert again["overrides"] == world.tasks[first]["overrides"]
    assert (tags_of(again)["attempt"], world.published, world.messages) == ("0", [], [])


def test_killed_once_is_made_good_and_twice_is_told(world: World, launcher: Launcher) -> None:
    """137 starts again at once, silently; the second in a row is told."""
    launcher.answer(loaded())
    launcher.answer(world.stop(list(world.tasks)[-1], 137, reason="OutOfMemoryError: container killed"))
    assert (len(world.tasks), world.published) == (2, [])
    launcher.answer(world.stop(list(world.tasks)[-1], 137, reason="OutOfMemoryError: container killed"))
    assert len(world.tasks) == 2
    assert ExitCode.KILLED.sentence in world.published[0]["Message"]
    assert "OutOfMemoryError" in world.published[0]["Message"]


def test_capacity_that_vanishes_after_the_start(world: World, launcher: Launcher) -> None:
    """A Spot task that finds no room after all starts again on demand; on demand it waits as for any service."""
    launcher.answer(loaded())
    (first,) = world.tasks
    launcher.answer(world.stop(first, None, code="TaskFailedToStart", reason=NO_ROOM))
    _, second = world.tasks
    assert world.tasks[second]["capacityProviderName"] == "FARGATE"
    launcher.answer(world.stop(second, None, code="TaskFailedToStart", reason=NO_ROOM))
    assert [message["DelaySeconds"] for message in world.messages] == [60]
    assert world.published == []


def test_tasks_of_others_are_left_alone(world: World, launcher: Launcher) -> None:
    """Rehearsals, services and tasks started by hand are neither judged nor told of."""
    launcher.answer(loaded())
    (task,) = world.tasks
    for group in ("smoke:score:demo", "family:claimsight-dev-score", "service:claimsight-dev-mlflow", ""):
        world.tasks[task]["group"] = group
        assert launcher.answer(world.stop(task, 1)) == []
    assert world.published == []


def test_a_task_that_ecs_has_forgotten_is_told_of(world: World, launcher: Launcher) -> None:
    """An hour later ECS knows no tags: what would have been tried again is told instead."""
    launcher.answer(loaded())
    (task,) = world.tasks
    stop = world.stop(task, 75)
    world.tasks.clear()
    launcher.answer(stop)
    assert (len(world.published), world.messages) == (1, [])


def test_tokens_tell_runs_apart() -> None:
    """Another cause, stage, line or attempt is another token; capacity and arguments are not."""
    run = Run("score", "demo", "e", "ClaimsLoaded")
    others = [replace(run, **change) for change in ({"cause": "f"}, {"stage": "etl"}, {"line": "l"}, {"attempt": 1})]
    assert all(one.token != other.token for one, other in pairwise([run, *others]))
    assert replace(run, on_demand=True).token == run.token


def test_the_shard_is_the_one_of_the_lock() -> None:
    """The launcher and the stages' locks divide the work alike."""
    assert str(shard.WHOLE) == WHOLE
    assert {SHARDED} == shard.DIVIDED
