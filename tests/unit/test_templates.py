"""The CloudFormation templates: what neither cfn-lint nor a deployment would notice."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy.template import FOLDER, load
from shared.choreography import RULES, STAGES
from shared.emf import ALARMED
from shared.sizes import SIZES

NAMES = ("data", "jobs", "mlflow", "console", "console-delivery", "account")
TEMPLATES: dict[str, Any] = {name: load(name) for name in NAMES}
PARAMETERS = {path.stem: json.loads(path.read_text()) for path in sorted((FOLDER / "parameters").glob("*.json"))}
DIGEST = "sha256:" + "0a" * 32
WITHOUT_RESOURCE = {
    "cloudwatch:DescribeAlarms",
    "ec2:DescribeNetworkInterfaces",
    "ecr:GetAuthorizationToken",
    "ecs:ListTasks",
    *(f"elasticloadbalancing:Describe{what}" for what in ("Listeners", "Rules", "TargetGroups")),
}
"""Actions that AWS grants for * only; beside them, those of ``ssmmessages``, and those of functions in the VPC."""


def _of_type(kind: str, *names: str) -> dict[str, Any]:
    """Resources of a type, by template and name."""
    return {
        f"{name}.{key}": resource
        for name in names or NAMES
        for key, resource in TEMPLATES[name]["Resources"].items()
        if resource["Type"] == kind
    }


def _property(name: str, template: str = "jobs") -> Any:
    return TEMPLATES[template]["Resources"][name]["Properties"]


def _statements() -> Iterator[tuple[str, Any]]:
    """Every statement of a policy that belongs to a role."""
    for kind in ("AWS::IAM::Role", "AWS::IAM::ManagedPolicy"):
        for name, resource in _of_type(kind).items():
            properties = resource["Properties"]
            documents = [policy["PolicyDocument"] for policy in properties.get("Policies", ())]
            documents += [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
            for document in documents:
                yield from ((name, statement) for statement in document["Statement"])


def _denied(role: str) -> set[str]:
    """What Lambda may do by a role of a function, and the function's own code may not: put it into the VPC."""
    denials = [statement for name, statement in _statements() if name == role and statement["Effect"] == "Deny"]
    assert all("lambda:SourceFunctionArn" in statement["Condition"]["ArnEquals"] for statement in denials)
    return {action for statement in denials for action in statement["Action"]}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    return json.dumps(value, default=str)


def _allowed(role: str) -> list[tuple[str, str]]:
    """Actions of a role with the resources they are for, as text, those of its managed policies too."""
    policies = {f"jobs.{part['Ref']}" for part in _property(role).get("ManagedPolicyArns", ())} | {f"jobs.{role}"}
    return [
        (action, _text(statement["Resource"]))
        for name, statement in _statements()
        if name in policies
        for action in _listed(statement["Action"])
    ]


CONTAINERS = {
    name: resource["Properties"]["ContainerDefinitions"][0]
    for name, resource in _of_type("AWS::ECS::TaskDefinition").items()
}
LOGINS = {stage: f"${{Environment}}-{stage.title()}Login" for stage in STAGES}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_template_fits_into_a_request(path: Path) -> None:
    """CloudFormation takes 51,200 bytes in a request, and 1,000,000 from the bucket, where that of the jobs lies."""
    assert path.stat().st_size <= (1_000_000 if path.stem == "jobs" else 51_200)


def test_parameters_are_those_of_the_templates() -> None:
    """Each environment sets at least what dev sets, all of it declared and allowed by the templates, and its tags."""
    declared = [load(path.stem)["Parameters"] for path in FOLDER.glob("*.yaml")]
    assert set(PARAMETERS) == {"dev", "staging", "prod"}
    assert all(file["Parameters"].keys() >= PARAMETERS["dev"]["Parameters"].keys() for file in PARAMETERS.values())
    for environment, file in PARAMETERS.items():
        assert file["Tags"].keys() == {"project", "environment", "owner", "data-class"}
        assert file["Tags"]["environment"] == file["Parameters"]["Environment"] == environment
        for name, value in file["Parameters"].items():
            accepting = [parameters[name] for parameters in declared if name in parameters]
            assert accepting, name
            for parameter in accepting:
                assert value in map(str, parameter.get("AllowedValues", [value])), name


