"""Roll-outs, against a local AWS with templates of the test's own."""

# ruff: noqa: N802 - methods have AWS's names

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from deploy.rollout import __main__ as command
from deploy.rollout import account, verbs, verify
from deploy.rollout.account import Account
from shared.choreography import STAGES
from tests.aws_world import World
from tests.rollout_templates import DATA, JOBS, PARAMETERS
from tests.s3 import S3, local_s3

Roll = Callable[..., int]


@pytest.fixture(scope="module")
def aws() -> Iterator[S3]:
    with (
        tempfile.TemporaryDirectory(prefix="claimsight-test-", ignore_cleanup_errors=True) as folder,
        local_s3(Path(folder), services="") as served,
    ):
        command._client.cache_clear()
        yield served
        command._client.cache_clear()


@pytest.fixture
def client(aws: S3, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Clients of an empty account."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(account, "POLL", 0.05)
    urlopen(Request(f"{aws.endpoint}/_ministack/reset", method="POST")).close()
    return command._client


@pytest.fixture
def rehearsals(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the rehearsals to come find; none are left to those that need not take place."""
    planned: list[list[str]] = []
    monkeypatch.setattr(Account, "rehearse", lambda _: planned.pop(0) if planned else [])
    return planned


@pytest.fixture
def roll(
    client: Callable[[str], Any], rehearsals: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Roll:
    """The command line, on an account with repositories and a bucket."""
    del client, rehearsals
    (tmp_path / "parameters").mkdir()
    (tmp_path / "parameters" / "dev.json").write_text(PARAMETERS)
    (tmp_path / "data.yaml").write_text(DATA)
    (tmp_path / "jobs.yaml").write_text(JOBS)
    monkeypatch.setattr(verbs, "TEMPLATES", tmp_path)
    monkeypatch.chdir(tmp_path)

    def roll(verb: str, *options: str) -> int:
        return command.main([verb, "--env", "dev", "--without-codedeploy", *options])

    assert roll("provision", "--stacks", "data") == 0
    return roll


@pytest.fixture
def make(client: Callable[[str], Any], roll: Roll) -> Callable[[str], None]:
    """Push images and make a release of them."""

    def make(identity: str) -> None:
        for stage in STAGES:
            manifest = {"schemaVersion": 2, "layers": [], "config": {"digest": identity + stage}}
            client("ecr").put_image(
                repositoryName=f"claimsight-dev/{stage}",
                imageManifest=json.dumps(manifest),
                imageTag=f"release-{identity}",
            )
        assert roll("record", "--tag", f"release-{identity}", "--git-sha", f"commit-{identity}") == 0

    return make


def _parameters(client: Callable[[str], Any]) -> dict[str, str]:
    (stack,) = client("cloudformation").describe_stacks(StackName="claimsight-dev-jobs")["Stacks"]
    return {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}


def test_nothing_happens_before_there_is_an_account(client: Callable[[str], Any], capsys: Any) -> None:
    """Without the stack of data every verb says what comes first."""
    for verb in ("verify", "diff", "rollout", "rollback", "history"):
        assert command.main([verb, "--env", "dev"]) == 1
        assert "provision comes first" in capsys.readouterr().err


def test_a_release_pins_what_was_pushed(client: Callable[[str], Any], make: Callable[[str], None], roll: Roll) -> None:
    """A deployed release has the digests that the registry gave its tag, and its own launcher."""
    make("1")
    assert roll("rollout") == 0
    parameters = _parameters(client)
    for stage in STAGES:
        found = client("ecr").describe_images(
            repositoryName=f"claimsight-dev/{stage}", imageIds=[{"imageTag": "release-1"}]
        )
        assert parameters[f"Image{stage.title()}"].endswith(found["imageDetails"][0]["imageDigest"])
    assert parameters["LauncherKey"] == "releases/1/launcher.zip"
    assert "ForAnother" not in parameters


def test_a_template_longer_than_a_request_is_rolled_out(
    client: Callable[[str], Any], make: Callable[[str], None], roll: Roll, tmp_path: Path
) -> None:
    """CloudFormation fetches the template of the jobs from the bucket, where it may have more than 51,200 bytes."""
    (tmp_path / "jobs.yaml").write_text(JOBS + "#" * 60_000)
    make("1")
    for verb in ("verify", "diff", "rollout"):
        assert roll(verb) == 0, verb
    assert len(client("cloudformation").get_template(StackName="claimsight-dev-jobs")["TemplateBody"]) > 60_000


def test_the_way_there_and_back(
    client: Callable[[str], Any], make: Callable[[str], None], roll: Roll, capsys: Any
) -> None:
    """A second release replaces the first; a rollback deploys the first again, with its digests; history knows all."""
    for identity in "12":
        make(identity)
        assert roll("rollout") == 0
    second = _parameters(client)
    capsys.readouterr()
    assert roll("rollback") == 0
    assert "back to 1" in capsys.readouterr().out
    back = _parameters(client)
    assert (back["LauncherKey"], back["ImageEtl"] == second["ImageEtl"]) == ("releases/1/launcher.zip", False)
    assert roll("history") == 0
    assert [line.split()[1:3] for line in capsys.readouterr().out.splitlines()] == [
        ["1", "commit-1"],
        ["2", "commit-2"],
        ["1", "commit-1"],
    ]
    assert roll("rollback") == 1
    assert "no other release" in capsys.readouterr().err


def test_status_is_all_in_one(make: Callable[[str], None], roll: Roll, capsys: Any) -> None:
    """One command says what runs, since when, from which commit, and what the newest release would change."""
    assert roll("status") == 0
    assert "nothing runs yet" in capsys.readouterr().out
    make("1")
    assert roll("rollout") == 0
    capsys.readouterr()
    assert roll("status") == 0
    assert "nothing would change" in capsys.readouterr().out
    make("2")
    capsys.readouterr()
    assert roll("status") == 0
    said = capsys.readouterr().out
    for part in (
        "runs     1, version 1",
        "since    20",
        "commit   commit-1",
        "newest   2, commit commit-2",
        "~ ImageEtl: ",
    ):
        assert part in said


def test_a_deployed_release_is_announced(
    make: Callable[[str], None], roll: Roll, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ReleaseDeployed follows a roll-out, and none that did nothing or was dry."""
    announced: list[str] = []
    monkeypatch.setattr(Account, "announce", lambda _, release: announced.append(release.id))
    make("1")
    assert roll("rollout", "--dry-run") == 0
    assert announced == []
    for _ in range(2):
        assert roll("rollout") == 0
    assert announced == ["1"]


def test_dry_runs_change_nothing(client: Callable[[str], Any], make: Callable[[str], None], roll: Roll) -> None:
    """No verb with --dry-run leaves anything in the account."""
    make("1")
    assert roll("rollout") == 0
    make("2")
    before = _parameters(client), client("s3").list_objects_v2(Bucket="claimsight-dev-artifacts")["KeyCount"]
    for verb in ("verify", "diff", "rollout", "wait", "status", "history"):
        assert roll(verb, "--dry-run") == 0
    assert roll("record", "--tag", "release-2", "--dry-run") == 0
    assert roll("provision", "--stacks", "data", "--dry-run") == 0
    after = _parameters(client), client("s3").list_objects_v2(Bucket="claimsight-dev-artifacts")["KeyCount"]
    assert after == before


def test_a_parameter_alone_is_a_new_version(
    client: Callable[[str], Any], make: Callable[[str], None], roll: Roll, tmp_path: Path, capsys: Any
) -> None:
    """Another line of business publishes a version of the launcher with it, though the release is the same."""
    make("1")
    assert roll("rollout") == 0
    (tmp_path / "parameters" / "dev.json").write_text(json.dumps({"Parameters": {"Lines": "demo,auto"}}))
    capsys.readouterr()
    assert roll("diff", "--dry-run") == 0
    assert "~ Lines: demo -> demo,auto" in capsys.readouterr().out
    assert roll("rollout") == 0
    live = Account("dev", client).live()
    assert live is not None
    assert (live["LINES"], live["VERSION"]) == ("demo,auto", "2")


def test_a_failed_first_rehearsal_is_no_success(
    make: Callable[[str], None], roll: Roll, rehearsals: list[list[str]], capsys: Any
) -> None:
    """Where CodeDeploy has no part the roll-out rehearses itself; what fails is told, and is nothing to go back to."""
    make("1")
    rehearsals.append(["score of demo: found settings or a contract missing"])
    assert roll("rollout") == 1
    assert "score of demo" in capsys.readouterr().err
    assert roll("history") == 0
    assert capsys.readouterr().out == ""


def test_nothing_is_changed_before_all_is_verified(
    client: Callable[[str], Any], make: Callable[[str], None], roll: Roll, tmp_path: Path, capsys: Any
) -> None:
    """All that is amiss is said at once, with what to do; the roll-out ends with 78, and what ran goes on."""
    for identity in "12":
        make(identity)
    assert roll("rollout", "--release", "1") == 0
    before = _parameters(client)
    images = client("ecr").describe_images(repositoryName="claimsight-dev/score")["imageDetails"]
    wrong = [{"imageDigest": image["imageDigest"]} for image in images]
    client("ecr").batch_delete_image(repositoryName="claimsight-dev/score", imageIds=wrong)
    client("s3").put_object(Bucket="claimsight-dev-artifacts", Key="releases/2/launcher.zip", Body=b"other")
    (tmp_path / "parameters" / "dev.json").write_text(json.dumps({"Parameters": {"Lines": "demo,boats"}}))
    client("secretsmanager").delete_secret(SecretId="login")
    client("logs").delete_log_group(logGroupName="/claimsight/dev/etl")
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    client("iam").update_assume_role_policy(
        RoleName="claimsight-dev-role", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    capsys.readouterr()
    for verb in ("verify", "rollout"):
        assert roll(verb) == 78
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 6
        for line, problem in zip(
            said,
            (
                "image of score: .* is not in the registry",
                "launcher's zip: .* is not what was released",
                "contract of each line: the images have none for boats",
                "secret Login: it is gone",
                "role claimsight-dev-role: no service of ours",
                "log group /claimsight/dev/etl: it was deleted",
            ),
            strict=True,
        ):
            assert re.match(f"{verb}: {problem}", line)
    assert _parameters(client) == before


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("", "", ""),
        ("rate(24 hours)", "rate(25 hours)", "not as in shared/choreography.py: DailySweep"),
        ("rate(24 hours)", "rate(24 hour)", "rate(24 hour) is no valid rate"),
        ('"DailySweep"', '"WeeklySweep"', "not as in shared/choreography.py: DailySweep, WeeklySweep"),
    ],
)
def test_schedules_are_those_of_the_one_table(before: str, after: str, problem: str) -> None:
    """A schedule that the table does not know, or in another rhythm, or with a rate that AWS refuses, is a finding."""
    assert verify._schedules(JOBS.replace(before, after)).problem == problem


def test_a_template_that_is_none_is_a_finding(
    make: Callable[[str], None], roll: Roll, tmp_path: Path, capsys: Any
) -> None:
    """What CloudFormation has against a template is told before anything is changed."""
    (tmp_path / "jobs.yaml").write_text("Resources: {Nothing: {Type: AWS::Nothing::AtAll}}")
    make("1")
    for verb in ("verify", "rollout"):
        assert roll(verb) == 78
        assert "AWS::Nothing::AtAll" in capsys.readouterr().err


@pytest.mark.parametrize("status", ["UPDATE_IN_PROGRESS", "ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED"])
def test_a_stack_has_to_be_at_rest(status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack under way, or stuck, is a finding that says what to do."""
    monkeypatch.setattr(Account, "stack", lambda *_: {"StackStatus": status})
    problem = verify._stack(Account("dev", lambda _: None), "jobs").problem
    assert status in problem
    assert ("wait" in problem) == status.endswith("IN_PROGRESS")


class Refusing(World):
    """An account in which an update of the jobs fails and is taken back, as CodeDeploy's hook does it."""

    def __init__(self) -> None:
        super().__init__()
        self.statuses = ["UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"]

    def DescribeStacks(self, **_: object) -> dict[str, Any]:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return {"Stacks": [{"StackName": "claimsight-dev-jobs", "StackStatus": status}]}

    def DescribeStackEvents(self, **_: object) -> dict[str, Any]:
        stack = ("claimsight-dev-jobs", "AWS::CloudFormation::Stack")
        told = [  # the newest first
            (*stack, "UPDATE_ROLLBACK_COMPLETE", ""),
            ("EtlTask", "AWS::ECS::TaskDefinition", "UPDATE_FAILED", "Resource update cancelled"),
            ("Smoke", "AWS::Lambda::Function", "UPDATE_FAILED", "and another"),
            ("LauncherAlias", "AWS::Lambda::Alias", "UPDATE_FAILED", "CodeDeploy deployment d-1: the hook failed"),
            (*stack, "UPDATE_IN_PROGRESS", "User Initiated"),
            ("Bus", "AWS::Events::EventBus", "UPDATE_FAILED", "of the time before"),
        ]
        keys = ("LogicalResourceId", "ResourceType", "ResourceStatus", "ResourceStatusReason")
        return {"StackEvents": [dict(zip(keys, event, strict=True)) for event in told]}


def test_an_update_that_was_taken_back_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting ends with what failed first, without what was merely cancelled or failed another time."""
    monkeypatch.setattr(account, "POLL", 0.0)
    with pytest.raises(account.RolloutError) as told:
        Account("dev", Refusing().client).wait("jobs")
    assert told.value.args == (
        "claimsight-dev-jobs is in UPDATE_ROLLBACK_COMPLETE",
        "LauncherAlias: CodeDeploy deployment d-1: the hook failed",
        "Smoke: and another",
    )


def test_a_promoted_release_is_the_same(
    client: Callable[[str], Any], make: Callable[[str], None], roll: Roll, tmp_path: Path
) -> None:
    """What goes to the next environment has the same digests, zip and template, in that one's repositories."""
    make("1")
    (tmp_path / "parameters" / "prod.json").write_text(PARAMETERS)
    assert command.main(["provision", "--env", "prod", "--stacks", "data"]) == 0
    for stage in STAGES:  # what `docker buildx imagetools create` does
        (image,) = client("ecr").batch_get_image(
            repositoryName=f"claimsight-dev/{stage}", imageIds=[{"imageTag": "release-1"}]
        )["images"]
        client("ecr").put_image(
            repositoryName=f"claimsight-prod/{stage}", imageManifest=image["imageManifest"], imageTag="release-1"
        )
    assert command.main(["promote", "--env", "prod", "--from", "dev", "--release", "1"]) == 0
    there, here = Account("prod", client), Account("dev", client)
    release = there.release("1")
    assert {image.partition("@")[2] for image in release.images.values()} == {
        image.partition("@")[2] for image in here.release("1").images.values()
    }
    assert all("/claimsight-prod/" in image for image in release.images.values())
    assert there.launcher_sha256(release) == release.launcher_sha256
    assert there.read(release.template_key("jobs")) == here.read(release.template_key("jobs"))
