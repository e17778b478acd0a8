"""A local AWS for the tests of this folder: the templates' stacks with a first release, on a small line of business.

Which images: ``REGISTRY`` and ``TAG``, as for `make images`. With ``REQUIRE_CONTAINER=1`` nothing here may be skipped.
"""

from __future__ import annotations

import io
import json
import socket
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import docker
import psycopg
import pytest
from docker.errors import ImageNotFound
from psycopg.conninfo import make_conninfo

from deploy.local import aws
from deploy.local.aws import ENVIRONMENT, PREFIX, LocalAws
from shared.choreography import STAGES, Stage
from tests import claims_factory
from tests.container.conftest import missing, pytest_runtest_makereport  # noqa: F401  pytest finds it here

HERE = Path(__file__).parent
LINE = claims_factory.SHORT.replace('"garage"', '"demo"')
"""A contract in the place of one that the images hold."""
Images = Callable[[Stage, str], str]
"""Gets a stage and a contract, and gives an image's name."""
PATIENCE = 240.0
"""Seconds for whatever must come to happen; on a quiet machine it takes two to ten."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests of this folder where they cannot run; the engine is not asked if none of them is chosen."""
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    if ours and missing():
        for item in ours:
            item.add_marker(pytest.mark.skip(reason=missing()))


