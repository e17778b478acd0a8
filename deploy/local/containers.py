"""The stages as containers, each as large and as shut in as its task on ECS, beside a Postgres: ``make run-docker``.

Whatever it makes in the engine carries a label with the folder of the run. All that has the label is removed at the
end, however that comes, and at the start, for a run before that was killed. Data stay below the folder.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import psycopg
from docker.errors import DockerException, ImageNotFound
from docker.models.containers import Container
from docker.models.networks import Network
from docker.types import Mount
from requests.exceptions import RequestException

from deploy.local.machine import Ended
from shared.choreography import Stage
from shared.errors import ConfigError, ExitCode, TransientError
from shared.settings import variable
from shared.sizes import SIZES

LABEL = "claimsight.run"
IMAGE_USER = 10001
"""User of the images."""
POSTGRES = "postgres"
"""Name of the database's container on the run's network."""
POSTGRES_MEMORY = 1024
"""MiB."""
START_SECONDS = 60
STOP_SECONDS = 30
"""Seconds that a container gets to stop politely; a stage takes less than five, Postgres less than one."""


@dataclass(frozen=True)
class Containers:
    """See :class:`deploy.local.machine.Machine`.

    Attributes
    ----------
    stage_url : str
        Where the stages reach the Postgres.
    mounts : list of docker.types.Mount
        What the stages see of this machine.
    """

    client: docker.DockerClient
    home: Path
    network: Network
    mounts: list[Mount]
    database_url: str
    stage_url: str
    state: Path

    def run(self, stage: Stage, settings: Mapping[str, str], *arguments: str) -> Ended:
        """Start a stage and wait for its end."""
        with _engine_errors():
            image = _image(self.client, stage)
            own = {
                variable("contract"): str(self.home / "contract.toml"),
                variable("database_url"): self.stage_url,
                variable("image_digest"): image.id,
                **({threads: os.environ[threads]} if (threads := variable("threads")) in os.environ else {}),
            }
            size = SIZES[stage]
            container = self.client.containers.create(
                image,
                list(arguments),
                environment={**settings, **own},
                mounts=self.mounts,
                network=self.network.id,
                # The engine refuses more processors than there are.
                nano_cpus=min(size.cpu * 1_000_000_000 // 1024, self.client.info()["NCPU"] * 1_000_000_000),
                **_shut_in(self.home, size.memory),
            )
            container.start()
            code = container.wait()["StatusCode"]
            output = container.logs().decode(errors="replace")
            container.reload()
            if container.attrs["State"]["OOMKilled"] and code == ExitCode.KILLED:
                told = f"killed: it took more than its {size.memory} MiB; see shared/sizes.py"
                output += json.dumps({"message": told, "exit_code": code}) + "\n"
            container.remove(v=True)
            return Ended(code, output)


@contextmanager
def containers(home: Path, contract: Path) -> Iterator[Containers]:
    """Have the machine while the block lasts; its data stays below ``home``.

    Raises
    ------
    ConfigError
        No engine answers, or an image is not built.
    TransientError
        Postgres does not start, or the engine fails.
    """
    home = home.resolve()
    # The stages' user has to read what this one drops; nobody else gets as far as that.
    home.chmod(0o700)
    os.umask(0o022)
    with _engine_errors():
        try:
            client = docker.from_env()
            client.ping()
        except (DockerException, RequestException) as error:
            raise ConfigError("no Docker engine answers; run make engine") from error
        _remove_all(client, home)
        try:
            yield _start(client, home, contract)
        finally:
            with _undisturbed():
                _remove_all(client, home)
                client.close()


def _start(client: docker.DockerClient, home: Path, contract: Path) -> Containers:
    shutil.copyfile(contract, home / "contract.toml")
    state = _own(home / "state")
    password = secrets.token_urlsafe(24)
    network = client.networks.create(
        f"claimsight-{secrets.token_hex(4)}", driver="bridge", internal=True, labels=_label(home)
    )
    # On the default network too: an internal one publishes no port, and this process needs one. The stages see the
    # internal one only, and nothing beyond it.
    server = client.containers.create(
        _image(client, POSTGRES),
        environment={"POSTGRES_PASSWORD": password},
        mounts=[Mount("/data", str(_own(home / "postgres")), type="bind"), *_passwd(home)],
        ports={"5432/tcp": ("127.0.0.1", None)},
        **_shut_in(home, POSTGRES_MEMORY, POSTGRES),
    )
    network.connect(server, aliases=[POSTGRES])
    server.start()
    url = _wait_until_up(server, password)
    mounts = [
        Mount(str(home / "drop"), str(home / "drop"), type="bind", read_only=True),
        Mount(str(home / "contract.toml"), str(home / "contract.toml"), type="bind", read_only=True),
        # The folder, not the file: SQLite writes its journal beside the database.
        Mount(str(state), str(state), type="bind"),
        *_passwd(home),
    ]
    stage_url = f"postgresql://postgres:{password}@{POSTGRES}/postgres"
    return Containers(client, home, network, mounts, url, stage_url, state)


def _shut_in(home: Path, memory: int, role: str = "stage") -> dict[str, Any]:
    """What every container of a run has in common: its rights, its memory (MiB), its label."""
    return {
        "user": f"{_user()}:{_user()}" if os.geteuid() == 0 else f"{_user()}:{os.getegid()}",
        "read_only": True,
        "tmpfs": {"/tmp": "rw,nosuid,nodev,mode=1777"},
        "init": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "mem_limit": f"{memory}m",
        "memswap_limit": f"{memory}m",  # no swap beside it: Fargate has none
        "labels": {**_label(home), "claimsight.role": role},
    }


def _user() -> int:
    """User of the containers: the images' own; where this one is not root, this one, who has to remove their files."""
    return IMAGE_USER if os.geteuid() == 0 else os.geteuid()


