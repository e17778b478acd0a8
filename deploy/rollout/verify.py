"""What has to hold before anything is changed: asked of the account, one finding a question."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from botocore.exceptions import ClientError

from deploy.template import parse
from shared.choreography import RULES

from .account import Account, Template
from .release import CONSOLE, Release

UPDATABLE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE")
RATE = re.compile(r"rate\((1 (minute|hour|day)|[1-9]\d* (minutes|hours|days))\)")
SECRET = re.compile(r"arn:[^:]+:secretsmanager:")
ASSUMED_BY = ("ecs-tasks.amazonaws.com", "lambda.amazonaws.com", "scheduler.amazonaws.com")


@dataclass(frozen=True)
class Finding:
    """The answer to one question; ``problem`` is empty if all is well."""

    question: str
    problem: str = ""


def verify(
    account: Account,
    release: Release,
    stacks: Mapping[str, tuple[Template, Mapping[str, str]]],
    *,
    code_deploy: bool = True,
) -> Iterator[Finding]:
    """Ask whether a release could be deployed.

    Parameters
    ----------
    account : Account
    release : Release
    stacks : Mapping
        By the name of each stack to be deployed, ``jobs`` the first: its template, as the release has it, and all
        parameters that this is going to get.
    code_deploy : bool
        Whether there has to be a deployment group; false where there is no CodeDeploy.

    Yields
    ------
    Finding
        As each is known.
    """
    for stack in ("data", *stacks):
        yield _stack(account, stack)
    for name, (template, parameters) in stacks.items():
        yield _template(account, name, template, parameters)
    template, parameters = stacks["jobs"]
    for stage, image in release.images.items():
        found = account.has_image(image)
        yield Finding(f"image of {stage}", "" if found else f"{image} is not in the registry: push or promote it")
    yield _launcher(account, release)
    yield _contracts(release, parameters)
    yield _schedules(template.text)
    if CONSOLE in stacks:
        yield _console(account, release, stacks[CONSOLE][1])
    for name, value in account.outputs("data").items():
        if SECRET.match(value):
            found = account.has_secret(value)
            yield Finding(f"secret {name}", "" if found else "it is gone, or about to be deleted")
    for role in account.resources("jobs", "AWS::IAM::Role"):
        services = account.role(role)
        fits = any(service in ASSUMED_BY for service in services)
        yield Finding(f"role {role}", "" if fits else "no service of ours may assume it")
    for group in account.resources("jobs", "AWS::Logs::LogGroup"):
        found = account.has_log_group(group)
        yield Finding(
            f"log group {group}", "" if found else "it was deleted by hand: CloudFormation will not make it anew"
        )
    if code_deploy:
        found = account.has_deployment_group()
        yield Finding("deployment group", "" if found else "it is not there: provision makes the stack `delivery`")


def _stack(account: Account, name: str) -> Finding:
    question = f"stack {name}"
    stack = account.stack(name)
    if stack is None:
        return Finding(question, "it is not there yet: provision comes first" if name == "data" else "")
    status = stack["StackStatus"]
    if status in UPDATABLE:
        return Finding(question)
    advice = "wait for it" if status.endswith("IN_PROGRESS") else "delete it, or continue its rollback, first"
    return Finding(question, f"it is in {status}: {advice}")


def _template(account: Account, name: str, template: Template, parameters: Mapping[str, str]) -> Finding:
    missing = sorted(parameter for parameter in account.declared(template) if parameter not in parameters)
    return Finding(f"template of {name}", f"it wants {', '.join(missing)}" if missing else "")


def _console(account: Account, release: Release, parameters: Mapping[str, str]) -> Finding:
    line = parameters.get("ConsoleLine")
    problems = [] if line in release.contracts else [f"the images have no contract for {line}"]
    if not account.parameters("data").get("ConsoleCidr"):
        problems.append("nobody reaches it: set ConsoleCidr, and provision the stack `data`")
    return Finding("console", "; ".join(problems))


def _launcher(account: Account, release: Release) -> Finding:
    try:
        same = account.launcher_sha256(release) == release.launcher_sha256
    except ClientError as error:
        return Finding("launcher's zip", f"{release.launcher_key}: {error.response['Error']['Code']}")
    return Finding("launcher's zip", "" if same else f"{release.launcher_key} is not what was released")


def _contracts(release: Release, parameters: Mapping[str, str]) -> Finding:
    lines = [line.strip() for line in parameters.get("Lines", "demo").split(",")]
    missing = [line for line in lines if line not in release.contracts]
    held = ", ".join(release.contracts)
    return Finding(
        "contract of each line", f"the images have none for {', '.join(missing)}, but for {held}" if missing else ""
    )


def _schedules(template: str) -> Finding:
    """Every schedule of the one table is in the template, with a valid rate as long as the table says."""
    resources = parse(template)["Resources"].values()
    given = {}
    for schedule in (one["Properties"] for one in resources if one["Type"] == "AWS::Scheduler::Schedule"):
        expression = schedule["ScheduleExpression"]
        if not RATE.fullmatch(expression):
            return Finding("schedules", f"{expression} is no valid rate")
        given[json.loads(schedule["Target"]["Input"])["detail-type"]] = _seconds(expression)
    wanted = {rule.event: int(rule.every.total_seconds()) for rule in RULES if rule.every}
    wrong = sorted(name for name in given.keys() | wanted.keys() if given.get(name) != wanted.get(name))
    return Finding("schedules", f"not as in shared/choreography.py: {', '.join(wrong)}" if wrong else "")


def _seconds(rate: str) -> int:
    """How long a rate is.

    >>> _seconds("rate(1 hour)"), _seconds("rate(7 days)")
    (3600, 604800)
    """
    number, unit = rate[len("rate(") : -1].split()
    return int(number) * {"minute": 60, "hour": 3600, "day": 86400}[unit.removesuffix("s")]
