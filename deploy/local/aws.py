"""A local AWS: the stacks of ``deploy/templates`` on an emulator, whose tasks are containers of the built images.

::

    python -m deploy.local.aws up       what `make up-aws` does; DATA and LINES as told
    python -m deploy.local.aws down     removes all of it

It listens on loopback and on Docker's bridge. What it is no evidence of stands in the README.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import boto3
import docker
from botocore.config import Config
from botocore.exceptions import WaiterError
from docker.errors import DockerException, ImageNotFound, NotFound
from requests.exceptions import RequestException

from deploy.launcher.pack import digest, pack
from shared.choreography import STAGES, Stage
from shared.errors import ClaimsightError, ConfigError, TransientError

TEMPLATES = Path(__file__).parents[1] / "templates"
HOME = Path(".claimsight/aws")
PORT = 4566
ENVIRONMENT = "dev"
REGION = "us-east-1"
"""The emulator's own."""
PREFIX = f"claimsight-{ENVIRONMENT}"
START_SECONDS = 60
STACK_SECONDS = 300
SETTINGS = {"Environment": ENVIRONMENT, "DatabaseSslMode": "prefer", "Spot": "0", "Protect": "false"}
"""Of the stacks' parameters those that differ here: the emulator's Postgres knows no TLS, and nothing is to be kept."""


@dataclass(frozen=True)
class LocalAws:
    """A running emulator."""

    port: int

    def client(self, service: str) -> Any:
        """A client of boto3 for one of its services."""
        return _client(self.port, service)

    def stack(self, name: str, parameters: Mapping[str, str]) -> dict[str, str]:
        """Create or update a stack from its template; gives its outputs.

        Raises
        ------
        ConfigError
            It cannot be made; the message says which resource fails and why.
        """
        formation, full = self.client("cloudformation"), f"{PREFIX}-{name}"
        body = (TEMPLATES / f"{name}.yaml").read_text()
        known = {item["ParameterKey"] for item in formation.get_template_summary(TemplateBody=body)["Parameters"]}
        given = [
            {"ParameterKey": key, "ParameterValue": value}
            for key, value in {**SETTINGS, **parameters}.items()
            if key in known
        ]
        there = full in {stack["StackName"] for stack in formation.describe_stacks()["Stacks"]}
        write, waiter = (
            (formation.update_stack, "stack_update_complete")
            if there
            else (formation.create_stack, "stack_create_complete")
        )
        write(StackName=full, TemplateBody=body, Parameters=given, Capabilities=["CAPABILITY_NAMED_IAM"])
        try:
            formation.get_waiter(waiter).wait(StackName=full, WaiterConfig={"Delay": 1, "MaxAttempts": STACK_SECONDS})
        except WaiterError as error:
            events = formation.describe_stack_events(StackName=full)["StackEvents"]
            failed = [event for event in events if event["ResourceStatus"].endswith("_FAILED")]
            said = "; ".join(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}" for event in failed)
            raise ConfigError(f"stack {full}: {said or error}") from error
        (stack,) = formation.describe_stacks(StackName=full)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", ())}

    def push(self, images: Mapping[Stage, str]) -> dict[Stage, str]:
        """Push local images to the emulator's registry; gives each one's name there, by digest."""
        client, pushed = _engine(), {}
        for stage, name in images.items():
            repository = f"127.0.0.1:{self.port}/{PREFIX}/{stage}"
            try:
                image = client.images.get(name)
            except ImageNotFound:
                raise ConfigError(f"image {name} is not built; run make images") from None
            tag = image.id.removeprefix("sha256:")[:12]
            image.tag(repository, tag)
            said = [json.loads(line) for line in client.images.push(repository, tag).splitlines()]
            if failed := [line["error"] for line in said if "error" in line]:
                raise TransientError(f"image {name} cannot be pushed: {failed[0]}")
            (pushed[stage],) = [line["aux"]["Digest"] for line in said if "aux" in line]
            pushed[stage] = f"{repository}@{pushed[stage]}"
        return pushed

    def release(self, name: str, images: Mapping[Stage, str], lines: str, bucket: str) -> dict[str, str]:
        """Make a release of images that were pushed; gives the outputs of the stack of the jobs."""
        launcher = pack()
        key = f"releases/launcher-{digest(launcher)}.zip"
        self.client("s3").put_object(Bucket=bucket, Key=key, Body=launcher)
        of_images = {f"Image{stage.capitalize()}": image for stage, image in images.items()}
        code = {"LauncherBucket": bucket, "LauncherKey": key}
        return self.stack("jobs", {"Release": name, "Lines": lines, **of_images, **code})

    def rehearse(self) -> dict[str, Any]:
        """Call the hook that CodeDeploy would call before it shifts traffic; gives its answer."""
        answer = self.client("lambda").invoke(FunctionName=f"{PREFIX}-smoke", Payload=b"{}")
        result: dict[str, Any] = json.loads(answer["Payload"].read())
        return result


@contextmanager
def local_aws(home: Path, port: int) -> Iterator[LocalAws]:
    """Have an emulator while the block lasts; its log is in a folder.

    Raises
    ------
    ConfigError
        No engine answers, or the Postgres image is not built.
    TransientError
        The emulator does not start.
    """
    process = start(home, port)
    try:
        yield LocalAws(port)
    finally:
        stop(process, port)


