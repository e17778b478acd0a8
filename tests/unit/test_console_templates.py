"""The console's templates: what neither cfn-lint nor a deployment would notice."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from console.api.settings import ConsoleSettings
from deploy.launcher import console as check
from deploy.rollout.console import APPSPEC
from deploy.template import load
from shared.choreography import RULES
from shared.settings import variable
from shared.sizes import CONSOLE

TEMPLATE, DELIVERY, DATA, JOBS, PIPELINE = (
    load(name) for name in ("console", "console-delivery", "data", "jobs", "delivery")
)
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
(CONTAINER,) = RESOURCES["Task"]["Properties"]["ContainerDefinitions"]
ENVIRONMENT = {entry["Name"]: entry["Value"] for entry in CONTAINER["Environment"]}
(GROUP,) = [
    one["Properties"] for one in DELIVERY["Resources"].values() if one["Type"] == "AWS::CodeDeploy::DeploymentGroup"
]
GENERATED = {"Environment", "ImageConsole", "LauncherBucket", "LauncherKey", "Serving"}
"""Parameters that the roll-out gives."""


def _properties(name: str, template: Any = TEMPLATE) -> Any:
    return template["Resources"][name]["Properties"]


def _of(kind: str) -> dict[str, Any]:
    return {name: one["Properties"] for name, one in RESOURCES.items() if one["Type"] == kind}


def _text(value: Any) -> str:
    return json.dumps(value)


def _names(value: Any) -> Iterator[str]:
    """What a part of a template depends on: parameters, conditions and resources, but what is imported."""
    match value:
        case {"Fn::ImportValue": _}:
            return
        case {"Ref": name} | {"Fn::GetAtt": [name, _]}:
            yield name
        case {"Fn::If": [condition, *parts]}:
            yield condition
            yield from _names(parts)
        case {"Fn::Sub": str(text)}:
            yield from re.findall(r"\$\{(\w+)[.}]", text)
        case dict():
            for part in value.values():
                yield from _names(part)
        case list():
            for part in value:
                yield from _names(part)


def _allowed(role: str, template: Any = TEMPLATE) -> dict[str, str]:
    """Actions of a role, and as text on what and when."""
    return {
        action: _text([statement["Resource"], statement.get("Condition")])
        for policy in _properties(role, template)["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }


def test_codedeploy_alone_changes_the_service() -> None:
    """CloudFormation cannot update a service that CodeDeploy deploys: nothing in it depends on release or parameters.

    Nor may the target group be another one day, which it began with.
    """
    service = _properties("Service")
    assert service["DeploymentController"] == {"Type": "CODE_DEPLOY"}
    assert set(_names(service)) == {"Environment", "BlueTargets"}
    assert set(_names(_properties("BlueTargets"))) == set(_names(_properties("GreenTargets"))) == {"Environment"}


def test_the_service_begins_with_the_newest_task() -> None:
    """The family's name stands for its newest revision, which is there first, as are listeners that lead to it."""
    assert _properties("Service")["TaskDefinition"] == _properties("Task")["Family"]
    assert set(RESOURCES["Service"]["DependsOn"]) == {"Task", "Listener", "TestListener"}
    assert _properties("Service")["DesiredCount"] == 0


def test_a_revision_is_there_to_go_back_to() -> None:
    """A newer task definition leaves the one before, to which CodeDeploy may have to return."""
    assert RESOURCES["Task"]["UpdateReplacePolicy"] == RESOURCES["Task"]["DeletionPolicy"] == "Retain"
    assert TEMPLATE["Outputs"]["Task"]["Value"] == {"Ref": "Task"}


def test_two_groups_take_turns() -> None:
    """They differ in their names, which fit, and lead to the port that container, service and CodeDeploy know."""
    blue, green = _properties("BlueTargets"), _properties("GreenTargets")
    names = [group["Name"]["Fn::Sub"] for group in (blue, green)]
    assert {**blue, "Name": ""} == {**green, "Name": ""}
    assert len(set(names)) == 2
    assert all(len(name.replace("${Environment}", "staging")) <= 32 for name in names)
    assert (blue["TargetType"], blue["HealthCheckPath"], blue["Matcher"]) == ("ip", "/healthz", {"HttpCode": "200"})
    appspec = yaml.safe_load(APPSPEC.read_text())["Resources"][0]["Console"]["Properties"]["LoadBalancerInfo"]
    (balanced,) = _properties("Service")["LoadBalancers"]
    ports = {blue["Port"], CONTAINER["PortMappings"][0]["ContainerPort"], balanced["ContainerPort"]}
    assert ports == {appspec["ContainerPort"]} == {ConsoleSettings.model_fields["port"].default}
    assert balanced["ContainerName"] == appspec["ContainerName"] == CONTAINER["Name"]


