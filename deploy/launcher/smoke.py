"""The rehearsal of a release: each stage's new image, once, before any event reaches it.

CodeDeploy calls it before it shifts the alias; after the first deployment, which shifts nothing, the roll-out calls it.
What it rehearses is what the new version of the launcher was published with: nothing else is found good in its place.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import boto3

from shared.choreography import STAGES

from . import settings
from .cluster import contract_of
from .judge import sentence
from .notice import log_link

POLL = 3.0
"""Seconds between two looks at the tasks."""
MARGIN = 20.0
"""Seconds of the function's time kept back to stop what still runs, and to report."""


@dataclass(frozen=True)
class Part:
    """One task of the rehearsal: ``bootstrap``, which brings the database up to the release, or a stage."""

    name: str
    line: str
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} of {self.line}"


class Rehearsal:
    """What a rehearsal works with.

    Parameters
    ----------
    ecs : botocore client
    release : Settings
        What the new version was published with.
    deadline : float
        By ``time.monotonic``.
    """

    def __init__(self, ecs: Any, release: settings.Settings, deadline: float) -> None:
        self._ecs = ecs
        self._release = release
        self._deadline = deadline

    def run(self) -> list[str]:
        """Bring the database up to the release, then let all stages look whether they could run.

        Returns
        -------
        list of str
            What went wrong, one sentence a task; none if all is well.
        """
        for line in self._release.lines:
            if problems := self._play([Part("bootstrap", line)]):
                return problems
        return self._play([Part(stage, line, ("--check",)) for stage in STAGES for line in self._release.lines])

    def _play(self, parts: Iterable[Part]) -> list[str]:
        """Start tasks together, wait for all, and say what became of those that failed."""
        problems = []
        waiting = {}
        for part in parts:
            answer = self._ecs.run_task(**self._request(part))
            if answer["tasks"]:
                waiting[answer["tasks"][0]["taskArn"]] = part
            else:
                problems.append(f"{part}: {'; '.join(failure.get('reason', '') for failure in answer['failures'])}")
        while waiting and time.monotonic() < self._deadline:
            for task in self._ecs.describe_tasks(cluster=self._release.cluster, tasks=list(waiting))["tasks"]:
                if task["lastStatus"] == "STOPPED":
                    problems += self._problem(waiting.pop(task["taskArn"]), task)
            if waiting:
                time.sleep(POLL)
        for task, part in waiting.items():
            self._ecs.stop_task(cluster=self._release.cluster, task=task, reason="the rehearsal's time is over")
            problems.append(f"{part}: did not end in time")
        return problems

    def _problem(self, part: Part, task: Mapping[str, Any]) -> list[str]:
        container: Mapping[str, Any] = next((one for one in task["containers"] if one["name"] == part.name), {})
        exit_code = container.get("exitCode")
        if exit_code == 0:
            return []
        reason = container.get("reason") or task.get("stoppedReason") or "ECS gives no reason"
        identity = task["taskArn"].rsplit("/", 1)[-1]
        link = log_link(f"{self._release.logs}/{part.name}", f"task/{part.name}/{identity}", self._ecs.meta.region_name)
        return [f"{part}: {sentence(exit_code)}; {reason}; {link}"]

    def _request(self, part: Part) -> dict[str, Any]:
        override: dict[str, Any] = {
            "name": part.name,
            "environment": [{"name": "CLAIMSIGHT_CONTRACT", "value": contract_of(part.line)}],
        }
        if part.arguments:
            override["command"] = list(part.arguments)
        return {
            "cluster": self._release.cluster,
            "taskDefinition": self._release.tasks[part.name],
            "count": 1,
            "capacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 1}],
            "networkConfiguration": self._release.network,
            "overrides": {"containerOverrides": [override]},
            "group": f"smoke:{part.name}:{part.line}",  # not the launcher's: it tells nobody of their failure
            "startedBy": "smoke",
            "propagateTags": "TASK_DEFINITION",
            "tags": [{"key": "release", "value": self._release.release}, {"key": "line", "value": part.line}],
        }


def handle(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Rehearse the version that ``NEW_VERSION`` names, and report to CodeDeploy if it asked.

    Returns
    -------
    dict
        ``status``, ``Succeeded`` or ``Failed``, and ``problems``, one sentence each.
    """
    deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - MARGIN
    try:
        version = boto3.client("lambda").get_function_configuration(FunctionName=os.environ["NEW_VERSION"])
        release = settings.read(version["Environment"]["Variables"])
        problems = Rehearsal(boto3.client("ecs"), release, deadline).run()
    except Exception as error:  # whatever it is, the deployment must not wait an hour for an answer
        problems = [f"{type(error).__name__}: {error}"]
    status = "Failed" if problems else "Succeeded"
    for problem in problems:
        print(problem)
    if "DeploymentId" in event:
        boto3.client("codedeploy").put_lifecycle_event_hook_execution_status(
            deploymentId=event["DeploymentId"],
            lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
            status=status,
        )
    return {"status": status, "problems": problems}
