"""The built images under test: an engine and images, or one loud line; a Postgres; stages run beside it.

Which images: ``REGISTRY`` and ``TAG``, as for `make images`. With ``REQUIRE_CONTAINER=1`` nothing here may be skipped.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, get_args
from uuid import uuid4

import docker
import psycopg
import pytest
from docker.errors import DockerException, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.types import Mount
from psycopg.conninfo import make_conninfo
from requests.exceptions import ConnectionError, ReadTimeout
from testcontainers.core.config import ConnectionMode, testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from shared.choreography import Stage
from shared.contract import load
from shared.database import Database
from tests import factories

HERE = Path(__file__).parent
STAGES: tuple[Stage, ...] = get_args(Stage)
PROGRAMS: tuple[str, ...] = (*STAGES, "console")
IMAGES: tuple[str, ...] = (*PROGRAMS, "postgres")
REQUIRED = os.environ.get("REQUIRE_CONTAINER", "") not in ("", "0")
LABEL = "claimsight.tests"
PASSWORD = f"secret-{uuid4().hex}"
"""Of the database; stands in no log and no image."""
UID = 10001
PLACE = "/line"
"""Where a test's folder stands in the containers."""
STOP_SECONDS = 5

# The helper that cleans up after Testcontainers is an image of another registry; the fixtures here clean up themselves.
testcontainers_config.ryuk_disabled = True
# Ports are published on the engine's host, also where the tests run in a container of their own.
testcontainers_config.connection_mode_override = (
    testcontainers_config.connection_mode_override or ConnectionMode.docker_host
)


def image_name(name: str) -> str:
    """Name of an image, as `docker-bake.hcl` tags it."""
    registry = os.environ.get("REGISTRY", "").rstrip("/")
    return f"{registry + '/' if registry else ''}claimsight/{name}:{os.environ.get('TAG') or 'dev'}"


@cache
def missing() -> str:
    """What keeps the tests of this folder from running; empty if nothing does."""
    try:
        client = docker.from_env(timeout=10)
        client.ping()
    except (DockerException, OSError):  # requests' errors are OSErrors
        return "no Docker engine answers; make engine images"
    absent = []
    for name in IMAGES:
        try:
            client.images.get(image_name(name))
        except ImageNotFound:
            absent.append(image_name(name))
    client.close()
    return f"no image {', '.join(absent)}; make images" if absent else ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests of this folder where they cannot run; the engine is not asked if none of them is chosen."""
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    if ours and missing():
        for item in ours:
            item.add_marker(pytest.mark.skip(reason=missing()))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Where containers are required, a skip is a failure, whatever its reason."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if REQUIRED and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"REQUIRE_CONTAINER is set, and this was skipped: {missing() or report.longrepr}"
    return report  # type: ignore[return-value]


@dataclass(frozen=True)
class Ended:
    """How a container ended: exit code, all that it said, and that as records, if it is a stage's log."""

    code: int
    text: str

    @property
    def log(self) -> list[dict[str, Any]]:
        """Its log records; a line that is no JSON fails the test."""
        return [json.loads(line) for line in self.text.splitlines()]

    @property
    def closing(self) -> dict[str, Any]:
        """Its last log record."""
        return self.log[-1]