def test_people_and_check_come_by_tls() -> None:
    """Both listeners have TLS 1.2 or 1.3 and lead to the group whose turn it is; port 80 only sends to 443."""
    listeners = {listener["Port"]: listener for listener in _of("AWS::ElasticLoadBalancingV2::Listener").values()}
    assert set(listeners) == {443, 8443, 80}
    for port in (443, 8443):
        listener = listeners[port]
        assert (listener["Protocol"], listener["SslPolicy"]) == ("HTTPS", "ELBSecurityPolicy-TLS13-1-2-2021-06")
        assert listener["Certificates"] == [{"CertificateArn": {"Ref": "ConsoleCertificate"}}]
        assert listener["DefaultActions"] == [
            {
                "Type": "forward",
                "TargetGroupArn": {"Fn::If": ["Green", {"Ref": "GreenTargets"}, {"Ref": "BlueTargets"}]},
            }
        ]
    assert TEMPLATE["Conditions"]["Green"] == {"Fn::Equals": [{"Ref": "Serving"}, "green"]}
    (plain,) = listeners[80]["DefaultActions"]
    assert plain["Type"] == "redirect"
    assert plain["RedirectConfig"] == {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}


def test_each_has_its_own_security_group() -> None:
    """Load balancer, tasks and probe are in the groups whose ways data.yaml lays."""
    used = {
        "LoadBalancerSecurityGroup": _properties("LoadBalancer")["SecurityGroups"],
        "ConsoleSecurityGroup": _properties("Service")["NetworkConfiguration"]["AwsvpcConfiguration"]["SecurityGroups"],
        "ProbeSecurityGroup": _properties("Probe")["VpcConfig"]["SecurityGroupIds"],
    }
    for name, groups in used.items():
        assert groups == [{"Fn::ImportValue": {"Fn::Sub": f"claimsight-${{Environment}}-{name}"}}]
        assert DATA["Outputs"][name]["Value"] == {"Ref": name}


def test_a_load_balancer_is_internal_unless_asked_otherwise() -> None:
    """Who wants it on the internet has to say so, and what subnets it is in follows."""
    assert TEMPLATE["Parameters"]["ConsoleAccess"]["Default"] == "internal"
    assert _properties("LoadBalancer")["Scheme"] == {"Ref": "ConsoleAccess"}
    condition, inside, outside = _properties("LoadBalancer")["Subnets"]["Fn::Split"][1]["Fn::If"]
    assert TEMPLATE["Conditions"][condition] == {"Fn::Equals": [{"Ref": "ConsoleAccess"}, "internal"]}
    assert ("PrivateSubnets" in _text(inside), "PublicSubnets" in _text(outside)) == (True, True)


def test_the_task_is_as_large_as_the_table_says() -> None:
    """It has on Fargate what the estimate of its cost reckons with."""
    assert (_properties("Task")["Cpu"], _properties("Task")["Memory"]) == (str(CONSOLE.cpu), str(CONSOLE.memory))


def test_the_console_is_told_what_it_asks_for() -> None:
    """All settings without a default are given, and what is so behind a load balancer: https, and whom to believe."""
    required = {variable(name) for name, field in ConsoleSettings.model_fields.items() if field.is_required()}
    assert required <= ENVIRONMENT.keys()
    assert ENVIRONMENT[variable("public_url")] == {"Fn::Sub": "https://${ConsoleDomain}"}
    # Of what callers say of themselves only that counts which the load balancer, in the VPC, has written.
    assert ENVIRONMENT["CLAIMSIGHT_PROXIES"] == {"Fn::ImportValue": {"Fn::Sub": "claimsight-${Environment}-VpcCidr"}}


def test_the_console_logs_in_as_itself() -> None:
    """It gets its login, its client secret, the check's key and, where a contract needs it, that of pseudonyms."""
    assert "//claimsight_console_login@" in _text(ENVIRONMENT["CLAIMSIGHT_DATABASE_URL"])
    secrets = _allowed("ExecutionRole")["secretsmanager:GetSecretValue"]
    assert set(re.findall(r"\$\{Environment\}-(\w+)", secrets)) == {"ConsoleLogin", "PseudonymKey"}
    given = {entry["Name"]: _text(entry["ValueFrom"]) for entry in CONTAINER["Secrets"] if "Name" in entry}
    assert given.keys() == {"PGPASSWORD", "CLAIMSIGHT_OIDC_CLIENT_SECRET", "CLAIMSIGHT_CHECK_KEY"}
    assert "ConsoleLogin" in given["PGPASSWORD"]
    (condition, key, _) = CONTAINER["Secrets"][-1]["Fn::If"]
    assert (condition, key["Name"]) == ("Pseudonyms", variable("pseudonym_key"))
    assert {"Fn::If": ["Pseudonyms", key["ValueFrom"], {"Ref": "AWS::NoValue"}]} in [
        resource
        for statement in _properties("ExecutionRole")["Policies"][0]["PolicyDocument"]["Statement"]
        if isinstance(statement["Resource"], list)
        for resource in statement["Resource"]
    ]


