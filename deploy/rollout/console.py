"""The console's service on ECS, as far as a roll-out reads and changes it: how many tasks, and by CodeDeploy which."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .account import Account, RolloutError
from .release import CONSOLE

POLL = 5.0
"""Seconds between two looks at the service, or at a deployment."""
START_SECONDS = 600.0
"""In which all tasks that were asked for have to run."""
APPSPEC = Path(__file__).parents[1] / "appspec.yaml"


class Console:
    """The service of an environment; the stack ``console`` has made it.

    Parameters
    ----------
    account : Account
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._client = account.client
        self._cluster = f"claimsight-{account.environment}"
        self._name = f"{self._cluster}-{CONSOLE}"

    def serving(self) -> str:
        """Which group of targets people are led to: ``blue``, where it all begins, or ``green``."""
        outputs = self._account.outputs(CONSOLE)
        if "Listener" not in outputs:
            return "blue"
        (listener,) = self._client("elbv2").describe_listeners(ListenerArns=[outputs["Listener"]])["Listeners"]
        (action,) = listener["DefaultActions"]
        # CodeDeploy writes both groups with weights; CloudFormation writes the one.
        groups = action.get("ForwardConfig", {}).get("TargetGroups") or [{"TargetGroupArn": action["TargetGroupArn"]}]
        leading = max(groups, key=lambda group: group.get("Weight", 1))
        return "green" if leading["TargetGroupArn"] == outputs["GreenTargets"] else "blue"

    def revision(self) -> str:
        """Task definition of the tasks that people are led to."""
        service = self._service()
        primary = (tasks for tasks in service.get("taskSets", ()) if tasks["status"] == "PRIMARY")
        return str(next(primary, service)["taskDefinition"])

    @contextmanager
    def open(self, tasks: int, *, stay: bool) -> Iterator[None]:
        """Have the service run while the block lasts, as many tasks as it is to have.

        Parameters
        ----------
        tasks : int
        stay : bool
            Leave it open afterwards also where it was closed.

        Raises
        ------
        RolloutError
            They do not start.
        """
        closed = self._service()["desiredCount"] == 0
        try:
            self._count(tasks)
            yield
        finally:
            if closed and not stay:
                self._count(0)

    def shift(self, revision: str) -> None:
        """Let CodeDeploy bring up a revision beside the one that serves, have it checked, and lead people to it.

        Raises
        ------
        RolloutError
            It did not; people are led to where they were before.
        """
        codedeploy = self._client("codedeploy")
        appspec = APPSPEC.read_text().replace("<TASK_DEFINITION>", revision).replace("<CHECK>", f"{self._name}-check")
        # One that errs already would keep CodeDeploy from replacing it.
        blind = {"overrideAlarmConfiguration": {"enabled": False}} if self._errs() else {}
        identity = codedeploy.create_deployment(
            applicationName=self._name,
            deploymentGroupName=self._name,
            revision={"revisionType": "AppSpecContent", "appSpecContent": {"content": appspec}},
            **blind,
        )["deploymentId"]
        while (found := codedeploy.get_deployment(deploymentId=identity)["deploymentInfo"])["status"] not in (
            "Succeeded",
            "Failed",
            "Stopped",
        ):
            time.sleep(POLL)
        if found["status"] != "Succeeded":
            raise RolloutError(
                f"console: deployment {identity} {found['status'].lower()}: "
                f"{found.get('errorInformation', {}).get('message', 'CodeDeploy gives no reason')}",
                f"console: what its check found stands in the log /aws/lambda/{self._name}-check",
            )

    def check(self) -> list[str]:
        """Run the check where CodeDeploy does not: its problems."""
        answer = self._client("lambda").invoke(FunctionName=f"{self._name}-check", Payload=b"{}")
        said = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            return [str(said.get("errorMessage", "the check crashed"))]
        return list(said["problems"])

    def _errs(self) -> bool:
        """Whether the alarm is on by which CodeDeploy goes back."""
        alarms = self._client("cloudwatch").describe_alarms(AlarmNames=[f"{self._name}-errors"])["MetricAlarms"]
        return any(alarm["StateValue"] == "ALARM" for alarm in alarms)

    def _count(self, tasks: int) -> None:
        """Set how many tasks there are to be, and wait until as many run."""
        if self._service()["desiredCount"] != tasks:
            self._client("ecs").update_service(cluster=self._cluster, service=self._name, desiredCount=tasks)
        deadline = time.monotonic() + START_SECONDS
        while (service := self._service())["runningCount"] < tasks:
            if time.monotonic() > deadline:
                said = next((event["message"] for event in service.get("events", ())), "ECS gives no reason")
                raise RolloutError(f"console: {service['runningCount']} of {tasks} tasks run: {said}")
            time.sleep(POLL)

    def _service(self) -> dict[str, Any]:
        found: list[dict[str, Any]] = self._client("ecs").describe_services(
            cluster=self._cluster, services=[self._name]
        )["services"]
        if not found:
            raise RolloutError(f"{self._name} is not there: it was deleted by hand")
        return found[0]
