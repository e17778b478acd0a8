"""The rules that the template of delivery keeps; only a real account runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploy.template import load

ROOT = Path(__file__).parents[2]


def _bare(told: Any) -> Any:
    """Let the argument of ``!Ref``, ``!Sub`` and the like stand for them."""
    if isinstance(told, list):
        return [_bare(one) for one in told]
    if not isinstance(told, dict):
        return told
    match list(told.items()):
        case [("Fn::GetAtt", [name, attribute])]:
            return f"{name}.{attribute}"
        case [(name, argument)] if name == "Ref" or name.startswith("Fn::"):
            return _bare(argument)
    return {name: _bare(one) for name, one in told.items()}


RESOURCES: dict[str, dict[str, Any]] = _bare(load("delivery")["Resources"])
ROLES = [name for name, resource in RESOURCES.items() if resource["Type"] == "AWS::IAM::Role"]


def _of(kind: str) -> dict[str, dict[str, Any]]:
    return {name: one["Properties"] for name, one in RESOURCES.items() if one["Type"] == kind}


def _statements(role: str) -> list[dict[str, Any]]:
    return [
        statement
        for policy in RESOURCES[role]["Properties"].get("Policies", ())
        for statement in policy["PolicyDocument"]["Statement"]
        if "Action" in statement
    ]


def _actions(statement: dict[str, Any]) -> list[str]:
    actions = statement["Action"]
    return [actions] if isinstance(actions, str) else actions


def test_the_pipeline_goes_the_agreed_way() -> None:
    """From source to prod, by way of tests, staging, smoke and a person."""
    (pipeline,) = _of("AWS::CodePipeline::Pipeline").values()
    assert [stage["Name"] for stage in pipeline["Stages"]] == [
        "Source",
        "BuildAndTest",
        "Staging",
        "Smoke",
        "Approval",
        "Prod",
    ]
    assert (pipeline["PipelineType"], pipeline["ExecutionMode"]) == ("V2", "QUEUED")


def test_projects_follow_buildspecs_that_are_there() -> None:
    """Each project runs a buildspec of the repository; only those that build images are privileged."""
    projects = _of("AWS::CodeBuild::Project")
    assert all((ROOT / project["Source"]["BuildSpec"]).is_file() for project in projects.values())
    privileged = {name for name, project in projects.items() if project["Environment"].get("PrivilegedMode")}
    assert privileged == {"Build", "PullRequestBuild"}


def test_a_pull_request_can_change_nothing() -> None:
    """What anybody may propose runs by a role that reads the source and the cache and writes a log."""
    role = RESOURCES["PullRequestRole"]["Properties"]
    assert "Policies" not in role
    assert role["ManagedPolicyArns"] == ["FetchSource"]
    statements = RESOURCES["FetchSource"]["Properties"]["PolicyDocument"]["Statement"]
    flat = [one for statement in statements for one in (statement[1:] if isinstance(statement, list) else [statement])]
    allowed = {action for statement in flat for action in _actions(statement)}
    writing = ("Put", "Create", "Update", "Delete", "Upload", "Start", "PassRole", "*")
    assert {action for action in allowed if any(word in action for word in writing)} == {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    }


@pytest.mark.parametrize("role", ROLES)
def test_roles_are_for_one_service_and_named_things(role: str) -> None:
    """No role may do all of a service on everything, nor pass roles on without saying to whom."""
    trust = RESOURCES[role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert len(trust) == 1
    for statement in _statements(role):
        if statement["Effect"] == "Deny":
            continue
        assert "*" not in _actions(statement)
        if statement["Resource"] == "*":
            assert not [action for action in _actions(statement) if action.endswith(":*")]
        if "iam:PassRole" in _actions(statement):
            assert "iam:PassedToService" in str(statement["Condition"])
            assert "claimsight-${Environment}" in str(statement["Resource"]) or statement["Resource"] == "StackRole.Arn"


def test_what_is_kept_is_encrypted_and_closed() -> None:
    """The pipeline's bucket, its logs and projects are encrypted by the environment's key; the bucket asks for TLS."""
    (bucket,) = _of("AWS::S3::Bucket").values()
    assert "KMSMasterKeyID" in str(bucket["BucketEncryption"])
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert "aws:SecureTransport" in str(_of("AWS::S3::BucketPolicy"))
    for kind, key in (("AWS::Logs::LogGroup", "KmsKeyId"), ("AWS::CodeBuild::Project", "EncryptionKey")):
        assert all(key in properties for properties in _of(kind).values())


def test_code_deploy_shifts_all_at_once() -> None:
    """The names are those by which the alias's update policy and the roll-out know them."""
    (group,) = _of("AWS::CodeDeploy::DeploymentGroup").values()
    assert group["DeploymentConfigName"] == "CodeDeployDefault.LambdaAllAtOnce"
    assert group["DeploymentGroupName"] == "claimsight-${Environment}"
    assert _of("AWS::CodeDeploy::Application")["Application"]["ApplicationName"] == "claimsight-${Environment}"
    assert group["AutoRollbackConfiguration"]["Enabled"] is True