def test_the_database_is_given_the_consoles_password() -> None:
    """Bootstrap, which makes the login, gets the same secret as the console."""
    (bootstrap,) = _properties("BootstrapTask", JOBS)["ContainerDefinitions"]
    (secret,) = [one["ValueFrom"] for one in bootstrap["Secrets"] if one["Name"] == "CLAIMSIGHT_PASSWORD_CONSOLE"]
    (own,) = [one["ValueFrom"] for one in CONTAINER["Secrets"] if one.get("Name") == "PGPASSWORD"]
    assert secret == own
    assert "ConsoleLogin" in _allowed("BootstrapExecutionRole", JOBS)["secretsmanager:GetSecretValue"]
    assert '"claimsight_console_login"' in _text(_properties("ConsoleLogin", DATA)).replace('\\"', '"')


def test_the_console_can_do_little() -> None:
    """It reads models and puts what starts score after a rollback; nothing else of AWS."""
    allowed = _allowed("Role")
    assert allowed.keys() == {
        "s3:ListBucket",
        "s3:GetObject",
        "kms:Decrypt",
        "events:DescribeEventBus",
        "events:PutEvents",
    }
    assert "/models/*" in allowed["s3:GetObject"]
    assert "models/*" in allowed["s3:ListBucket"]
    (event,) = [rule for rule in RULES if rule.event == "ModelPromoted"]
    assert event.starts == ("score",)
    assert '"events:detail-type": ["ModelPromoted"]' in allowed["events:PutEvents"]
    assert all("event-bus/claimsight-${Environment}" in allowed[action] for action in allowed if "events:" in action)


def test_hours_are_an_option() -> None:
    """Only where they are asked for it opens on weekdays, with all tasks, and closes every day, with none."""
    assert TEMPLATE["Parameters"]["ConsoleHours"]["Default"] == "always"
    assert RESOURCES["Hours"]["Condition"] == "Closes"
    assert TEMPLATE["Conditions"]["Closes"] == {"Fn::Equals": [{"Ref": "ConsoleHours"}, "weekdays"]}
    hours = _properties("Hours")
    assert (hours["ServiceNamespace"], hours["ScalableDimension"]) == ("ecs", "ecs:service:DesiredCount")
    assert hours["ResourceId"]["Fn::Sub"][0] == "service/${Cluster}/${Service.Name}"
    opening, closing = hours["ScheduledActions"]
    tasks = {"Ref": "ConsoleTasks"}
    assert opening["ScalableTargetAction"] == {"MinCapacity": tasks, "MaxCapacity": tasks}
    assert closing["ScalableTargetAction"] == {"MinCapacity": 0, "MaxCapacity": 0}
    assert (hours["MinCapacity"], hours["MaxCapacity"]) == (0, tasks)
    assert opening["Schedule"]["Fn::Sub"] == "cron(0 ${ConsoleOpens} ? * MON-FRI *)"
    assert closing["Schedule"]["Fn::Sub"] == "cron(0 ${ConsoleCloses} ? * * *)"
    assert opening["Timezone"] == closing["Timezone"] == {"Ref": "ConsoleTimeZone"}


def test_no_new_console_gets_people_unchecked() -> None:
    """CodeDeploy calls the check while the test listener alone leads to the new console; it may, and is answered."""
    ((event, function),) = (hook for one in yaml.safe_load(APPSPEC.read_text())["Hooks"] for hook in one.items())
    assert (event, function) == ("AfterAllowTestTraffic", "<CHECK>")
    name = _properties("Check")["FunctionName"]["Fn::Sub"]
    assert name == "claimsight-${Environment}-console-check"  # as the roll-out fills it in
    assert _allowed("DeploymentRole", DELIVERY)["lambda:InvokeFunction"].count(f":function:{name}") == 1
    names = (_properties("Application", DELIVERY)["ApplicationName"], GROUP["DeploymentGroupName"])
    assert names == ({"Fn::Sub": "claimsight-${Environment}-console"},) * 2
    group = ":deploymentgroup:claimsight-${Environment}-console/claimsight-${Environment}-console"
    assert group in _allowed("CheckRole")["codedeploy:PutLifecycleEventHookExecutionStatus"]


