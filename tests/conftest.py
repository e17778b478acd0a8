"""What all tests share: a marker by folder, a Postgres, an S3, and real claims where there are any."""

# When you add tests: `make test` runs them in two processes (`pytest -n 2`), a file as a whole in one of them, longest
# folders first. Each process has a Postgres and an S3 of its own, so names in them are yours; what is the machine's is
# not: take port 0, folders from `tmp_path`, TMPDIR of your own where you look for left files, and look for processes by
# what only yours have. Tests that need Docker's engine stand in a folder of ONE_BY_ONE. Take the smallest book that can
# show it, and a module-wide fixture for a run that several tests look at: a stage's start costs a second, training ten.

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from deploy.local import embedded
from tests.s3 import S3, FaultyS3, faulty_s3, local_s3

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parents[1]
ONE_BY_ONE = ("tests/aws_local/", "tests/container/")
"""Folders whose tests share Docker's engine, its images and its memory: never two of them at once."""
TOGETHER = "tests/console/"
"""Folder whose tests share a book that takes long to make: one process makes it."""
SAID = pytest.StashKey[list[str]]()

# As `shared.job` has it for the stages: of two fits at once the threads that wait would take the time of the others.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_configure(config: pytest.Config) -> None:
    """Make room for what tests have to say at the end; a worker's goes to the process that prints."""
    config.stash[SAID] = said = []
    if hasattr(config, "workeroutput"):
        config.workeroutput["said"] = said


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker's tests had to say."""
    node.config.stash[SAID] += getattr(node, "workeroutput", {}).get("said", [])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Give each worker whole files, and one of them all that cannot run side by side."""
    from xdist.scheduler import LoadScopeScheduling

    class Files(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith(TOGETHER):
                return TOGETHER
            return "one by one" if nodeid.startswith(ONE_BY_ONE) else nodeid.partition("::")[0]

    config.option.loadscopereorder = False  # by folder, as collected: the long ones come first
    return Files(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what tests had to say, also where all passed; and say once, and loudly, that images were not tested."""
    for line in config.stash[SAID]:
        terminalreporter.write_line(line)
    skipped = [report for report in terminalreporter.getreports("skipped") if report.nodeid.startswith(ONE_BY_ONE)]
    if skipped:
        why = f"{skipped[0].longrepr[2].removeprefix('Skipped: ')}; REQUIRE_CONTAINER=1 makes this a failure"
        terminalreporter.write_line(f"!!! {len(skipped)} CONTAINER TESTS WERE SKIPPED: {why} !!!", red=True, bold=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with the name of its folder."""
    for item in items:
        if item.path.is_relative_to(ROOT / "tests"):
            folder, *below = item.path.relative_to(ROOT / "tests").parts
            item.add_marker(folder if below else "unit")  # an example in a docstring of what tests share


@pytest.fixture(scope="session")
def said(request: pytest.FixtureRequest) -> list[str]:
    """Lines to print at the end."""
    return request.config.stash[SAID]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Start a Postgres of this session's own; its URL, as superuser."""
    # Not below pytest's own folders: their long names do not fit a socket's path.
    with (
        tempfile.TemporaryDirectory(prefix="claimsight-test-") as folder,
        embedded.postgres(Path(folder) / "postgres") as url,
    ):
        yield url


@pytest.fixture
def database_url(postgres: str) -> Iterator[str]:
    """Make an empty database for one test; its connection string."""
    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield make_conninfo(postgres, dbname=name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """Start an S3 of this session's own, with buses of events beside it."""
    with (
        tempfile.TemporaryDirectory(prefix="claimsight-test-", ignore_cleanup_errors=True) as folder,
        local_s3(Path(folder), "s3,events") as served,
    ):
        yield served


@pytest.fixture(name="faulty_s3")
def _faulty_s3(s3: S3) -> Iterator[FaultyS3]:
    """Put a proxy before the S3, on which one test lets things go wrong."""
    with faulty_s3(s3) as faulty:
        yield faulty


@pytest.fixture(scope="session")
def real_claims() -> Path:
    """Folder of the public claims that lie beside a team's clone; they are not part of the repository."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no ../shared/data beside this clone")
    return folder