def start(home: Path, port: int) -> int:
    """Start an emulator as a process of its own, and wait until it answers; gives its number."""
    client = _engine()
    postgres = image_name("postgres")
    try:
        postgres = str(client.images.get(postgres).id)
    except ImageNotFound:
        raise ConfigError(f"image {postgres} is not built; run make images") from None
    home.mkdir(parents=True, exist_ok=True)
    environment = {
        # The functions of Lambda are run by the first python3, which has to have boto3.
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(home.resolve()),
        "TMPDIR": str(home.resolve()),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        "MINISTACK_DOCKER_TIMEOUT": "120",
        "LOCAL_AWS_BRIDGE": bridge(),
        "LOCAL_AWS_POSTGRES": postgres,
        "IOT_MTLS_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
        **({"DOCKER_HOST": os.environ["DOCKER_HOST"]} if "DOCKER_HOST" in os.environ else {}),
    }
    with (home / "emulator.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy.local.aws_emulator"],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while not _answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            stop(process.pid, port)
            tail = " | ".join((home / "emulator.log").read_text().splitlines()[-3:])
            raise TransientError(f"the emulator does not start on port {port}: {tail}")
        time.sleep(0.1)
    return process.pid


def stop(process: int, port: int) -> None:
    """Stop an emulator and remove all that it made in the engine."""
    if "deploy.local.aws_emulator" in _command(process):
        os.kill(process, signal.SIGTERM)
        deadline = time.monotonic() + START_SECONDS
        while "deploy.local.aws_emulator" in _command(process) and time.monotonic() < deadline:
            with suppress(ChildProcessError):
                os.waitpid(process, os.WNOHANG)
            time.sleep(0.1)
    client = _engine()
    mine = {"label": f"ministack.instance={socket.gethostname()}:{port}"}
    for container in client.containers.list(all=True, filters=mine, ignore_removed=True):
        with suppress(NotFound):
            container.remove(force=True, v=True)
    for image in client.images.list():
        for name in [*image.tags, *image.attrs["RepoDigests"]]:
            if name.startswith(f"127.0.0.1:{port}/"):
                with suppress(ImageNotFound):
                    client.images.remove(name)


def up(aws: LocalAws, images: Mapping[Stage, str], lines: str) -> dict[str, str]:
    """Create all stacks with a first release; gives the outputs of both.

    Raises
    ------
    ConfigError
        The release's rehearsal fails, which also makes the database ready for it.
    """
    data = aws.stack("data", {})
    jobs = aws.release("first", aws.push(images), lines, data["ArtifactBucket"])
    answer = aws.rehearse()
    if answer.get("status") != "Succeeded":
        raise ConfigError(*map(str, answer.get("problems", [answer])))
    return data | jobs


def image_name(name: str) -> str:
    """Name of an image, as `docker-bake.hcl` tags it."""
    registry = os.environ.get("REGISTRY", "").rstrip("/")
    return f"{registry + '/' if registry else ''}claimsight/{name}:{os.environ.get('TAG') or 'dev'}"


def bridge() -> str:
    """Address of this machine on Docker's bridge."""
    return str(_engine().networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"])


@cache
def _client(port: int, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(read_timeout=STACK_SECONDS, retries={"total_max_attempts": 1}),
    )


@cache
def _engine() -> docker.DockerClient:
    try:
        client = docker.from_env(timeout=STACK_SECONDS)
        client.ping()
    except (DockerException, RequestException) as error:
        raise ConfigError("no Docker engine answers; run make engine") from error
    return client


def _answers(port: int) -> bool:
    with suppress(OSError, HTTPException):
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/_ministack/health")
        return connection.getresponse().status == 200
    return False


def _command(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return ""


def main() -> None:
    """Bring it up, or take it down, as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.aws", description=__doc__)
    parser.add_argument("verb", choices=["up", "down"])
    parser.add_argument("--lines", default="demo", help="lines of business, comma-separated; default: demo")
    arguments = parser.parse_args()
    state = HOME / "state.json"
    found = json.loads(state.read_text()) if state.exists() else None
    try:
        if found:
            stop(found["process"], found["port"])
            state.unlink()
        if arguments.verb == "down":
            print("local AWS: removed" if found else "local AWS: there is none")
            return
        process = start(HOME, PORT)
        state.write_text(json.dumps({"process": process, "port": PORT}))
        outputs = up(LocalAws(PORT), {stage: image_name(stage) for stage in STAGES}, arguments.lines)
    except ClaimsightError as error:
        sys.exit(f"local AWS: {error}")
    line = arguments.lines.split(",")[0]
    print(f"""\
local AWS: ready at http://127.0.0.1:{PORT}; its log is {HOME}/emulator.log; make down-aws removes it
  export AWS_ENDPOINT_URL=http://127.0.0.1:{PORT} AWS_DEFAULT_REGION={REGION}
  export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
  aws s3 cp claims.csv s3://{outputs["DropBucket"]}/drop/{line}/claims/claims.csv     starts etl, and etl score
  aws logs tail --follow /claimsight/{ENVIRONMENT}/etl
  aws ecs list-tasks --cluster {PREFIX} --desired-status STOPPED""")


if __name__ == "__main__":
    main()