def test_images_are_named_by_digest() -> None:
    """No task starts an image by a tag, which may mean another image tomorrow."""
    for name, container in CONTAINERS.items():
        parameter = TEMPLATES[name.split(".")[0]]["Parameters"][container["Image"]["Ref"]]
        assert "Default" not in parameter
        assert re.fullmatch(
            parameter["AllowedPattern"], f"1.dkr.ecr.eu-central-1.amazonaws.com/claimsight/etl@{DIGEST}"
        )
        for tagged in ("claimsight/etl:latest", "claimsight/etl", f"claimsight/etl@{DIGEST[:-1]}", f"etl@{DIGEST} "):
            assert not re.fullmatch(parameter["AllowedPattern"], tagged)


def test_tasks_are_as_large_as_the_table_says() -> None:
    """A stage has on Fargate what it has in the container run."""
    sizes = {
        stage: (_property(f"{stage.title()}Task")["Cpu"], _property(f"{stage.title()}Task")["Memory"])
        for stage in STAGES
    }
    assert sizes == {stage: (str(size.cpu), str(size.memory)) for stage, size in SIZES.items()}


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_task_can_do_little(name: str) -> None:
    """A container is no root, has no capabilities, an init process, a log, and time to stop."""
    container = CONTAINERS[name]
    assert container["User"] == "10001:10001"
    assert container["LinuxParameters"] == {"InitProcessEnabled": True, "Capabilities": {"Drop": ["ALL"]}}
    assert container["StopTimeout"] >= 30
    assert container["LogConfiguration"]["LogDriver"] == "awslogs"
    if name != "mlflow.Task":  # the agent that forwards its port writes to the root
        assert container["ReadonlyRootFilesystem"] is True
        assert container["MountPoints"] == [{"SourceVolume": "tmp", "ContainerPath": "/tmp"}]


def test_secrets_come_from_the_secret_store() -> None:
    """A password is injected when the task starts; none stands in the environment of a task or in an address."""
    for container in CONTAINERS.values():
        environment = {variable["Name"]: _text(variable["Value"]) for variable in container["Environment"]}
        assert not [name for name in environment if re.search("PASS|SECRET|KEY|TOKEN", name)]
        assert not [value for value in environment.values() if re.search("//[^/@]*:[^/@]*@", value)]
        assert "PGPASSWORD" in {secret["Name"] for secret in container["Secrets"] if "Name" in secret}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_logs_in_as_itself(stage: str) -> None:
    """A stage gets its own login and no other; etl gets the pseudonym key and the source besides."""
    (resources,) = [text for action, text in _allowed(f"{stage.title()}ExecutionRole") if "secretsmanager" in action]
    others = [name for other, name in LOGINS.items() if other != stage]
    assert LOGINS[stage] in resources
    assert not [name for name in [*others, "DatabaseOwner"] if name in resources]
    assert ("PseudonymKey" in resources) == ("SourceSecret" in resources) == (stage == "etl")
    task = _property(f"{stage.title()}Task")
    assert task["TaskRoleArn"] == {"Fn::GetAtt": [f"{stage.title()}Role", "Arn"]}
    assert task["ExecutionRoleArn"] == {"Fn::GetAtt": [f"{stage.title()}ExecutionRole", "Arn"]}
    container = CONTAINERS[f"jobs.{stage.title()}Task"]
    (password,) = [_text(secret) for secret in container["Secrets"] if secret.get("Name") == "PGPASSWORD"]
    assert LOGINS[stage] in password
    addresses = [_text(entry) for entry in container["Environment"] if entry["Name"].endswith(("_URL", "_URI"))]
    assert len(addresses) == 2
    assert all(f"//claimsight_{stage}_login@" in address for address in addresses)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_reaches_its_prefixes_alone(stage: str) -> None:
    """Etl reads the drop, train writes models, others read them, evaluate adds cards, score exports; nobody deletes."""
    objects = {(action, text) for action, text in _allowed(f"{stage.title()}Role") if action.startswith("s3:")}
    wanted = {
        "etl": {("s3:ListBucket", "Drop"), ("s3:GetObject", "Drop")},
        "train": {("s3:ListBucket", "Artifact"), ("s3:GetObject", "Artifact"), ("s3:PutObject", "Artifact")},
        "evaluate": {("s3:ListBucket", "Artifact"), ("s3:GetObject", "Artifact"), ("s3:PutObject", "Artifact")},
        "score": {("s3:ListBucket", "Artifact"), ("s3:GetObject", "Artifact"), ("s3:PutObject", "Drop")},
    }.get(stage, {("s3:ListBucket", "Artifact"), ("s3:GetObject", "Artifact")})
    assert {(action, "Drop" if "DropBucket" in text else "Artifact") for action, text in objects} == wanted
    below = {"etl": "/drop/*", "score": "/exports/*"}
    for action, text in objects:
        if action != "s3:ListBucket":
            assert (below[stage] if "DropBucket" in text else "/models/") in text
    assert stage != "evaluate" or all("/card/*" in text for action, text in objects if action == "s3:PutObject")
    encrypts = "kms:GenerateDataKey" in {action for action, _ in _allowed(f"{stage.title()}Role")}
    assert encrypts == ("s3:PutObject" in {action for action, _ in objects})


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_puts_its_own_events_alone(stage: str) -> None:
    """A role may put what the choreography says the stage puts, on Claimsight's bus, and nothing else."""
    puts = [
        statement
        for name, statement in _statements()
        if name == f"jobs.{stage.title()}Role" and "events:PutEvents" in _listed(statement["Action"])
    ]
    allowed = {
        event
        for statement in puts
        for event in statement["Condition"]["StringEquals"]["events:detail-type"]
        if statement["Resource"] == {"Fn::GetAtt": ["Bus", "Arn"]}
    }
    assert allowed == {rule.event for rule in RULES if rule.put_by == stage}


