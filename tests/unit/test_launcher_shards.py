"""The launcher: score divided into shards, each a task that is started, held and tried again by itself."""

from __future__ import annotations

import pytest

from deploy.launcher.main import Launcher
from tests.aws_world import World, event_of, launcher_of, loaded, queued


@pytest.fixture
def world() -> World:
    return World()


def _sharded(world: World, count: int = 4) -> Launcher:
    return launcher_of(world, score_shards=count)


def test_score_is_divided(world: World) -> None:
    """Each shard is a task of its own that knows its part, under a token and a group of its own; others stay whole."""
    launcher = _sharded(world)
    launcher.answer(event_of("DailySweep", line="demo"))
    commands = {
        task["group"]: task["overrides"]["containerOverrides"][0].get("command") for task in world.tasks.values()
    }
    shards = {f"score:demo:{place}/4": ["--shard", f"{place}/4"] for place in range(4)}
    assert commands == {"evaluate:demo:0/1": None, **shards}
    assert len({task["startedBy"] for task in world.tasks.values()}) == len(world.tokens) == 5
    launcher.answer(event_of("DailySweep", line="demo"))
    assert len(world.tasks) == 5


def test_something_else_is_asked_of_one_task(world: World) -> None:
    """An event that asks score for something else than its work asks it once."""
    _sharded(world).answer(event_of("ClaimsLoaded", line="demo", arguments=["--check"]))
    (task,) = world.tasks.values()
    assert task["group"] == "score:demo:0/1"
    assert task["overrides"]["containerOverrides"][0]["command"] == ["--check"]


def test_a_shard_at_work_holds_its_own_runs_alone(world: World) -> None:
    """While one shard is at work still, the others start anew; it follows once it ended."""
    launcher = _sharded(world, 2)
    launcher.answer(loaded("first"))
    one, other = world.tasks
    launcher.answer(world.stop(one, 0))
    assert launcher.answer(loaded("second"))[1] == f"score:demo:1/2: held by {other}"
    assert len(world.tasks) == 3
    launcher.answer(world.stop(other, 0))
    follower = list(world.tasks.values())[-1]
    assert follower["group"] == "score:demo:1/2"
    assert follower["overrides"]["containerOverrides"][0]["command"] == ["--shard", "1/2"]


@pytest.mark.parametrize("code", [75, 137, 143])
def test_a_shard_that_failed_is_started_again_as_the_same(world: World, code: int) -> None:
    """What may pass by itself is tried again on the same part, and on no other."""
    launcher = _sharded(world, 2)
    launcher.answer(loaded())
    _, shard = world.tasks
    launcher.answer(world.stop(shard, code))
    if code == 75:
        launcher.answer(queued(world))
    assert len(world.tasks) == 3
    again = list(world.tasks.values())[-1]
    assert (again["group"], again["overrides"]) == (world.tasks[shard]["group"], world.tasks[shard]["overrides"])
    launcher.answer(world.stop(again["taskArn"], 65))
    assert world.published[0]["Subject"] == "Claimsight dev: score 1/2 of demo failed (65)"


def test_a_message_of_an_older_release_is_understood(world: World) -> None:
    """A run that was queued before runs had shards is one of the whole line."""
    body = '{"stage": "score", "line": "demo", "cause": "e", "event": "ClaimsLoaded", "arguments": []}'
    _sharded(world).answer({"Records": [{"body": body}]})
    assert [task["group"] for task in world.tasks.values()] == ["score:demo:0/1"]
