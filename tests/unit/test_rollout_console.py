"""Roll-outs of a console: stacks on a local AWS, the service and CodeDeploy, which that lacks, in memory."""

# ruff: noqa: N802, N803 - methods and parameters have AWS's names

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest
import yaml

from deploy.rollout import account, console, verbs, verify
from deploy.rollout.account import Account, RolloutError, Template
from deploy.rollout.console import Console
from shared.choreography import STAGES
from tests.aws_world import World
from tests.rollout_templates import CONSOLE, CONSOLE_DELIVERY, DATA, JOBS
from tests.s3 import S3, local_s3

IN_MEMORY = ("cloudwatch", "codedeploy", "ecs", "elbv2", "lambda")
CONFIGURED = {
    "Lines": "demo",
    "ConsoleCertificate": "arn:aws:acm:eu-west-1:123456789012:certificate/1",
    "ConsoleDomain": "claims.example.com",
    "ConsoleCidr": "203.0.113.0/24",
    "ConsoleTasks": "2",
}


class Service(World):
    """The console's service, its listener, and a CodeDeploy that brings up what it is told, or fails.

    Attributes
    ----------
    problems : list of str
        What the check finds.
    fails, stuck, errs : bool
        Whether the next deployments fail, no task starts, and what serves answers with errors.
    counts : list of int
        How many tasks there were to be, one after the other.
    """

    def __init__(self) -> None:
        super().__init__()
        self.problems: list[str] = []
        self.fails = self.stuck = self.errs = False
        self.counts = [0]
        self.revision = ""
        self.colour = "blue"
        self.deployments: list[dict[str, Any]] = []

    def DescribeServices(self, **_: object) -> dict[str, Any]:
        return {
            "services": [
                {
                    "desiredCount": self.counts[-1],
                    "runningCount": 0 if self.stuck else self.counts[-1],
                    "taskDefinition": "that of its first day",
                    "taskSets": [
                        {"status": "ACTIVE", "taskDefinition": "that which goes"},
                        {"status": "PRIMARY", "taskDefinition": self.revision},
                    ],
                    "events": [{"message": "unable to pull the image"}, {"message": "older"}],
                }
            ]
        }

    def UpdateService(self, desiredCount: int, **_: object) -> None:
        self.counts.append(desiredCount)

    def DescribeListeners(self, ListenerArns: list[str]) -> dict[str, Any]:
        assert ListenerArns == ["listener"]
        groups = [{"TargetGroupArn": name, "Weight": 100 * (name == self.colour)} for name in ("blue", "green")]
        return {"Listeners": [{"DefaultActions": [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]}]}

    def DescribeAlarms(self, AlarmNames: list[str]) -> dict[str, Any]:
        return {
            "MetricAlarms": [{"AlarmName": name, "StateValue": "ALARM" if self.errs else "OK"} for name in AlarmNames]
        }

    def DescribeTaskDefinition(self, taskDefinition: str) -> dict[str, Any]:
        return {"taskDefinition": {"containerDefinitions": [{"image": f"image of {taskDefinition}"}]}}

    def GetAlias(self, **_: object) -> dict[str, Any]:
        return {"FunctionVersion": "2"}

    def GetFunctionConfiguration(self, **_: object) -> dict[str, Any]:
        variables = {"RELEASE": "2.0a1b2c3d", "LINES": "demo", "TASKS": "{}"}
        return {"Environment": {"Variables": variables}, "LastModified": "today"}

    def GetDeploymentGroup(self, **_: object) -> None:
        """It is there."""

    def CreateDeployment(self, **asked: Any) -> dict[str, Any]:
        assert self.counts[-1] > 0, "nothing to bring up"
        self.deployments.append(asked)
        return {"deploymentId": f"d-{len(self.deployments)}"}

    def GetDeployment(self, deploymentId: str) -> dict[str, Any]:
        if len(self.called("GetDeployment")) % 2:
            return {"deploymentInfo": {"status": "InProgress"}}
        if self.fails:
            error = {"message": "the hook failed"}
            return {"deploymentInfo": {"status": "Failed", "errorInformation": error}}
        appspec = yaml.safe_load(self.deployments[-1]["revision"]["appSpecContent"]["content"])
        self.revision = appspec["Resources"][0]["Console"]["Properties"]["TaskDefinition"]
        self.colour = {"blue": "green", "green": "blue"}[self.colour]
        return {"deploymentInfo": {"status": "Succeeded"}}

    def Invoke(self, FunctionName: str, **_: object) -> dict[str, Any]:
        problems = self.problems if FunctionName.endswith("-console-check") else []
        return {"Payload": io.BytesIO(json.dumps({"problems": problems}).encode())}


