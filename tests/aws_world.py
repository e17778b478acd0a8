"""As much of AWS as the launcher touches, in memory, behind real boto3 clients, which check what they send."""

# ruff: noqa: N802, N803 - methods and parameters have AWS's names

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import boto3

from deploy.launcher import settings
from deploy.launcher.main import Launcher
from shared.choreography import STAGES

REGION, ACCOUNT = "eu-west-1", "123456789012"
CLUSTER = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/claimsight-dev"
TASKS = {
    stage: f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/claimsight-dev-{stage}:7"
    for stage in (*STAGES, "bootstrap")
}
ENVIRONMENT = {
    "ENVIRONMENT": "dev",
    "LINES": "demo, vehicle",
    "CLUSTER": CLUSTER,
    "SUBNETS": "subnet-1,subnet-2",
    "SECURITY_GROUP": "sg-1",
    "ASSIGN_PUBLIC_IP": "DISABLED",
    "TASKS": json.dumps(TASKS),
    "RELEASE": "r1",
    "TOPIC_ARN": f"arn:aws:sns:{REGION}:{ACCOUNT}:claimsight-dev",
    "RETRY_QUEUE_URL": "https://queue.test/retry",
    "ARTIFACT_BUCKET": "artifacts",
    "SPOT": "1",
    "SCORE_SHARDS": "1",
    "BUS": "claimsight-dev",
    "LOG_GROUP_PREFIX": "/claimsight/dev",
}
RELEASE = settings.read(ENVIRONMENT)
_SESSION = boto3.Session("none", "none", region_name=REGION)