def _own(folder: Path) -> Path:
    """Make a folder that the containers' user may write to."""
    folder.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        os.chown(folder, IMAGE_USER, IMAGE_USER)
    return folder


def _passwd(home: Path) -> list[Mount]:
    """Give a user that the images do not know a name: initdb refuses to run for one without."""
    if os.geteuid() == 0:
        return []
    file = home / "passwd"
    file.write_text(f"claimsight:x:{os.geteuid()}:{os.getegid()}:claimsight:/tmp:/usr/sbin/nologin\n")
    return [Mount("/etc/passwd", str(file), type="bind", read_only=True)]


def _wait_until_up(server: Container, password: str) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        server.reload()
        if server.status != "running":
            break
        port = server.ports["5432/tcp"][0]["HostPort"]
        url = f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres"
        try:
            psycopg.connect(url, connect_timeout=2).close()
            return url
        except psycopg.OperationalError:
            time.sleep(0.1)
    tail = server.logs(tail=3).decode(errors="replace").split("\n")
    raise TransientError(f"database: Postgres does not start in its container: {' | '.join(filter(None, tail))}")


def _image(client: docker.DockerClient, name: str) -> Any:
    registry, tag = os.environ.get("REGISTRY"), os.environ.get("TAG") or "dev"
    full = f"{registry + '/' if registry else ''}claimsight/{name}:{tag}"
    try:
        return client.images.get(full)
    except ImageNotFound:
        raise ConfigError(f"image {full} is not built; run make images") from None


def _label(home: Path) -> dict[str, str]:
    return {LABEL: str(home)}


def _remove_all(client: docker.DockerClient, home: Path) -> None:
    """Remove what carries the label: stages first, so that they close their rows in the ledger."""
    mine = {"label": f"{LABEL}={home}"}
    found = client.containers.list(all=True, filters=mine, ignore_removed=True)
    for container in sorted(found, key=lambda one: one.labels.get("claimsight.role") == POSTGRES):
        if container.status == "running":
            container.stop(timeout=STOP_SECONDS)
        container.remove(v=True, force=True)
    for network in client.networks.list(filters=mine):
        network.remove()


@contextmanager
def _engine_errors() -> Iterator[None]:
    try:
        yield
    except (DockerException, RequestException) as error:
        raise TransientError(f"docker: {' '.join(str(error).split())}") from error


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold signals back while things are removed: it takes seconds, and impatience would leave them."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