def test_no_role_has_everything() -> None:
    """No action is a wildcard, and the resource is one only where AWS knows no narrower."""
    for name, statement in _statements():
        actions = _listed(statement["Action"])
        assert not [action for action in actions if "*" in action], name
        if "*" in _listed(statement["Resource"]) and statement["Effect"] == "Allow":
            apart = WITHOUT_RESOURCE | _denied(name)
            assert all(action in apart or action.startswith("ssmmessages:") for action in actions), name


def test_rules_are_the_choreography() -> None:
    """Rules and schedules start the launcher for the events of the one table, and for no other."""
    assert set(_property("StageEvents")["EventPattern"]["detail-type"]) == {
        rule.event for rule in RULES if rule.put_by not in {"s3", "scheduler"}
    }
    drops = _property("Drops")["EventPattern"]
    assert drops["detail-type"] == [rule.event for rule in RULES if rule.put_by == "s3"]
    assert drops["detail"]["object"]["key"] == [{"prefix": "drop/"}]
    periods = {}
    for resource in _of_type("AWS::Scheduler::Schedule", "jobs").values():
        number, unit = re.fullmatch(
            r"rate\((\d+) (hour|day)s?\)", resource["Properties"]["ScheduleExpression"]
        ).groups()  # type: ignore[union-attr]
        event = json.loads(resource["Properties"]["Target"]["Input"])
        periods[event["detail-type"]] = timedelta(**{f"{unit}s": int(number)})
        # The same at each attempt, another at each firing: what tells a retry from the next hour.
        assert event["id"] == f"{event['detail-type']}/<aws.scheduler.scheduled-time>"
        assert event["source"] == "claimsight"
    assert periods == {rule.event: rule.every for rule in RULES if rule.every}


def test_failures_are_told_to_the_launcher() -> None:
    """The end of every task reaches the launcher, which tells of failed ones."""
    pattern = _property("StoppedTasks")["EventPattern"]
    assert (pattern["source"], pattern["detail-type"]) == (["aws.ecs"], ["ECS Task State Change"])
    assert pattern["detail"]["lastStatus"] == ["STOPPED"]


def test_silence_is_told() -> None:
    """Where the schedules no longer reach the launcher an alarm is raised, since then nothing else can fail."""
    alarm = _property("SilenceAlarm")
    assert (alarm["MetricName"], alarm["ComparisonOperator"]) == ("Invocations", "LessThanThreshold")
    assert alarm["TreatMissingData"] == "breaching"


