"""The rehearsal of a release."""

# ruff: noqa: N802, N803 - methods and parameters have AWS's names

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from deploy.launcher import smoke
from shared.choreography import STAGES
from shared.errors import ExitCode
from tests.aws_world import ENVIRONMENT, RELEASE, TASKS, Refused, World

VERSION = "arn:aws:lambda:eu-west-1:123456789012:function:claimsight-dev-launcher:8"


class Stage(World):
    """A world in which tasks end by themselves, as told, at the second look."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: dict[str, int | None] = {}
        self.reports: list[str] = []

    def DescribeTasks(self, tasks: list[str], **asked: object) -> dict[str, Any]:
        answer = super().DescribeTasks(tasks, **asked)
        for task in tasks:
            name = self.tasks[task]["containers"][0]["name"]
            if name not in self.ends or self.ends[name] != -1:
                self.stop(task, self.ends.get(name, 0), reason="as told")
        return answer

    def GetFunctionConfiguration(self, FunctionName: str) -> dict[str, Any]:
        assert FunctionName == VERSION
        return {"Environment": {"Variables": ENVIRONMENT}}

    def PutLifecycleEventHookExecutionStatus(self, status: str, **_: object) -> None:
        self.reports.append(status)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Stage:
    world = Stage()
    client: Callable[[str], Any] = world.client
    monkeypatch.setattr(smoke, "POLL", 0.0)
    monkeypatch.setattr(boto3, "client", client)
    monkeypatch.setenv("NEW_VERSION", VERSION)
    return world


def _handle(seconds: float = 900, **event: str) -> dict[str, Any]:
    return smoke.handle(event, SimpleNamespace(get_remaining_time_in_millis=lambda: seconds * 1000))


def _names(world: World) -> list[tuple[str, str]]:
    return [
        (asked["overrides"]["containerOverrides"][0]["name"], asked["group"].rpartition(":")[2])
        for asked in world.called("RunTask")
    ]


def test_a_sound_release_succeeds(world: Stage) -> None:
    """The database is brought up for each line, then every stage looks whether it could run, and CodeDeploy is told."""
    answer = _handle(DeploymentId="d-1", LifecycleEventHookExecutionId="h-1")
    assert answer == {"status": "Succeeded", "problems": []}
    assert world.reports == ["Succeeded"]
    lines = ("demo", "vehicle")
    assert _names(world)[:2] == [("bootstrap", line) for line in lines]
    assert _names(world)[2:] == [(stage, line) for stage in STAGES for line in lines]
    for asked in world.called("RunTask"):
        (override,) = asked["overrides"]["containerOverrides"]
        assert asked["taskDefinition"] == TASKS[override["name"]]
        assert override.get("command") == (None if override["name"] == "bootstrap" else ["--check"])
        assert asked["capacityProviderStrategy"] == [{"capacityProvider": "FARGATE", "weight": 1}]


@pytest.mark.parametrize("code", [65, 78, None])
def test_a_failing_stage_fails_the_release(world: Stage, code: int | None) -> None:
    """One stage that does not pass fails the deployment, said with its reason and log; the others are waited for."""
    world.ends = {"score": code}
    answer = _handle(DeploymentId="d-1", LifecycleEventHookExecutionId="h-1")
    assert (answer["status"], world.reports, len(answer["problems"])) == ("Failed", ["Failed"], 2)
    expected = "never started" if code is None else ExitCode(code).sentence
    assert answer["problems"][0].startswith(f"score of demo: {expected}; as told; https://")
    assert all(task["lastStatus"] == "STOPPED" for task in world.tasks.values())


def test_no_stage_runs_on_a_database_that_was_not_brought_up(world: Stage) -> None:
    """If bootstrap fails, nothing else starts."""
    world.ends = {"bootstrap": 75}
    assert _handle()["status"] == "Failed"
    assert _names(world) == [("bootstrap", "demo")]


def test_a_stage_that_does_not_end_is_stopped_in_time(world: Stage) -> None:
    """What hangs fails the release within the function's time, and is stopped."""
    world.ends = {"drift": -1}
    started = time.monotonic()
    answer = _handle(smoke.MARGIN + 0.5)
    assert answer["problems"] == ["drift of demo: did not end in time", "drift of vehicle: did not end in time"]
    assert time.monotonic() - started < 5
    assert len(world.called("StopTask")) == 2


@pytest.mark.parametrize("refusal", ["RESOURCE:FARGATE", Refused("ClientException", "no such task definition")])
def test_a_task_that_cannot_be_started_fails_the_release(world: Stage, refusal: str | Refused) -> None:
    """Whatever AWS refuses is an answer to CodeDeploy, which would wait an hour for none."""
    world.refusals = [refusal]
    answer = _handle(DeploymentId="d-1", LifecycleEventHookExecutionId="h-1")
    assert (answer["status"], world.reports) == ("Failed", ["Failed"])


def test_by_hand_nobody_is_told(world: Stage) -> None:
    """Without a deployment the answer is the result, and CodeDeploy is not asked."""
    assert _handle() == {"status": "Succeeded", "problems": []}
    assert world.reports == []


def test_one_line_has_one_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rehearsal of one line is six tasks."""
    world = Stage()
    release = replace(RELEASE, lines=("demo",))
    monkeypatch.setattr(smoke, "POLL", 0.0)
    assert smoke.Rehearsal(world.client("ecs"), release, time.monotonic() + 900).run() == []
    assert len(world.tasks) == 1 + len(STAGES)