class Refused(Exception):  # noqa: N818 - an answer of AWS, not an error of ours
    """What AWS answers instead of doing it."""

    def __init__(self, code: str, message: str = "", status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.answer = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
        self.status = status


class World:
    """State that the answers come from; a method named after an operation answers it.

    Attributes
    ----------
    refusals : list
        For each RunTask to come: a reason of ``failures``, an error, or None to let it start.
    """

    def __init__(self) -> None:
        self.tasks: dict[str, dict[str, Any]] = {}
        self.tokens: dict[str, str] = {}
        self.refusals: list[str | Refused | None] = []
        self.messages: list[dict[str, Any]] = []
        self.published: list[dict[str, Any]] = []
        self.objects: dict[str, bytes] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._number = itertools.count(1)

    def client(self, service: str) -> Any:
        """A real client of a service, answered from here."""
        client = _SESSION.client(service)
        asked: dict[str, Any] = {}

        def remember(params: dict[str, Any], **_: object) -> None:
            asked.clear()
            asked.update(params)

        def answer(model: Any, **_: object) -> tuple[Any, dict[str, Any]]:
            self.calls.append((model.name, dict(asked)))
            try:
                given = getattr(self, model.name)(**asked)
            except Refused as refused:
                return SimpleNamespace(status_code=refused.status), refused.answer
            return SimpleNamespace(status_code=200), {"ResponseMetadata": {"HTTPStatusCode": 200}, **(given or {})}

        client.meta.events.register(f"provide-client-params.{service}", remember)
        client.meta.events.register(f"before-call.{service}", answer)
        return client

    def called(self, operation: str) -> list[dict[str, Any]]:
        """Parameters of each call of an operation so far."""
        return [parameters for name, parameters in self.calls if name == operation]

    def stop(
        self, task: str, exit_code: int | None, *, code: str = "EssentialContainerExited", reason: str = "ended"
    ) -> dict[str, Any]:
        """Let a task stop; the event that ECS sends of it."""
        found = self.tasks[task]
        found.update(lastStatus="STOPPED", desiredStatus="STOPPED", stopCode=code, stoppedReason=reason)
        if exit_code is not None:
            found["containers"][0]["exitCode"] = exit_code
        told = {key: value for key, value in found.items() if key != "tags"}
        return {"id": "stop", "detail-type": "ECS Task State Change", "source": "aws.ecs", "detail": told}

    def RunTask(self, **asked: Any) -> dict[str, Any]:
        refusal = self.refusals.pop(0) if self.refusals else None
        if isinstance(refusal, Refused):
            raise refusal
        if refusal:
            return {"tasks": [], "failures": [{"reason": refusal}]}
        known = self.tokens.get(asked.get("clientToken", ""))
        if known:
            return {"tasks": [self.tasks[known]], "failures": []}
        override = asked["overrides"]["containerOverrides"][0]
        task = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/claimsight-dev/{next(self._number):032x}"
        self.tasks[task] = {
            "taskArn": task,
            "clusterArn": asked["cluster"],
            "taskDefinitionArn": asked["taskDefinition"],
            "group": asked["group"],
            "startedBy": asked["startedBy"],
            "tags": list(asked["tags"]),
            "overrides": asked["overrides"],
            "capacityProviderName": asked["capacityProviderStrategy"][0]["capacityProvider"],
            "lastStatus": "PENDING",
            "desiredStatus": "RUNNING",
            "containers": [{"name": override["name"]}],
        }
        if "clientToken" in asked:
            self.tokens[asked["clientToken"]] = task
        return {"tasks": [self.tasks[task]], "failures": []}

    def ListTasks(self, family: str, desiredStatus: str, **_: object) -> dict[str, Any]:
        return {
            "taskArns": [
                task
                for task, found in self.tasks.items()
                if f"/{family}:" in found["taskDefinitionArn"] and found["desiredStatus"] == desiredStatus
            ]
        }

    def DescribeTasks(self, tasks: list[str], **_: object) -> dict[str, Any]:
        return {"tasks": [dict(self.tasks[task]) for task in tasks if task in self.tasks], "failures": []}

    def TagResource(self, resourceArn: str, tags: list[Mapping[str, str]]) -> None:
        if self.tasks[resourceArn]["lastStatus"] == "STOPPED":
            raise Refused("InvalidParameterException", "The specified task is stopped.")
        self.tasks[resourceArn]["tags"] += tags

    def StopTask(self, task: str, **_: object) -> dict[str, Any]:
        self.stop(task, 143, code="UserInitiated")
        return {"task": self.tasks[task]}

    def SendMessage(self, **asked: Any) -> dict[str, Any]:
        self.messages.append(asked)
        return {"MessageId": "1"}

    def Publish(self, **asked: Any) -> dict[str, Any]:
        self.published.append(asked)
        return {"MessageId": "1"}

    def PutObject(self, Key: str, IfNoneMatch: str = "", Body: bytes = b"", **_: object) -> None:
        if IfNoneMatch == "*" and Key in self.objects:
            raise Refused("PreconditionFailed", status=412)
        self.objects[Key] = Body

    def DeleteObject(self, Key: str, **_: object) -> None:
        self.objects.pop(Key, None)


def launcher_of(world: World, **changes: Any) -> Launcher:
    """A launcher in a world, of a release that differs in some settings."""
    return Launcher(replace(RELEASE, **changes), *map(world.client, ("ecs", "sqs", "sns", "s3")))


def event_of(name: str, identity: str = "e-1", **detail: Any) -> dict[str, Any]:
    """An event as EventBridge gives it."""
    return {"id": identity, "detail-type": name, "source": "claimsight", "detail": detail}


def loaded(identity: str = "e-1") -> dict[str, Any]:
    """What etl puts when it has loaded claims."""
    return event_of("ClaimsLoaded", identity, line="demo")


def queued(world: World) -> dict[str, Any]:
    """What Lambda gets of the newest message."""
    return {"Records": [{"messageId": "m", "body": world.messages[-1]["MessageBody"]}]}


def tags_of(task: dict[str, Any]) -> dict[str, str]:
    """Tags of a task, by name."""
    return {tag["key"]: tag["value"] for tag in task["tags"]}