def test_check_and_probe_have_what_they_need() -> None:
    """Each is a function of the launcher's zip, has all variables it reads, and time for what it waits for."""
    both = _properties("Check"), _properties("Probe")
    assert [function["Handler"] for function in both] == ["launcher.console.handle", "launcher.console.ask"]
    assert all(callable(getattr(check, function["Handler"].rpartition(".")[2])) for function in both)
    assert all(
        function["Code"] == {"S3Bucket": {"Ref": "LauncherBucket"}, "S3Key": {"Ref": "LauncherKey"}}
        for function in both
    )
    read = re.findall(r"environment\[['\"](\w+)['\"]\]", inspect.getsource(check))
    assert set(read) == _properties("Check")["Environment"]["Variables"].keys()
    assert _properties("Probe")["Timeout"] > check.PATIENCE + check.POLL + check.ANSWER_SECONDS
    assert check.PATIENT.read_timeout > _properties("Probe")["Timeout"]
    assert _properties("Check")["Timeout"] > check.AWAKE_SECONDS + check.POLL + check.PATIENT.read_timeout
    assert _properties("Check")["Environment"]["Variables"]["PORT"] == str(_properties("TestListener")["Port"])


def test_the_probe_may_do_nothing_of_aws() -> None:
    """It is in the VPC and asks the console; what Lambda does by its role to put it there, its code may not."""
    (policy,) = _properties("ProbeRole")["Policies"]
    logs, network, denied = policy["PolicyDocument"]["Statement"]
    assert set(logs["Action"]) == {"logs:CreateLogStream", "logs:PutLogEvents"}
    assert (network["Effect"], denied["Effect"], network["Action"]) == ("Allow", "Deny", denied["Action"])
    assert all(action.startswith("ec2:") for action in network["Action"])
    source = denied["Condition"]["ArnEquals"]["lambda:SourceFunctionArn"]["Fn::Sub"]
    assert source.endswith(":function:" + _properties("Probe")["FunctionName"]["Fn::Sub"])
    assert "VpcConfig" not in _properties("Check")


def test_a_console_that_errs_is_taken_back() -> None:
    """While the one before is still there an alarm, a failure or a person leads people back to it."""
    assert set(GROUP["AutoRollbackConfiguration"]["Events"]) == {
        "DEPLOYMENT_FAILURE",
        "DEPLOYMENT_STOP_ON_ALARM",
        "DEPLOYMENT_STOP_ON_REQUEST",
    }
    alarm = _properties("ErrorAlarm")
    assert alarm["AlarmName"]["Fn::Sub"] == "claimsight-${Environment}-console-errors"  # as the roll-out asks for it
    assert GROUP["AlarmConfiguration"] == {"Enabled": True, "Alarms": [{"Name": alarm["AlarmName"]}]}
    assert alarm["Dimensions"] == [
        {"Name": "LoadBalancer", "Value": {"Fn::GetAtt": ["LoadBalancer", "LoadBalancerFullName"]}}
    ]
    told = GROUP["BlueGreenDeploymentConfiguration"]["TerminateBlueInstancesOnDeploymentSuccess"]
    assert told["Action"] == "TERMINATE"
    assert told["TerminationWaitTimeInMinutes"] * 60 > alarm["Period"] * alarm["EvaluationPeriods"]


def test_tasks_that_do_not_answer_are_told() -> None:
    """Of both groups, since either may serve; one that is closed has no such figure, and is no alarm."""
    for colour in ("Blue", "Green"):
        alarm = _properties(f"{colour}DownAlarm")
        assert (alarm["MetricName"], alarm["TreatMissingData"]) == ("UnHealthyHostCount", "notBreaching")
        assert alarm["Dimensions"] == [
            {"Name": "LoadBalancer", "Value": {"Fn::GetAtt": ["LoadBalancer", "LoadBalancerFullName"]}},
            {"Name": "TargetGroup", "Value": {"Fn::GetAtt": [f"{colour}Targets", "TargetGroupFullName"]}},
        ]


def test_the_runbook_knows_each_alarm() -> None:
    """Whoever is told finds there what to do."""
    runbook = (APPSPEC.parents[1] / "docs" / "runbook.md").read_text()
    for alarm in _of("AWS::CloudWatch::Alarm").values():
        assert f"`{alarm['AlarmName']['Fn::Sub'].removeprefix('claimsight-${Environment}-')}`" in runbook