def test_waiting_claims_are_told() -> None:
    """An alarm looks at a metric that score emits for all lines at once, in the namespace that all stages are given."""
    alarm = _property("WaitAlarm")
    assert alarm["MetricName"] in ALARMED
    assert alarm["Dimensions"] == [{"Name": "stage", "Value": "score"}]
    assert alarm["TreatMissingData"] == "ignore"
    for stage in STAGES:
        environment = CONTAINERS[f"jobs.{stage.title()}Task"]["Environment"]
        assert {"Name": "CLAIMSIGHT_METRICS", "Value": alarm["Namespace"]} in environment


def test_score_is_divided_as_the_stage_can() -> None:
    """The launcher is told of as many shards as divide the 16 slots of a line's claims, by default of one."""
    parameter = TEMPLATES["jobs"]["Parameters"]["ScoreShards"]
    assert (parameter["Default"], parameter["AllowedValues"]) == ("1", ["1", "2", "4", "8", "16"])
    assert _property("Launcher")["Environment"]["Variables"]["SCORE_SHARDS"] == {"Ref": "ScoreShards"}


def test_every_alarm_reaches_somebody() -> None:
    """Each alarm publishes to the topic that people subscribe to."""
    for name, alarm in _of_type("AWS::CloudWatch::Alarm").items():
        assert "Notifications" in _text(alarm["Properties"]["AlarmActions"]), name


def test_nothing_gets_lost_unnoticed() -> None:
    """Whatever delivers an event has a dead-letter queue, and the first message there raises an alarm."""
    queue = {"Fn::GetAtt": ["DeadLetters", "Arn"]}
    targets = [target for rule in _of_type("AWS::Events::Rule").values() for target in rule["Properties"]["Targets"]]
    targets += [schedule["Properties"]["Target"] for schedule in _of_type("AWS::Scheduler::Schedule", "jobs").values()]
    assert len(targets) == 7
    assert all(target["DeadLetterConfig"]["Arn"] == queue for target in targets)
    assert _property("LauncherFailures")["DestinationConfig"]["OnFailure"]["Destination"] == queue
    assert _property("RetryQueue")["RedrivePolicy"]["deadLetterTargetArn"] == queue
    assert _property("RetryQueue")["VisibilityTimeout"] >= 6 * _property("Launcher")["Timeout"]
    assert _property("DeadLetterAlarm")["Threshold"] == 0
    assert "dead-letters" in _text(_property("OffInTheEvening", "mlflow")["Target"]["DeadLetterConfig"])


RETAINED = {
    "AWS::KMS::Key",
    "AWS::S3::Bucket",
    "AWS::SecretsManager::Secret",
    "AWS::ECR::Repository",
    "AWS::Lambda::Version",
    "AWS::RDS::DBInstance",
}


def test_what_cannot_be_made_again_stays() -> None:
    """Key, buckets, secrets, images, logs of runs and releases outlive their stack; the database leaves a snapshot."""
    kept = [resource for kind in RETAINED for resource in _of_type(kind).values()]
    kept += [log for name, log in _of_type("AWS::Logs::LogGroup").items() if name != "data.StreamLogs"]
    kept += list(_of_type("AWS::ECS::TaskDefinition", "jobs").values())
    for resource in kept:
        assert resource["DeletionPolicy"] in {"Retain", "RetainExceptOnCreate", "Snapshot"}, resource
        assert resource["UpdateReplacePolicy"] in {"Retain", "Snapshot"}, resource


