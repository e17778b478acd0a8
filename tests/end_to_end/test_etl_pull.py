"""A pull under fire: whatever is killed when, each row of the source ends up in one place once."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.factories import MOTOR, emptied, environment, finish, run_etl, start_etl

ROWS, BAD_EVERY = 40_000, 100
PULL = '[pull.sold]\ntable = "public.sold"\nwatermark = "changed"\noverlap = 1000000\n'
SOLD = f"""
DROP TABLE IF EXISTS sold;
CREATE TABLE sold AS SELECT 'c' || n AS claim, date '2024-02-03' AS lost_on,
    CASE WHEN n % {BAD_EVERY} = 0 THEN -1 ELSE 12.5 END AS amount, 'hail' AS peril, repeat('so ', 20) AS note,
    n AS count, now() AS seen_at, true AS hurt, 'N' AS fraud,
    timestamptz '2024-03-01' + n * interval '1 s' AS changed
FROM generate_series(1, {ROWS}) AS n
"""


@pytest.fixture
def source_url(postgres: str) -> Iterator[str]:
    """Fill a database of the business; its connection string."""
    url = make_conninfo(emptied(postgres, "test_sold"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET client_min_messages = error")
        connection.execute(SOLD)
    yield url


def _settings(folder: Path, database_url: str, source_url: str) -> dict[str, str]:
    return environment(folder, database_url, MOTOR + PULL) | {"CLAIMSIGHT_SOURCE_URL": source_url}


def _wait_for_copy(database_url: str, process: subprocess.Popen[str], command: str) -> None:
    """Return once a COPY has moved something one way, or etl has ended."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        query = "SELECT count(*) FROM pg_stat_progress_copy WHERE command = %s AND bytes_processed > 0"
        for _ in range(3000):
            if process.poll() is not None or connection.execute(query, [command]).fetchone() != (0,):
                return
            time.sleep(0.005)
    raise AssertionError(f"no etl came to {command}")


def _assert_exact(database_url: str, revisions: int = ROWS) -> None:
    bad = ROWS // BAD_EVERY
    with psycopg.connect(database_url) as connection:
        for query, expected in (
            ("SELECT count(*), count(DISTINCT claim_id) FROM motor.claims", (revisions - bad, ROWS - bad)),
            ("SELECT count(*), count(DISTINCT raw) FROM motor.claims_quarantine", (bad, bad)),
            (
                "SELECT sum(rows_in), sum(rows_out), sum(quarantined) FROM motor.ingest_files",
                (revisions, revisions - bad, bad),
            ),
            (
                "SELECT sum(rows_in), sum(rows_out), sum(quarantined) FROM claimsight.job_runs",
                (revisions, revisions - bad, bad),
            ),
            ("SELECT sum(length(hashes)) / 16 FROM motor.pulled_rows", (ROWS,)),
        ):
            assert connection.execute(query).fetchone() == expected, query  # type: ignore[arg-type]


def test_killed_amid_a_pull(tmp_path: Path, database_url: str, source_url: str) -> None:
    """Killed while it reads the source or writes the claims, a pull loses and doubles nothing; nor does the next."""
    settings = _settings(tmp_path, database_url, source_url)
    for seed, command in enumerate(["COPY TO", "COPY FROM"] * 2):
        process = start_etl(settings)
        _wait_for_copy(database_url, process, command)
        time.sleep(random.Random(seed).uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert run_etl(settings)[0] == 0
    _assert_exact(database_url)
    with psycopg.connect(database_url) as connection:
        killed = connection.execute("SELECT count(*) FROM claimsight.job_runs WHERE status = 'killed'").fetchone()
        assert killed is not None
        assert killed[0] >= 2
    with psycopg.connect(source_url) as connection:
        connection.execute("UPDATE sold SET amount = 20, changed = changed + interval '9 s' WHERE count % 100 = 1")
    process = start_etl(settings)
    _wait_for_copy(database_url, process, "COPY TO")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    for _ in range(2):
        assert run_etl(settings)[0] == 0
        _assert_exact(database_url, revisions=ROWS + ROWS // 100)


def test_stopped_amid_a_pull(tmp_path: Path, database_url: str, source_url: str) -> None:
    """Told to stop while it reads the source, etl lets go of it and leaves with 143 within five seconds."""
    settings = _settings(tmp_path, database_url, source_url)
    process = start_etl(settings)
    _wait_for_copy(database_url, process, "COPY TO")
    process.send_signal(signal.SIGTERM)
    code, log = finish(process, timeout=5)
    assert (code, log[-1]["status"]) == (143, "stopped")
    with psycopg.connect(source_url) as connection:
        others = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'claimsight'"
        assert connection.execute(others).fetchone() == (0,)


def test_check(tmp_path: Path, database_url: str, source_url: str) -> None:
    """Looking whether etl could run asks the source for what the contract pulls, and pulls nothing."""
    settings = _settings(tmp_path, database_url, source_url)
    assert run_etl(settings, "--check")[0] == 0
    code, log = run_etl(settings | {"CLAIMSIGHT_SOURCE_URL": ""}, "--check")
    assert (code, "CLAIMSIGHT_SOURCE_URL is not set" in log[-1]["message"]) == (78, True)
    with psycopg.connect(source_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE sold RENAME peril TO cause")
    code, log = run_etl(settings, "--check")
    assert (code, "pull.sold: column q.peril does not exist" in log[-1]["message"]) == (78, True)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM motor.claims").fetchone() == (0,)
