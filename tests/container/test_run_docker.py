"""`make run-docker` against `make run`: the same summary, and nothing left behind."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException

from deploy.local.drops import START
from deploy.local.simulate import simulate

ROOT = Path(__file__).parents[2]
SMALL = ("--claims", "4000", "--weeks", "30", "--seed", "3")
LARGER = (10_000, 60, 7)
"""Claims, weeks and seed of a book that ends with a champion; dropped at once, it takes a container a stage."""


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    """Reach the engine; without one the tests are skipped, or fail where REQUIRE_CONTAINER=1 says so."""
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        said = f"NO DOCKER ENGINE ANSWERS, the container run is not tested (make engine): {error}"
        pytest.fail(said) if os.environ.get("REQUIRE_CONTAINER") == "1" else pytest.skip(said)
    yield client
    client.close()


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder for one run: not one of pytest's, which every other session of pytest closes to the server's user."""
    with tempfile.TemporaryDirectory(prefix="claimsight-docker-") as folder:
        shutil.copytree(ROOT / "contracts", Path(folder) / "contracts")
        yield Path(folder)


def start(home: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start what `make run` starts, in a folder of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "deploy.local.run", *arguments],
        cwd=home,
        env=os.environ | {"PYTHONPATH": str(ROOT), "CLAIMSIGHT_THREADS": "2"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(running: subprocess.Popen[str]) -> None:
    _, errors = running.communicate(timeout=900)
    assert running.returncode == 0, errors


def mine(engine: docker.DockerClient, home: Path) -> list[str]:
    """Names of all that a run in the folder has in the engine."""
    label = {"label": f"claimsight.run={home.resolve() / '.claimsight' / 'docker'}"}
    containers = engine.containers.list(all=True, filters=label, ignore_removed=True)
    return [each.name for each in (*containers, *engine.networks.list(filters=label))]


def wait_for_stage(engine: docker.DockerClient, home: Path, other_than: tuple[str, ...] = ()) -> str:
    label = [f"claimsight.run={home.resolve() / '.claimsight' / 'docker'}", "claimsight.role=stage"]
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for each in engine.containers.list(filters={"label": label}, ignore_removed=True):
            if each.name not in other_than:
                return str(each.name)
        time.sleep(0.05)
    raise AssertionError("no stage was started")


def differences(one: object, other: object, place: str = "") -> list[str]:
    """Places where two summaries differ by more than 1e-6; durations, and what tells them, are not compared."""
    match one, other:
        case dict(), dict() if one.keys() == other.keys():
            # The size of a model's files hangs on how the seconds of its trials are written.
            measured = str(one.get("name")).startswith(("milliseconds", "megabytes"))
            apart = {"seconds", "value"} if measured else {"seconds"}
            pairs = [(f"{place}/{key}", one[key], other[key]) for key in one if key not in apart]
        case list(), list() if len(one) == len(other):
            pairs = [(f"{place}/{n}", *pair) for n, pair in enumerate(zip(one, other, strict=True))]
        case float(), float() if math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-6):
            return []
        case _:
            return [] if one == other else [f"{place}: {one!r} is not {other!r}"]
    return [found for where, left, right in pairs for found in differences(left, right, where)]


def test_containers_find_what_processes_find(engine: docker.DockerClient, home: Path) -> None:
    """On one book and seed the two summaries are equal but for durations, and the engine is left as it was."""
    simulate(home / "book", *LARGER, START)
    contract = home / "contracts" / "demo.toml"
    contract.write_text(contract.read_text().replace("[training]\n", "[training]\ntrials = 9\n"))
    data = ("--contract", "contracts/demo.toml", "--data", "book", "--as-of", "2025-12-29T12:00:00")
    for how in ((), ("--docker",)):
        finish(start(home, *data, *how))
    here, there = (home / ".claimsight" / place / "summary.json" for place in ("", "docker"))
    expected, found = (json.loads(file.read_text()) for file in (here, there))
    assert expected["champion"] is not None, expected["no_champion_because"]
    assert differences(expected, found) == []
    assert mine(engine, home) == []


def test_nothing_is_left_behind(engine: docker.DockerClient, home: Path) -> None:
    """What a killed run left is removed by the next, which goes on with its data; a stopped one leaves nothing."""
    killed = start(home, "--docker", *SMALL)
    first = wait_for_stage(engine, home)
    killed.kill()
    killed.communicate(timeout=10)
    left = mine(engine, home)
    assert first in left and len(left) == 3  # beside it, Postgres and the network
    for sign, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        running = start(home, "--docker", *SMALL)
        wait_for_stage(engine, home, tuple(left))
        assert not set(left) & set(mine(engine, home))
        running.send_signal(sign)
        _, errors = running.communicate(timeout=30)
        assert (running.returncode, errors.count("\n")) == (code, 1), errors
        assert mine(engine, home) == []