def test_a_release_is_one_version_of_the_launcher() -> None:
    """A release makes a version that pins all tasks; the alias alone gets events, and moves after the smoke tasks."""
    assert _property("LauncherVersion")["Description"] == {"Ref": "Release"}
    variables = _property("Launcher")["Environment"]["Variables"]
    assert variables["RELEASE"] == {"Ref": "Release"}
    tasks = json.loads(variables["TASKS"]["Fn::Sub"])
    assert tasks == {name: f"${{{name.title()}Task}}" for name in (*STAGES, "bootstrap")}
    update = TEMPLATES["jobs"]["Resources"]["LauncherAlias"]["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
    assert update["BeforeAllowTrafficHook"] == _property("Smoke")["FunctionName"]
    alias = {"Ref": "LauncherAlias"}
    starters = [rule["Properties"]["Targets"][0]["Arn"] for rule in _of_type("AWS::Events::Rule").values()]
    starters += [rule["Properties"]["Target"]["Arn"] for rule in _of_type("AWS::Scheduler::Schedule", "jobs").values()]
    assert all(arn == alias for arn in [*starters, _property("Retries")["FunctionName"]])


def test_everything_is_encrypted() -> None:
    """Data at rest lies under Claimsight's key (queues: that of SQS; access logs: that of S3), which turns yearly."""
    assert _property("Key", "data")["EnableKeyRotation"] is True
    for name, bucket in _of_type("AWS::S3::Bucket").items():
        (rule,) = bucket["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        algorithm = rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"]
        assert algorithm == ("AES256" if name == "data.LogBucket" else "aws:kms")
    assert all(queue["Properties"]["SqsManagedSseEnabled"] for queue in _of_type("AWS::SQS::Queue").values())
    for kind, key in {
        "AWS::Logs::LogGroup": "KmsKeyId",
        "AWS::SNS::Topic": "KmsMasterKeyId",
        "AWS::SecretsManager::Secret": "KmsKeyId",
        "AWS::RDS::DBInstance": "KmsKeyId",
        "AWS::Lambda::Function": "KmsKeyArn",
    }.items():
        assert all(key in resource["Properties"] for resource in _of_type(kind).values()), kind
    repositories = _of_type("AWS::ECR::Repository").values()
    assert all(
        repository["Properties"]["EncryptionConfiguration"]["EncryptionType"] == "KMS" for repository in repositories
    )


def test_buckets_are_closed() -> None:
    """No bucket is public, each keeps versions and lets them expire, and each asks for TLS."""
    policies = {policy["Properties"]["Bucket"]["Ref"]: policy for policy in _of_type("AWS::S3::BucketPolicy").values()}
    for name, bucket in _of_type("AWS::S3::Bucket").items():
        properties = bucket["Properties"]
        assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
        assert properties["VersioningConfiguration"]["Status"] == "Enabled"
        assert any("NoncurrentVersionExpiration" in rule for rule in properties["LifecycleConfiguration"]["Rules"])
        statements = policies[name.removeprefix("data.")]["Properties"]["PolicyDocument"]["Statement"]
        (tls,) = [statement for statement in statements if statement["Effect"] == "Deny"]
        assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert len(tls["Resource"]) == 2


def test_what_is_not_for_play_is_protected() -> None:
    """Only dev's database may be deleted without being asked twice."""
    protected = {name: file["Parameters"]["Protect"] for name, file in PARAMETERS.items()}
    assert protected == {"dev": "false", "staging": "true", "prod": "true"}


def test_no_task_is_always_on() -> None:
    """No service has a task until somebody asks for one; MLflow's none again in the evening."""
    assert [service["Properties"]["DesiredCount"] for service in _of_type("AWS::ECS::Service").values()] == [0, 0]
    assert json.loads(_property("OffInTheEvening", "mlflow")["Target"]["Input"]["Fn::Sub"])["DesiredCount"] == 0


def test_logs_end() -> None:
    """No log group is kept for ever."""
    assert all("RetentionInDays" in log["Properties"] for log in _of_type("AWS::Logs::LogGroup").values())


def test_images_of_releases_outlive_builds() -> None:
    """A tag never moves, and images that a rollback may need are kept while unreleased builds expire."""
    for repository in _of_type("AWS::ECR::Repository").values():
        assert repository["Properties"]["ImageTagMutability"] == "IMMUTABLE"
        assert repository["Properties"]["ImageScanningConfiguration"]["ScanOnPush"] is True
        released, built = json.loads(repository["Properties"]["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
        assert released["rulePriority"] < built["rulePriority"]
        assert released["selection"]["tagPatternList"] == ["release-*"]
        assert released["selection"]["countType"] == "imageCountMoreThan"


def test_generated_passwords_need_no_quotes() -> None:
    """Of punctuation a password has - _ . alone, so that it can stand in a URL, a shell and a connection string."""
    for secret in _of_type("AWS::SecretsManager::Secret").values():
        generated = secret["Properties"]["GenerateSecretString"]
        assert set(r"""!"#$%&'()*+,/:;<=>?@[\]^`{|}~""") == set(generated["ExcludeCharacters"])
        assert generated["PasswordLength"] >= 40
