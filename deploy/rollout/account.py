"""The account, as far as a roll-out reads and changes it: stacks, releases, images, the launcher."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from .release import FOLDER, TEMPLATES, Deployment, Release, from_json

POLL = 5.0
"""Seconds between two looks at a stack."""
CAPABILITIES = ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]


class RolloutError(Exception):
    """AWS did not do what it was asked: one line a reason."""


@dataclass(frozen=True)
class Template:
    """A template; by the address at which it lies CloudFormation takes 1,000,000 bytes, without one 51,200."""

    text: str
    url: str = ""

    @property
    def source(self) -> dict[str, str]:
        """What a request says of it."""
        return {"TemplateURL": self.url} if self.url else {"TemplateBody": self.text}


class Account:
    """One environment in the account and region of the credentials.

    Parameters
    ----------
    environment : str
        ``dev``, ``staging`` or ``prod``.
    client : callable
        Gives the botocore client of a service.
    """

    def __init__(self, environment: str, client: Callable[[str], Any]) -> None:
        self.environment = environment
        self.client = client

    # Stacks

    def stack(self, name: str) -> dict[str, Any] | None:
        """A stack of the environment (``data``, ``jobs``, …), or one by its ARN; None if there is none."""
        try:
            found: list[dict[str, Any]] = self.client("cloudformation").describe_stacks(StackName=self._full(name))[
                "Stacks"
            ]
        except ClientError as error:
            if "does not exist" in error.response["Error"].get("Message", ""):
                return None
            raise
        return found[0] if found and found[0]["StackStatus"] != "DELETE_COMPLETE" else None

    def outputs(self, name: str) -> dict[str, str]:
        """Outputs of a stack; none if there is no stack."""
        return _pairs((self.stack(name) or {}).get("Outputs", ()), "Output")

    def parameters(self, name: str) -> dict[str, str]:
        """Parameters that a stack was last deployed with; none if there is no stack."""
        return _pairs((self.stack(name) or {}).get("Parameters", ()), "Parameter")

    def template(self, name: str) -> str:
        """Template that a stack was last deployed with; empty if there is no stack."""
        if self.stack(name) is None:
            return ""
        answer = self.client("cloudformation").get_template(StackName=self._full(name), TemplateStage="Original")
        body = answer["TemplateBody"]
        return body if isinstance(body, str) else json.dumps(body)

    def resources(self, name: str, kind: str) -> list[str]:
        """Physical ids of a stack's resources of one type."""
        if self.stack(name) is None:
            return []
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self._full(name))
        return [
            found["PhysicalResourceId"]
            for page in pages
            for found in page["StackResourceSummaries"]
            if found["ResourceType"] == kind and found.get("PhysicalResourceId")
        ]

    def declared(self, template: Template) -> dict[str, str | None]:
        """A template's parameters with their defaults, None where there is none; raises what AWS has against it."""
        answer = self.client("cloudformation").validate_template(**template.source)
        return {found["ParameterKey"]: found.get("DefaultValue") for found in answer["Parameters"]}

    def deploy(self, name: str, template: Template, parameters: Mapping[str, str], tags: Mapping[str, str]) -> str:
        """Begin to make or update a stack; its ARN, or nothing if it is so already."""
        cloudformation = self.client("cloudformation")
        asked = self._change(name, template, parameters, tags)
        if self.stack(name) is None:
            # One that cannot be made leaves nothing behind that keeps the next attempt from making it.
            return str(cloudformation.create_stack(**asked, OnFailure="DELETE")["StackId"])
        try:
            return str(cloudformation.update_stack(**asked)["StackId"])
        except ClientError as error:
            if "No updates are to be performed" in error.response["Error"].get("Message", ""):
                return ""
            raise

    def preview(
        self, name: str, template: Template, parameters: Mapping[str, str], tags: Mapping[str, str]
    ) -> list[dict[str, Any]]:
        """What CloudFormation says it would change: a change set that is made, read and removed."""
        cloudformation = self.client("cloudformation")
        change = {"StackName": self._full(name), "ChangeSetName": f"look-{int(time.time())}"}
        new = self.stack(name) is None
        cloudformation.create_change_set(
            **self._change(name, template, parameters, tags),
            ChangeSetName=change["ChangeSetName"],
            ChangeSetType="CREATE" if new else "UPDATE",
        )
        try:
            while (found := cloudformation.describe_change_set(**change))["Status"].endswith(("PENDING", "PROGRESS")):
                time.sleep(POLL)
            if found["Status"] == "FAILED" and "didn't contain changes" not in found.get("StatusReason", ""):
                raise RolloutError(found.get("StatusReason", "the change set failed"))
            return [one["ResourceChange"] for one in found.get("Changes", ())]
        finally:
            cloudformation.delete_change_set(**change)
            if new:  # a change set for a new stack leaves an empty one
                cloudformation.delete_stack(StackName=self._full(name))

    def wait(self, name: str) -> str:
        """Wait until a stack (or ARN) is at rest; its status.

        Raises
        ------
        RolloutError
            It came to rest where it had been before, or worse; with the reasons of what failed, the first first.
        """
        while (status := self._status(name)).endswith("IN_PROGRESS"):
            time.sleep(POLL)
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise RolloutError(f"{self._full(name)} is in {status}", *self._reasons(name))
        return status

    def _status(self, name: str) -> str:
        stack = self.stack(name)
        return stack["StackStatus"] if stack else "DELETE_COMPLETE"

    def _reasons(self, name: str) -> list[str]:
        """What failed in the newest operation, the first first; what was cancelled because of it is left out."""
        reasons = []
        for event in self.client("cloudformation").describe_stack_events(StackName=self._full(name))["StackEvents"]:
            reason = event.get("ResourceStatusReason", "")
            if event["ResourceStatus"].endswith("FAILED") and "cancelled" not in reason:
                reasons.append(f"{event['LogicalResourceId']}: {reason}")
            if event["ResourceType"] == "AWS::CloudFormation::Stack" and "User Initiated" in reason:
                break
        return reasons[::-1]

    def _change(
        self, name: str, template: Template, parameters: Mapping[str, str], tags: Mapping[str, str]
    ) -> dict[str, Any]:
        # On a laptop as in the pipeline CloudFormation deploys releases by a role of its own, once there is one.
        role = self.outputs("delivery").get("StackRole") if name in TEMPLATES else None
        return {
            **({"RoleARN": role} if role else {}),
            "StackName": self._full(name),
            **template.source,
            "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
            "Capabilities": CAPABILITIES,
        }

    def _full(self, name: str) -> str:
        return name if name.startswith("arn:") else f"claimsight-{self.environment}-{name}"

    # Releases

    @cached_property
    def bucket(self) -> str:
        """The artifact bucket.

        Raises
        ------
        RolloutError
            There is no stack ``data`` yet.
        """
        try:
            return self.outputs("data")["ArtifactBucket"]
        except KeyError:
            raise RolloutError(f"{self._full('data')} is not there yet: provision comes first") from None

    def read(self, key: str) -> bytes:
        """An object of the artifact bucket."""
        body: bytes = self.client("s3").get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return body

    def keep(self, release: Release, templates: Mapping[str, bytes], launcher: bytes) -> None:
        """Store a release; its description comes last, so that what is described is there."""
        parts = {
            release.launcher_key: launcher,
            **{release.template_key(name): template for name, template in templates.items()},
            f"{release.folder}/release.json": release.to_json().encode(),
        }
        for key, body in parts.items():
            self.client("s3").put_object(Bucket=self.bucket, Key=key, Body=body)

    def release(self, identity: str) -> Release:
        """A stored release.

        Raises
        ------
        RolloutError
            There is none of this id.
        """
        try:
            return from_json(self.read(f"{FOLDER}/{identity}/release.json").decode())
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                raise RolloutError(f"{self.bucket} has no release {identity}; `history` lists what ran") from None
            raise

    def releases(self) -> list[str]:
        """Ids of all stored releases, the oldest first."""
        keys = self._keys(f"{FOLDER}/")
        return sorted(key.split("/")[1] for key in keys if key.endswith("/release.json"))

    def template_of(self, release: Release, name: str) -> Template:
        """One of the templates that a release has."""
        key = release.template_key(name)
        return Template(self.read(key).decode(), f"{self.client('s3').meta.endpoint_url}/{self.bucket}/{key}")

    def launcher_sha256(self, release: Release) -> str:
        """Digest of the zip as it lies there."""
        return hashlib.sha256(self.read(release.launcher_key)).hexdigest()

    def note(self, release: Release) -> Deployment:
        """Write down that a release runs now."""
        deployment = Deployment(
            release.id,
            release.git_sha,
            datetime.now(UTC).isoformat(timespec="microseconds"),  # the key by which they are in order
            self.client("sts").get_caller_identity()["Arn"],
        )
        body = json.dumps(asdict(deployment)).encode()
        self.client("s3").put_object(Bucket=self.bucket, Key=deployment.key, Body=body)
        return deployment

    def deployments(self) -> list[Deployment]:
        """All that ever ran, in order of time."""
        return [Deployment(**json.loads(self.read(key))) for key in sorted(self._keys("deployments/"))]

    def _keys(self, prefix: str) -> list[str]:
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", ())]

    # Images

    def registry(self) -> tuple[str, str]:
        """The account's image registry, as ``docker login`` wants it, and its password (user ``AWS``)."""
        (given,) = self.client("ecr").get_authorization_token()["authorizationData"]
        password = base64.b64decode(given["authorizationToken"]).decode().partition(":")[2]
        return given["proxyEndpoint"].partition("://")[2], password

    def image(self, name: str, tag: str) -> str | None:
        """An image by its digest, found by its tag: ``repository@sha256:…``; None if it was not pushed."""
        repository = f"claimsight-{self.environment}/{name}"
        found = self._images(repository, {"imageTag": tag})
        if not found:
            return None
        ecr = self.client("ecr")
        uri = ecr.describe_repositories(repositoryNames=[repository])["repositories"][0]["repositoryUri"]
        return f"{uri}@{found[0]['imageDigest']}"

    def has_image(self, image: str) -> bool:
        """Whether the registry holds ``repository@sha256:…``."""
        uri, _, digest = image.partition("@")
        return bool(self._images(uri.partition("/")[2], {"imageDigest": digest}))

    def _images(self, repository: str, wanted: Mapping[str, str]) -> list[dict[str, Any]]:
        try:
            answer = self.client("ecr").describe_images(repositoryName=repository, imageIds=[wanted])
        except ClientError as error:
            if error.response["Error"]["Code"] in ("ImageNotFoundException", "RepositoryNotFoundException"):
                return []
            raise
        return list(answer["imageDetails"])

    # What verify asks

    def role(self, name: str) -> list[str]:
        """Services that may assume a role; none if there is no such role."""
        try:
            role = self.client("iam").get_role(RoleName=name)["Role"]
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchEntity", "NoSuchEntityException"):
                return []
            raise
        trust = role["AssumeRolePolicyDocument"]
        statements = (json.loads(trust) if isinstance(trust, str) else trust)["Statement"]
        return [str(statement["Principal"].get("Service", "")) for statement in statements]

    def has_secret(self, arn: str) -> bool:
        """Whether a secret is there, and not about to be deleted."""
        try:
            return "DeletedDate" not in self.client("secretsmanager").describe_secret(SecretId=arn)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return False
            raise

    def has_log_group(self, name: str) -> bool:
        """Whether a log group is there."""
        found = self.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        return any(group["logGroupName"] == name for group in found)

    def has_deployment_group(self) -> bool:
        """Whether CodeDeploy has what shifts the launcher's alias."""
        name = f"claimsight-{self.environment}"
        try:
            self.client("codedeploy").get_deployment_group(applicationName=name, deploymentGroupName=name)
        except ClientError as error:
            if error.response["Error"]["Code"].endswith("DoesNotExistException"):
                return False
            raise
        return True

    # The launcher

    def live(self) -> dict[str, str] | None:
        """What runs: environment of the version that the alias names, with ``VERSION`` and ``SINCE``; None at first."""
        functions = self.client("lambda")
        name = f"claimsight-{self.environment}-launcher"
        try:
            version = functions.get_alias(FunctionName=name, Name="live")["FunctionVersion"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return None
            raise
        found = functions.get_function_configuration(FunctionName=name, Qualifier=version)
        return {**found["Environment"]["Variables"], "VERSION": version, "SINCE": found["LastModified"]}

    def image_of(self, definition: str) -> str:
        """Image of a task definition's container."""
        found = self.client("ecs").describe_task_definition(taskDefinition=definition)["taskDefinition"]
        return str(found["containerDefinitions"][0]["image"])

    def rehearse(self) -> list[str]:
        """Run the rehearsal where CodeDeploy does not: its problems."""
        answer = self.client("lambda").invoke(FunctionName=f"claimsight-{self.environment}-smoke", Payload=b"{}")
        said = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            return [str(said.get("errorMessage", "the rehearsal crashed"))]
        return list(said["problems"])

    def announce(self, release: Release) -> None:
        """Tell the launcher that a release was deployed."""
        answer = self.client("events").put_events(
            Entries=[
                {
                    "EventBusName": f"claimsight-{self.environment}",
                    "Source": "claimsight",
                    "DetailType": "ReleaseDeployed",
                    "Detail": json.dumps({"release": release.id, "git_sha": release.git_sha}),
                }
            ]
        )
        if answer["FailedEntryCount"]:
            raise RolloutError(f"ReleaseDeployed was refused: {answer['Entries'][0].get('ErrorMessage')}")


def _pairs(found: Any, kind: str) -> dict[str, str]:
    return {one[f"{kind}Key"]: one[f"{kind}Value"] for one in found}