@dataclass
class Cloud:
    """The local AWS, and what tests do with it."""

    aws: LocalAws
    engine: docker.DockerClient
    notes: str = ""
    """URL of the queue that gets all notifications."""
    _told: list[str] = field(default_factory=list)

    def put(self, name: str, text: str) -> None:
        """Drop a file, as a sender does."""
        self.aws.client("s3").put_object(Bucket=self.output("DropBucket"), Key=f"drop/demo/{name}", Body=text.encode())

    def output(self, name: str, stack: str = "data") -> str:
        (found,) = self.aws.client("cloudformation").describe_stacks(StackName=f"{PREFIX}-{stack}")["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}[name]

    def fire(self, schedule: str) -> None:
        """Let a schedule of the stack fire now, once: its target, at another time."""
        scheduler = self.aws.client("scheduler")
        target = scheduler.get_schedule(Name=f"{PREFIX}-{schedule}")["Target"]
        scheduler.create_schedule(
            Name=f"now-{uuid4().hex[:12]}",
            ScheduleExpression=f"at({datetime.now(UTC):%Y-%m-%dT%H:%M:%S})",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target=target,
        )

    def launch(self, event: str, identity: str, **detail: object) -> list[str]:
        """Give the launcher an event as EventBridge would; what it did."""
        given = {"id": identity, "detail-type": event, "source": "claimsight", "detail": {"line": "demo", **detail}}
        answer = self.aws.client("lambda").invoke(
            FunctionName=f"{PREFIX}-launcher", Qualifier="live", Payload=json.dumps(given).encode()
        )
        assert "FunctionError" not in answer, answer["Payload"].read()
        done: list[str] = json.loads(answer["Payload"].read())
        return done

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(query).fetchall()  # type: ignore[arg-type]

    def one(self, query: str) -> Any:
        ((value,),) = self.rows(query)
        return value

    @property
    def url(self) -> str:
        """The database, as its owner."""
        host, port = self.output("DatabaseAddress").split(":")
        secret = self.aws.client("secretsmanager").get_secret_value(SecretId=self.output("DatabaseOwner"))
        password = json.loads(secret["SecretString"])["password"]
        return make_conninfo(host=host, port=port, dbname="claimsight", user="claimsight", password=password)

    @contextmanager
    def locked(self, table: str) -> Iterator[None]:
        """Keep writers out of a table."""
        with psycopg.connect(self.url) as connection:
            connection.execute(f"LOCK TABLE {table} IN SHARE MODE")  # type: ignore[arg-type]
            yield

    def waiting(self, stage: Stage, **tags: str) -> dict[str, Any]:
        """Wait until a stage's task, with some tags, runs and waits for a locked table; the task."""
        query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'"
        running: list[dict[str, Any]] = []

        def found() -> bool:
            running[:] = [task for task in self.tasks(stage, **tags) if task["lastStatus"] == "RUNNING"]
            return bool(running and self.one(query))

        until(found)
        (task,) = running
        return task

    def stopped(self, task: Mapping[str, Any]) -> bool:
        (now,) = self.aws.client("ecs").describe_tasks(cluster=PREFIX, tasks=[task["taskArn"]])["tasks"]
        return bool(now["lastStatus"] == "STOPPED")

    def runs(self, stage: Stage) -> list[tuple[str, int]]:
        """Status and exit code of a stage's runs, in order, as the ledger has them."""
        return self.rows(f"SELECT status, exit_code FROM claimsight.job_runs WHERE stage = '{stage}' ORDER BY run_id")

    def tasks(self, stage: Stage, **tags: str) -> list[dict[str, Any]]:
        """Tasks that the launcher started for a stage, in order; those only that bear some tags."""
        ecs, found = self.aws.client("ecs"), []
        for status in ("RUNNING", "STOPPED"):
            arns = ecs.list_tasks(cluster=PREFIX, family=f"{PREFIX}-{stage}", desiredStatus=status)["taskArns"]
            if arns:
                found += ecs.describe_tasks(cluster=PREFIX, tasks=arns, include=["TAGS"])["tasks"]
        wanted = tags.items()
        ours = [task for task in found if task["group"] == f"{stage}:demo:0/1" and wanted <= tags_of(task).items()]
        return sorted(ours, key=lambda task: task["createdAt"])

    def exit_codes(self, stage: Stage, **tags: str) -> list[int | None]:
        return [task["containers"][0].get("exitCode") for task in self.tasks(stage, **tags)]

    def container(self, task: Mapping[str, Any]) -> Any:
        """A task's container in the engine."""
        (found,) = self.engine.containers.list(filters={"label": f"com.amazonaws.ecs.task-arn={task['taskArn']}"})
        return found

    def lose_image(self, stage: Stage) -> None:
        """Let a stage's images be gone from the registry and from the engine."""
        repository = f"{PREFIX}/{stage}"
        self.aws.client("ecr").delete_repository(repositoryName=repository, force=True)
        full = f"127.0.0.1:{self.aws.port}/{repository}"
        for image in self.engine.images.list(full):
            for name in [*image.tags, *image.attrs["RepoDigests"]]:
                if name.startswith(full):
                    with suppress(ImageNotFound):  # the last tag took the digest along
                        self.engine.images.remove(name)

    def settle(self) -> None:
        """Wait until nothing is at work, nor starts because something ended."""
        quiet = 0

        def settled() -> bool:
            nonlocal quiet
            busy = self.aws.client("ecs").list_tasks(cluster=PREFIX, desiredStatus="RUNNING")["taskArns"]
            quiet = 0 if busy else quiet + 1
            return quiet > 8

        until(settled, pause=0.5)

    def told(self) -> list[str]:
        """All notifications so far."""
        sqs = self.aws.client("sqs")
        while got := sqs.receive_message(QueueUrl=self.notes, MaxNumberOfMessages=10).get("Messages"):
            for message in got:
                self._told.append(json.loads(message["Body"])["Message"])
                sqs.delete_message(QueueUrl=self.notes, ReceiptHandle=message["ReceiptHandle"])
        return list(self._told)

    def log(self, stage: Stage) -> list[dict[str, Any]]:
        """Log records of a stage, from all its tasks."""
        events = self.aws.client("logs").filter_log_events(logGroupName=f"/claimsight/{ENVIRONMENT}/{stage}")["events"]
        return [json.loads(event["message"]) for event in events]


def tags_of(task: Mapping[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in task.get("tags", ())}


def until(true: Callable[[], object], pause: float = 0.25) -> None:
    """Wait for something that must come to be true."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(pause)


def build(engine: docker.DockerClient, stage: Stage, contract: str, tag: str) -> str:
    """Make an image like a stage's, with another contract in it; its name."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        dockerfile = f"FROM {aws.image_name(stage)}\nCOPY demo.toml /app/contracts/\n"
        for name, text in (("Dockerfile", dockerfile), ("demo.toml", contract)):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), 0o644
            archive.addfile(entry, io.BytesIO(text.encode()))
    made.seek(0)
    name = f"claimsight-test/{stage}:{tag}"
    engine.images.build(fileobj=made, custom_context=True, tag=name, rm=True)
    return name


@pytest.fixture(scope="session")
def images() -> Iterator[Images]:
    """Make images with another contract; they are removed in the end."""
    engine, made, session = docker.from_env(timeout=600), list[str](), uuid4().hex[:12]

    def make(stage: Stage, contract: str) -> str:
        made.append(build(engine, stage, contract, f"{session}-{len(made)}"))
        return made[-1]

    yield make
    for name in made:
        engine.images.remove(name)
    engine.close()


@pytest.fixture(scope="session")
def cloud(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The stacks with a first release, whose rehearsal went well; all is gone afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    engine = docker.from_env(timeout=600)
    with aws.local_aws(tmp_path_factory.mktemp("aws"), port) as local:
        local.provision()
        cloud = Cloud(local, engine)
        sqs = local.client("sqs")
        cloud.notes = sqs.create_queue(QueueName="notes")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=cloud.notes, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        local.client("sns").subscribe(TopicArn=cloud.output("Notifications"), Protocol="sqs", Endpoint=arn)
        local.release("first", {stage: images(stage, LINE) for stage in STAGES})
        yield cloud
    engine.close()
