"""``etl --forget`` as a process, by a login that may do what etl does and nothing more."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from shared.contract import load
from shared.database import Database
from tests.factories import CLAIM, MOTOR, ROOT, csv_text, drop, environment, finish, run_etl, start_etl

WHO = [*CLAIM, "who"]
CONTRACT = MOTOR.replace("[roles]\n", '[roles]\nclaimant = "who"\npii = ["who"]\n').replace(
    "[columns]\n", '[columns]\nwho = { dtype = "text" }\n'
)
HELD = (
    "SELECT (SELECT count(*) FROM motor.claims), (SELECT count(*) FROM motor.outcomes), "
    "(SELECT count(*) FROM motor.claims_quarantine), (SELECT count(*) FROM motor.erasures)"
)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Two persons' claims, loaded by a login that belongs to etl's role."""
    found = environment(tmp_path, database_url, CONTRACT)
    contract = load(tmp_path / "contract.toml")
    with Database(database_url, contract.name) as database:
        database.prepare(contract)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE test_etl LOGIN IN ROLE claimsight_etl")
    rows = [CLAIM | {"claim": f"c{number}", "who": "Zacharias" if number % 4 == 0 else "Bob"} for number in range(40)]
    rows[8]["amount"] = rows[9]["amount"] = "dear"
    drop(tmp_path, "a.csv", csv_text(rows, WHO))
    settings = found | {"CLAIMSIGHT_DATABASE_URL": make_conninfo(database_url, user="test_etl")}
    code, log = run_etl(settings)
    assert code == 0, log
    yield settings
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP ROLE test_etl")


def _forget(settings: dict[str, str]) -> subprocess.Popen[str]:
    running = subprocess.Popen(
        [sys.executable, "-m", "jobs.etl", "--forget", "-"],
        cwd=ROOT,
        env=settings,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert running.stdin is not None
    running.stdin.write("Zacharias\n")
    running.stdin.close()
    running.stdin = None
    return running


def test_forget(settings: dict[str, str], database_url: str, tmp_path: Path) -> None:
    """Killed at its last step it has done nothing, run again all; the name is in no log, and the person stays away."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        assert connection.execute(HELD).fetchone() == (38, 38, 2, 0)
        with connection.transaction():
            connection.execute("LOCK TABLE motor.erasures IN SHARE MODE")
            running = _forget(settings)
            deadline = time.monotonic() + 30
            while not connection.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            running.kill()
            running.communicate(timeout=10)
        assert running.returncode == -signal.SIGKILL
        assert connection.execute(HELD).fetchone() == (38, 38, 2, 0)
        code, log = finish(_forget(settings))
        told = "the claimant is erased: 1 rows of claims_quarantine, 9 rows of claims, 9 rows of outcomes"
        assert (code, log[-1]["message"]) == (0, told)
        assert connection.execute(HELD).fetchone() == (29, 29, 1, 1)
        drop(tmp_path, "b.csv", csv_text([CLAIM | {"claim": "c99", "who": "Zacharias"}], WHO))
        for message in ("1 files loaded", "no new files; nothing to do"):
            code, later = run_etl(settings)
            assert (code, later[-1]["message"]) == (0, message)
            log += later
        assert connection.execute(HELD).fetchone() == (29, 29, 2, 1)
        messages = connection.execute("SELECT message FROM claimsight.job_runs").fetchall()
    assert "Zacharias" not in f"{log} {messages}"


def test_not_done_is_not_told_as_done(settings: dict[str, str], database_url: str) -> None:
    """While another run is at work nobody is erased, and the exit code says so."""
    with Database(database_url, "motor") as other:
        assert other.try_lock("claimsight:etl:motor:0/1")
        code, log = finish(_forget(settings))
        assert (code, log[-1]["status"]) == (75, "failed")
        assert run_etl(settings)[0] == 0


def test_arguments(settings: dict[str, str]) -> None:
    """To check and to forget are two things, and to forget nobody is none."""
    for arguments in (["--check", "--forget", "x"], ["--forget"]):
        process = start_etl(settings, *arguments)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 2
        assert output.startswith("python -m jobs.etl: ") and output.endswith("; see --help\n")
