"""The ECS cluster: start a run unless its group is at work, and see to it that what was held is caught up."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from .judge import NO_CAPACITY
from .runs import Run
from .settings import Settings

HOLDS = 3
"""How often a run is held by tasks that stop in that very moment, before that is an error."""

OVERDUE = timedelta(days=1)
"""No run takes as long: one that does hangs, and holds its schedule."""


@dataclass(frozen=True)
class Held:
    """A run that waits for a task at work; ``task`` is that one's ARN."""

    task: str
    overdue: bool

    def __str__(self) -> str:
        return f"held by {self.task}"


class LaunchError(Exception):
    """ECS started nothing; the event is to be delivered again."""


class Cluster:
    """One cluster, with the release that runs there.

    Parameters
    ----------
    ecs : botocore client
    settings : Settings
    """

    def __init__(self, ecs: Any, settings: Settings) -> None:
        self._ecs = ecs
        self._settings = settings

    def start(self, run: Run) -> str | Held:
        """Start a run, unless it was started before, or hold it while another one of its group is at work.

        A held run leaves a tag on the task at work; :func:`deploy.launcher.main.settle` reads it once that stopped. The
        event of the stop comes after the status: a task that has not stopped by the time it bears the tag is settled
        with it. However many events ask meanwhile, one run follows: it sees what all of them told of.

        Returns
        -------
        str or Held
            What was done: ``started …`` or ``started before``, or by what the run is held.

        Raises
        ------
        LaunchError
            There is no capacity, or ECS refuses for another reason.
        """
        for _ in range(HOLDS):
            at_work = self._at_work(run)
            if any(task.get("startedBy") == run.token for task in at_work):
                return "started before"
            if not at_work:
                return self._launch(run)
            if self._hold(at_work[0]):
                since = at_work[0].get("createdAt")
                return Held(at_work[0]["taskArn"], since is not None and datetime.now(UTC) - since > OVERDUE)
        raise LaunchError(f"{run.group}: tasks came and went; the event has to come again")

    def describe(self, task: str) -> dict[str, Any] | None:
        """A task with its tags; None if ECS has forgotten it (it keeps a stopped one for an hour)."""
        found = self._ecs.describe_tasks(cluster=self._settings.cluster, tasks=[task], include=["TAGS"])["tasks"]
        return found[0] if found else None

    def _at_work(self, run: Run) -> list[dict[str, Any]]:
        """Tasks of the run's group that have not been told to stop, but for the one in whose place it runs."""
        family = _family(self._settings.tasks[run.stage])
        pages = self._ecs.get_paginator("list_tasks").paginate(
            cluster=self._settings.cluster, family=family, desiredStatus="RUNNING"
        )
        tasks = [task for page in pages for task in page["taskArns"]]
        found = [
            task
            for start in range(0, len(tasks), 100)  # as many as one call describes
            for task in self._ecs.describe_tasks(
                cluster=self._settings.cluster, tasks=tasks[start : start + 100], include=["TAGS"]
            )["tasks"]
        ]
        return [
            task
            for task in found
            if task.get("group") == run.group
            and task["lastStatus"] != "STOPPED"
            and not task["taskArn"].endswith(f"/{run.cause}")
        ]

    def _hold(self, task: Mapping[str, Any]) -> bool:
        """Note on a task that it was asked for again; False if it stopped before that could be noted."""
        if any(tag["key"] == "held" for tag in task.get("tags", ())):
            return True
        try:
            self._ecs.tag_resource(resourceArn=task["taskArn"], tags=[{"key": "held", "value": "yes"}])
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("InvalidParameterException", "ResourceNotFoundException"):
                raise
            return False
        after = self.describe(task["taskArn"])
        return after is not None and after["lastStatus"] != "STOPPED"

    def _launch(self, run: Run) -> str:
        spot = self._settings.spot and not run.on_demand
        refusals = []
        for provider in ("FARGATE_SPOT", "FARGATE") if spot else ("FARGATE",):
            try:
                answer = self._ecs.run_task(**self._request(run, provider))
            except ClientError as error:
                if error.response["Error"]["Code"] == "ConflictException":
                    return "started before"  # by another release, say: the token is known, with other parameters
                reason = error.response["Error"].get("Message", "")
                if not reason.startswith(NO_CAPACITY):
                    raise
            else:
                if answer["tasks"]:
                    return f"started {answer['tasks'][0]['taskArn']} on {provider}"
                reason = "; ".join(failure.get("reason", "no reason given") for failure in answer["failures"])
                if not reason.startswith(NO_CAPACITY):
                    raise LaunchError(f"{run.group}: {provider}: {reason}")
            refusals.append(f"{provider}: {reason}")
        raise LaunchError(f"{run.group}: {', '.join(refusals)}")

    def _request(self, run: Run, provider: str) -> dict[str, Any]:
        override: dict[str, Any] = {
            "name": run.stage,
            "environment": [{"name": "CLAIMSIGHT_CONTRACT", "value": contract_of(run.line)}],
        }
        if run.command:
            override["command"] = run.command
        tags = {
            "stage": run.stage,
            "line": run.line,
            "event": run.event,
            "cause": run.cause,
            "attempt": str(run.attempt),
            "release": self._settings.release,
        }
        return {
            "cluster": self._settings.cluster,
            "taskDefinition": self._settings.tasks[run.stage],
            "count": 1,
            "capacityProviderStrategy": [{"capacityProvider": provider, "weight": 1}],
            "networkConfiguration": self._settings.network,
            "overrides": {"containerOverrides": [override]},
            "group": run.group,
            "startedBy": run.token,
            "clientToken": f"{run.token}-{provider}",
            "propagateTags": "TASK_DEFINITION",
            "tags": [{"key": key, "value": _taggable(value)} for key, value in tags.items()],
        }


def contract_of(line: str) -> str:
    """Where a line's contract lies in every image."""
    return f"/app/contracts/{line}.toml"


def _family(definition: str) -> str:
    """Family of a task definition.

    >>> _family("arn:aws:ecs:eu-west-1:1:task-definition/claimsight-dev-etl:7")
    'claimsight-dev-etl'
    """
    return definition.rpartition("/")[2].partition(":")[0]


def _taggable(value: str) -> str:
    return re.sub(r"[^\w .:/=+@-]", "_", value)[:256]