def test_codedeploy_knows_the_service_by_its_names() -> None:
    """Cluster, service, groups of targets and listeners are those of the console's stack."""
    (service,) = GROUP["ECSServices"]
    assert service == {
        "ClusterName": _properties("Service")["Cluster"],
        "ServiceName": _properties("Service")["ServiceName"],
    }
    (pair,) = GROUP["LoadBalancerInfo"]["TargetGroupPairInfoList"]
    assert [group["Name"] for group in pair["TargetGroups"]] == [
        _properties(f"{colour}Targets")["Name"] for colour in ("Blue", "Green")
    ]
    for route, output in (("ProdTrafficRoute", "Listener"), ("TestTrafficRoute", "TestListener")):
        exported = TEMPLATE["Outputs"][output]
        assert exported["Value"] == {"Ref": output}
        assert pair[route] == {"ListenerArns": [{"Fn::ImportValue": exported["Export"]["Name"]}]}
    assert GROUP["DeploymentStyle"] == {"DeploymentType": "BLUE_GREEN", "DeploymentOption": "WITH_TRAFFIC_CONTROL"}
    assert GROUP["DeploymentConfigName"] == "CodeDeployDefault.ECSAllAtOnce"
    assert _properties("Application", DELIVERY)["ComputePlatform"] == "ECS"
    passed = _allowed("DeploymentRole", DELIVERY)["iam:PassRole"]
    for role in ("Role", "ExecutionRole"):
        assert f':role/{_properties(role)["RoleName"]["Fn::Sub"]}"' in passed
    assert "ecs-tasks.amazonaws.com" in passed


def test_what_is_imported_is_exported() -> None:
    """Each value that the console takes from another stack is one that a stack made before it gives."""
    imported = set(re.findall(r'"Fn::ImportValue": \{"Fn::Sub": "([^"]+)"', _text([TEMPLATE, DELIVERY])))
    exported = {
        output["Export"]["Name"]["Fn::Sub"]
        for template in (DATA, JOBS, TEMPLATE)
        for output in template["Outputs"].values()
        if "Export" in output
    }
    assert len(imported) > 10
    assert imported <= exported


def test_who_deploys_may_deploy_the_console() -> None:
    """The pipeline's role can do what a roll-out does, on the console alone; CloudFormation's can make its parts."""
    allowed = _allowed("DeployRole", PIPELINE)
    for action, what in {
        "cloudformation:UpdateStack": "claimsight-${Environment}-console-delivery/*",
        "elasticloadbalancing:DescribeListeners": "*",
        "cloudwatch:DescribeAlarms": "*",
        "ecs:UpdateService": "service/claimsight-${Environment}/claimsight-${Environment}-console",
        "ecs:DescribeServices": "service/claimsight-${Environment}/claimsight-${Environment}-console",
        "codedeploy:CreateDeployment": "claimsight-${Environment}-console/claimsight-${Environment}-console",
        "codedeploy:GetDeployment": "claimsight-${Environment}-console/claimsight-${Environment}-console",
        "lambda:InvokeFunction": "function:claimsight-${Environment}-console-check",
    }.items():
        assert what in allowed[action], action
    makes = _allowed("StackRole", PIPELINE)
    assert "codedeploy.amazonaws.com" in makes["iam:PassRole"]
    assert "claimsight-${Environment}-console" in makes["elasticloadbalancing:*"]
    assert "application-autoscaling:RegisterScalableTarget" in makes


def test_what_only_a_team_knows_has_no_default() -> None:
    """Without certificate, domain or sign-in provider there is no console: the roll-out says what is missing."""
    without = {name for name, parameter in TEMPLATE["Parameters"].items() if "Default" not in parameter}
    assert without - GENERATED == {"ConsoleCertificate", "ConsoleDomain", "OidcIssuer", "OidcClientId", "OidcSecret"}


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("ConsoleCertificate", "arn:aws:acm:eu-west-1:123456789012:certificate/1", ""),
        ("ConsoleDomain", "claims.example.com", "https://claims.example.com"),
        ("OidcIssuer", "https://login.example.com/tenant/v2.0", "http://login.example.com"),
        ("OidcSecret", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:oidc-1", "hunter2"),
    ],
)
def test_what_a_team_says_is_looked_at(name: str, good: str, bad: str) -> None:
    """CloudFormation refuses what cannot be right, a secret itself among it, before anything is made."""
    pattern = TEMPLATE["Parameters"][name]["AllowedPattern"]
    assert re.fullmatch(pattern, good)
    assert not re.fullmatch(pattern, bad)
