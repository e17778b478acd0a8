"""A local AWS: the stacks of ``deploy/templates`` on an emulator, whose tasks are containers of the built images.

::

    python -m deploy.local.aws up       what `make up-aws` does; DATA and LINES as told
    python -m deploy.local.aws down     removes all of it

It listens on loopback and on Docker's bridge. What it is no evidence of stands in the README.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import boto3
import docker
from botocore.config import Config
from docker.errors import DockerException, ImageNotFound, NotFound
from requests.exceptions import RequestException

from deploy.rollout import verbs
from deploy.rollout.account import Account, RolloutError
from shared.arguments import Parser
from shared.choreography import STAGES, Stage
from shared.errors import ClaimsightError, ConfigError, TransientError

HOME = Path(".claimsight/aws")
PORT = 4566
ENVIRONMENT = "dev"
REGION = "us-east-1"
"""The emulator's own."""
PREFIX = f"claimsight-{ENVIRONMENT}"
START_SECONDS = 60
ANSWER_SECONDS = 900
"""A rehearsal takes as long as a function may."""
SETTINGS = {"DatabaseSslMode": "prefer", "Protect": "false", "Schedules": "DISABLED"}
"""Of the stacks' parameters those that differ here: the emulator's Postgres knows no TLS, nothing is to be kept, and
nothing is to happen unasked."""


@dataclass(frozen=True)
class _Context(verbs.Context):
    """An environment whose parameters are in part those of a local AWS."""

    parameters: Mapping[str, str] = field(default_factory=dict)

    def configuration(self) -> tuple[dict[str, str], dict[str, str]]:
        configured, tags = super().configuration()
        return {**configured, **SETTINGS, **self.parameters}, tags


@dataclass(frozen=True)
class LocalAws:
    """A running emulator, and the roll-outs of an account on it.

    Attributes
    ----------
    lines : str
        Lines of business, comma-separated.
    """

    port: int
    lines: str = "demo"

    def client(self, service: str) -> Any:
        """A client of boto3 for one of its services."""
        return _client(self.port, service)

    def provision(self) -> None:
        """Make the stack of the data."""
        verbs.provision(self._context, ("data",))

    def release(self, identity: str, images: Mapping[Stage, str]) -> None:
        """Push local images, make a release of them and roll it out.

        Raises
        ------
        RolloutError
            As :func:`deploy.rollout.verbs.rollout` does.
        """
        for stage, name in images.items():
            self._push(name, stage, f"release-{identity}")
        verbs.record(self._context, f"release-{identity}", "unknown")
        verbs.rollout(self._context, identity)

    def rollback(self) -> None:
        """Roll the release before out again."""
        verbs.rollback(self._context)

    @property
    def _context(self) -> _Context:
        # There is no CodeDeploy: the roll-out calls the hook itself.
        return _Context(Account(ENVIRONMENT, self.client), code_deploy=False, parameters={"Lines": self.lines})

    def _push(self, name: str, stage: Stage, tag: str) -> None:
        repository = f"127.0.0.1:{self.port}/{PREFIX}/{stage}"
        try:
            _engine().images.get(name).tag(repository, tag)
        except ImageNotFound:
            raise ConfigError(f"image {name} is not built; run make images") from None
        said = [json.loads(line) for line in _engine().images.push(repository, tag).splitlines()]
        if failed := [line["error"] for line in said if "error" in line]:
            raise TransientError(f"image {name} cannot be pushed: {failed[0]}")


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


def image_name(name: str) -> str:
    """Name of an image, as `docker-bake.hcl` tags it."""
    registry = os.environ.get("REGISTRY", "").rstrip("/")
    return f"{registry + '/' if registry else ''}claimsight/{name}:{os.environ.get('TAG') or 'dev'}"


def bridge() -> str:
    """Address of this machine on Docker's bridge."""
    return gateway(_engine().networks.get("bridge").attrs["IPAM"]["Config"][0])


def gateway(network: Mapping[str, str]) -> str:
    """Address of this machine in a network, of which the engine tells none while its bridge is new: then the first.

    >>> gateway({"Subnet": "172.17.0.0/16"}), gateway({"Subnet": "10.1.0.0/24", "Gateway": "10.1.0.9"})
    ('172.17.0.1', '10.1.0.9')
    """
    return network.get("Gateway") or str(next(ip_network(network["Subnet"]).hosts()))


@cache
def _client(port: int, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(read_timeout=ANSWER_SECONDS, retries={"total_max_attempts": 1}),
    )


@cache
def _engine() -> docker.DockerClient:
    try:
        client = docker.from_env(timeout=ANSWER_SECONDS)
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
    parser = Parser(prog="python -m deploy.local.aws", description=__doc__)
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
        aws = LocalAws(PORT, arguments.lines)
        aws.provision()
        aws.release("first", {stage: image_name(stage) for stage in STAGES})
    except (ClaimsightError, RolloutError) as error:
        sys.exit(f"local AWS: {'; '.join(map(str, error.args))}")
    line = arguments.lines.split(",")[0]
    print(f"""\
local AWS: ready at http://127.0.0.1:{PORT}; its log is {HOME}/emulator.log; make down-aws removes it
  export AWS_ENDPOINT_URL=http://127.0.0.1:{PORT} AWS_DEFAULT_REGION={REGION}
  export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
  aws s3 cp claims.csv s3://{PREFIX}-drop-000000000000-{REGION}/drop/{line}/claims/claims.csv   starts etl
  aws logs tail --follow /claimsight/{ENVIRONMENT}/etl
  aws ecs list-tasks --cluster {PREFIX} --desired-status STOPPED""")


if __name__ == "__main__":
    main()