@dataclass(frozen=True)
class Place:
    """A test's folder and database, as stages in containers see them."""

    folder: Path
    url: str
    """For the test itself, from outside of the network."""
    environment: Mapping[str, str] = field(repr=False)

    @property
    def mounts(self) -> list[Mount]:
        """The folder to write to; in it, drop and contract to read only."""
        fixed = ("drop", "contract.toml")
        return [
            Mount(PLACE, str(self.folder), type="bind"),
            *(Mount(f"{PLACE}/{name}", str(self.folder / name), type="bind", read_only=True) for name in fixed),
        ]

    def prepare(self) -> None:
        """Make the tables, so that a test can lock one before a stage begins."""
        contract = load(self.folder / "contract.toml")
        with Database(self.url, contract.name) as database:
            database.prepare(contract)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(query).fetchall()

    @contextmanager
    def locked(self, table: str) -> Iterator[Callable[[], None]]:
        """Keep writers out of a table; gives a function that waits until one of them waits."""
        with psycopg.connect(self.url, autocommit=True) as connection, connection.transaction():
            connection.execute(f"LOCK TABLE {table} IN SHARE MODE")  # type: ignore[arg-type]
            query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'"
            yield lambda: until(lambda: self.rows(query) != [(0,)])


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for something that must come to be true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Engine:
    """The engine, the images as they stood when the tests began, and what the tests start from them."""

    def __init__(self, client: docker.DockerClient, network: Network) -> None:
        self.client = client
        self.network = network
        # By id: whoever builds anew meanwhile does not mix two builds in one run.
        self.images = {name: client.images.get(image_name(name)) for name in IMAGES}

    def start(
        self,
        image: str,
        *arguments: str,
        place: Place | None = None,
        environment: Mapping[str, str] = {},
        **options: Any,
    ) -> Container:
        """Start a container as production does: nothing to write to but /tmp and its mounts, no rights, an init."""
        digest = {"CLAIMSIGHT_IMAGE_DIGEST": self.images[image].id} if place else {}
        defaults = {
            "read_only": True,
            "tmpfs": {"/tmp": "size=256m"},
            "init": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "network": self.network.name,
            "mounts": place.mounts if place else [],
        }
        return self.client.containers.run(
            self.images[image].id,
            list(arguments),
            detach=True,
            labels={LABEL: self.network.name},
            environment={**(place.environment if place else {}), **digest, **environment},
            **defaults | options,
        )

    def finish(self, container: Container, timeout: float = 60) -> Ended:
        """Wait for its end, and remove it. None says the database's password, whatever happened to it."""
        try:
            code = container.wait(timeout=timeout)["StatusCode"]
        except (ConnectionError, ReadTimeout):
            container.kill()
            pytest.fail(f"still running after {timeout:g} seconds: {container.logs().decode()}")
        text = container.logs().decode()
        container.remove()
        assert PASSWORD not in text
        return Ended(code, text)

    def run(self, image: str, *arguments: str, **options: Any) -> Ended:
        """Run a container to its end."""
        return self.finish(self.start(image, *arguments, **options))

    def run_each(self, images: Sequence[str], *arguments: str, **options: Any) -> dict[str, Ended]:
        """Run several images at once to their ends."""
        running = {image: self.start(image, *arguments, **options) for image in images}
        return {image: self.finish(container) for image, container in running.items()}

    def stop(self, container: Container) -> tuple[float, Ended]:
        """Stop it as `docker stop` does; the seconds that took."""
        began = time.monotonic()
        container.stop(timeout=2 * STOP_SECONDS)
        return time.monotonic() - began, self.finish(container)

    def inside(self, image: str, script: str) -> Any:
        """Run a Python script in an image, and read the JSON that it prints."""
        ended = self.run(image, "-c", script, entrypoint=["python"])
        assert ended.code == 0, ended.text
        return json.loads(ended.text)

    @contextmanager
    def postgres(self, alias: str) -> Iterator[DockerContainer]:
        """Serve a Postgres under a name on the network, until the end of the block."""
        container = (
            DockerContainer(self.images["postgres"].id)
            .with_env("POSTGRES_PASSWORD", PASSWORD)
            .with_exposed_ports(5432)
            .with_network(self.network)
            .with_network_aliases(alias)
            .with_kwargs(labels={LABEL: self.network.name})
            .waiting_for(LogMessageWaitStrategy("ready to accept connections").with_poll_interval(0.1))
        )
        with container:
            yield container

    def remove_all(self) -> None:
        """Remove whatever the tests left."""
        for container in self.client.containers.list(all=True, filters={"label": f"{LABEL}={self.network.name}"}):
            with suppress(NotFound):
                container.remove(force=True, v=True)


def url_of(container: DockerContainer) -> str:
    """URL of a Postgres, from outside of the network; it changes when the container is started again."""
    return make_conninfo(
        host=container.get_container_host_ip(),
        port=container.get_exposed_port(5432),
        user="postgres",
        password=PASSWORD,
        dbname="postgres",
    )


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """The engine, with a network of this session's own; all that was started is gone afterwards."""
    with Network() as network:
        engine = Engine(docker.from_env(timeout=120), network)
        try:
            yield engine
        finally:
            engine.remove_all()
            engine.client.close()


@pytest.fixture(scope="session")
def postgres(engine: Engine) -> Iterator[str]:
    """Serve a Postgres from its image instead of the embedded one; its URL, as superuser, from outside."""
    with engine.postgres("database") as container:
        yield url_of(container)


@contextmanager
def furnished(engine: Engine, folder: Path, url: str, contract: str, alias: str = "database") -> Iterator[Place]:
    """Make a folder fit for a stage in a container: its user may write there, and it is cleared in the end."""
    within = make_conninfo(url, host=alias, port=5432)
    environment = factories.environment(folder, within, contract)
    folder.chmod(0o777)
    place = Place(folder, url, {name: value.replace(str(folder), PLACE) for name, value in environment.items()})
    try:
        yield place
    finally:
        # What that user made, nobody else may remove, except root.
        if os.geteuid() != 0:
            engine.run(
                "etl",
                "-c",
                "rm -rf artifacts mlflow.db events.jsonl",
                place=place,
                entrypoint=["sh"],
                working_dir=PLACE,
            )


@pytest.fixture
def place(engine: Engine, tmp_path: Path, postgres: str) -> Iterator[Place]:
    """An empty database and an empty drop, of the motor contract."""
    with furnished(engine, tmp_path, factories.emptied(postgres, "emptied"), factories.MOTOR) as place:
        yield place


def only(values: Sequence[Any]) -> Any:
    """The one value there is."""
    (value,) = values
    return value