@pytest.fixture(scope="module")
def aws() -> Iterator[S3]:
    with (
        tempfile.TemporaryDirectory(prefix="claimsight-test-", ignore_cleanup_errors=True) as folder,
        local_s3(Path(folder), services="") as served,
    ):
        yield served


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setattr(account, "POLL", 0.05)
    monkeypatch.setattr(console, "POLL", 0.0)
    monkeypatch.setattr(console, "START_SECONDS", 0.0)
    return Service()


@pytest.fixture
def context(aws: S3, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> verbs.Context:
    """An account with the stack of the data, that wants a console."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    urlopen(Request(f"{aws.endpoint}/_ministack/reset", method="POST")).close()
    for name, text in {"data": DATA, "jobs": JOBS, "console": CONSOLE, "console-delivery": CONSOLE_DELIVERY}.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    (tmp_path / "parameters").mkdir()
    monkeypatch.setattr(verbs, "TEMPLATES", tmp_path)
    _configure(tmp_path, **CONFIGURED)

    @cache
    def client(name: str) -> Any:
        return service.client(name) if name in IN_MEMORY else boto3.client(name)

    made = verbs.Context(Account("dev", client))
    verbs.provision(made, ("data",))
    return made


def _configure(folder: Path, **parameters: str) -> None:
    (folder / "parameters" / "dev.json").write_text(json.dumps({"Parameters": parameters}))


@pytest.fixture
def make(context: verbs.Context) -> Callable[..., None]:
    """Push images, make a release of them, and roll it out."""

    def make(identity: str, *, console: bool = True, rollout: bool = True) -> None:
        for name in (*STAGES, *(["console"] if console else [])):
            context.account.client("ecr").put_image(
                repositoryName=f"claimsight-dev/{name}",
                imageManifest=json.dumps({"schemaVersion": 2, "config": {"digest": identity + name}}),
                imageTag=f"release-{identity}",
            )
        verbs.record(context, f"release-{identity}", f"commit-{identity}")
        if rollout:
            verbs.rollout(context, identity)

    return make


@pytest.fixture
def first(context: verbs.Context, service: Service, make: Callable[..., None]) -> str:
    """A first console that serves; its revision."""
    make("1", rollout=False)
    # The service begins with the newest revision, which the stack makes just before it.
    begin = Account.outputs

    def outputs(self: Account, name: str) -> dict[str, str]:
        found = begin(self, name)
        service.revision = service.revision or found.get("Task", "")
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Account, "outputs", outputs)
        verbs.rollout(context, "1")
    return service.revision


def test_a_first_console_is_checked_and_stays_open(first: str, service: Service) -> None:
    """It shifts from nowhere, so the roll-out asks for the check itself; then as many tasks run as there should."""
    assert first.endswith(":1")
    assert service.deployments == []
    assert [asked["FunctionName"] for asked in service.called("Invoke")] == [
        "claimsight-dev-smoke",
        "claimsight-dev-console-check",
    ]
    assert service.counts == [0, 2]


def test_a_console_comes_after_the_jobs_by_codedeploy(
    context: verbs.Context, first: str, service: Service, make: Callable[..., None]
) -> None:
    """The next one is a revision that CodeDeploy brings up and has checked; CloudFormation knows whose turn it is."""
    make("2")
    assert service.revision == first.replace(":1", ":2")
    (deployment,) = service.deployments
    assert deployment["applicationName"] == deployment["deploymentGroupName"] == "claimsight-dev-console"
    appspec = yaml.safe_load(deployment["revision"]["appSpecContent"]["content"])
    assert appspec["Hooks"] == [{"AfterAllowTestTraffic": "claimsight-dev-console-check"}]
    assert service.counts == [0, 2]
    assert (context.account.parameters("console")["Serving"], service.colour) == ("blue", "green")
    make("3")
    assert (context.account.parameters("console")["Serving"], service.colour) == ("green", "blue")


def test_a_rollback_leads_to_the_image_before(
    context: verbs.Context, first: str, service: Service, make: Callable[..., None]
) -> None:
    """It is a deployment like any other: of what the release before had, checked before people get it."""
    before = context.account.parameters("console")["ImageConsole"]
    make("2")
    assert context.account.parameters("console")["ImageConsole"] != before
    verbs.rollback(context)
    assert context.account.parameters("console")["ImageConsole"] == before
    assert len(service.deployments) == 2
    assert service.revision == context.account.outputs("console")["Task"] != first


def test_whose_turn_it_is_is_no_change(
    context: verbs.Context, first: str, service: Service, make: Callable[..., None], capsys: Any
) -> None:
    """Status says which image people are led to, and that CodeDeploy has turned the listener is nothing to deploy."""
    make("2")
    capsys.readouterr()
    verbs.status(context)
    said = capsys.readouterr().out
    assert f"console  image of {service.revision}\n" in said
    assert "nothing would change" in said
    make("3", rollout=False)
    capsys.readouterr()
    verbs.diff(verbs.Context(context.account, dry_run=True), "3")
    said = capsys.readouterr().out
    assert "~ ImageConsole" in said
    assert "Serving" not in said


@pytest.mark.parametrize("errs", [False, True])
def test_a_console_that_errs_can_be_replaced(
    first: str, service: Service, make: Callable[..., None], errs: bool
) -> None:
    """An alarm that is on before would have CodeDeploy stop at once: it is looked at only where it is off."""
    service.errs = errs
    make("2")
    assert service.deployments[0].get("overrideAlarmConfiguration") == ({"enabled": False} if errs else None)


def test_a_refused_console_fails_the_roll_out_and_can_be_tried_again(
    context: verbs.Context, first: str, service: Service, make: Callable[..., None], capsys: Any
) -> None:
    """What served goes on, the jobs run the new release; the same command then tries the console alone."""
    service.fails = True
    with pytest.raises(RolloutError) as told:
        make("2")
    assert told.value.args[0] == "console: deployment d-1 failed: the hook failed"
    assert "/aws/lambda/claimsight-dev-console-check" in told.value.args[1]
    assert service.revision == first
    assert [one.release for one in context.account.deployments()] == ["1", "2"]
    service.fails = False
    capsys.readouterr()
    verbs.rollout(context, "2")
    assert "2 runs already" in capsys.readouterr().out
    assert service.revision != first


def test_a_closed_console_is_opened_for_its_check(first: str, service: Service, make: Callable[..., None]) -> None:
    """At night nothing runs: it is opened while it is replaced, and closed again, come what may."""
    service.counts = [0]
    make("2")
    assert service.counts == [0, 2, 0]
    assert service.revision != first
    service.fails = True
    with pytest.raises(RolloutError):
        make("3")
    assert service.counts == [0, 2, 0, 2, 0]


def test_a_console_that_does_not_start_is_told(first: str, service: Service, make: Callable[..., None]) -> None:
    """What ECS says last is the reason."""
    service.stuck = True
    with pytest.raises(RolloutError, match="0 of 2 tasks run: unable to pull the image"):
        make("2")


def test_a_first_check_that_fails_is_no_success(
    context: verbs.Context, service: Service, make: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its findings are told, and asked for again by the same command."""
    service.problems = ["1 of 50 claims are scored otherwise than by the batch"]
    monkeypatch.setattr(Console, "revision", lambda _: context.account.outputs("console")["Task"])
    for _ in range(2):
        with pytest.raises(RolloutError) as told:
            make("1") if not context.account.releases() else verbs.rollout(context, "1")
        assert told.value.args[1:] == tuple(service.problems)


@pytest.mark.parametrize("given", [{"ConsoleCertificate": ""}, {"console": False}, {"code_deploy": False}])
def test_no_console_is_deployed_where_none_is_wanted(
    context: verbs.Context, service: Service, make: Callable[..., None], given: dict[str, Any], tmp_path: Path
) -> None:
    """Without a certificate, an image or CodeDeploy the jobs are rolled out alone."""
    _configure(tmp_path, **{**CONFIGURED, "ConsoleCertificate": given.get("ConsoleCertificate", "arn:1")})
    make("1", console=given.get("console", True), rollout=False)
    verbs.rollout(verbs.Context(context.account, code_deploy=given.get("code_deploy", True)), "1")
    assert context.account.stack("jobs") is not None
    assert context.account.stack("console") is None
    assert service.counts == [0]


@pytest.mark.parametrize(
    ("parameter", "value", "problem"),
    [
        ("ConsoleLine", "boats", "console: the images have no contract for boats"),
        ("ConsoleCidr", "", "console: nobody reaches it"),
    ],
)
def test_a_console_is_verified_first(
    context: verbs.Context, make: Callable[..., None], tmp_path: Path, parameter: str, value: str, problem: str
) -> None:
    """What it would lack is told before anything is changed."""
    _configure(tmp_path, **{**CONFIGURED, parameter: value})
    verbs.provision(context, ("data",))
    make("1", rollout=False)
    with pytest.raises(verbs.NotVerifiedError) as told:
        verbs.rollout(context, "1")
    assert [reason.startswith(problem) for reason in told.value.args] == [True]
    assert context.account.stack("jobs") is None


def test_what_a_console_wants_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parameter that the template declares and nobody set is a finding."""
    monkeypatch.setattr(Account, "declared", lambda *_: {"ConsoleDomain": None, "ConsoleTasks": "1"})
    finding = verify._template(Account("dev", Service().client), "console", Template(""), {"ConsoleTasks": "1"})
    assert finding == verify.Finding("template of console", "it wants ConsoleDomain")


def test_a_release_of_before_leaves_the_console(
    context: verbs.Context, first: str, service: Service, make: Callable[..., None]
) -> None:
    """A release that has no console changes nothing of the one that serves."""
    make("0", console=False)
    assert (service.revision, service.deployments) == (first, [])


@pytest.mark.parametrize(
    ("action", "colour"),
    [
        ({"TargetGroupArn": "blue"}, "blue"),
        ({"TargetGroupArn": "green"}, "green"),
        (
            {
                "ForwardConfig": {
                    "TargetGroups": [{"TargetGroupArn": "green", "Weight": 1}, {"TargetGroupArn": "blue", "Weight": 0}]
                }
            },
            "green",
        ),
    ],
)
def test_whose_turn_it_is(action: dict[str, Any], colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The listener is asked, as CloudFormation or CodeDeploy last wrote it."""
    service = Service()
    monkeypatch.setattr(
        service, "DescribeListeners", lambda **_: {"Listeners": [{"DefaultActions": [{"Type": "forward", **action}]}]}
    )
    monkeypatch.setattr(Account, "outputs", lambda *_: {"Listener": "listener", "GreenTargets": "green"})
    assert Console(Account("dev", service.client)).serving() == colour


def test_a_service_that_is_gone_is_told() -> None:
    """Somebody deleted it by hand: no update of the stack makes it anew."""
    service = Service()
    service.DescribeServices = lambda **_: {"services": []}  # type: ignore[method-assign]
    with pytest.raises(RolloutError, match="deleted by hand"):
        Console(Account("dev", service.client)).revision()
