"""What all tests share: a marker by folder, a Postgres, an S3, and real claims where there are any."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from deploy.local import embedded
from tests.s3 import S3, FaultyS3, faulty_s3, local_s3

ROOT = Path(__file__).parents[1]
SAID = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Make room for what tests have to say at the end."""
    config.stash[SAID] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what tests had to say, also where all passed."""
    for line in config.stash[SAID]:
        terminalreporter.write_line(line)


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
