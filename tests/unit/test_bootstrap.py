"""A database made ready for the stages: their logins, and MLflow's database."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from shared.bootstrap import CONSOLE, MLFLOW, TRACKERS, bootstrap, login, passwords
from shared.choreography import STAGES
from shared.errors import ConfigError
from shared.grants import WORKERS
from tests import factories

OWNER = "test_owner"
"""As RDS makes its first login: may make roles and databases, and is no superuser."""
PASSWORDS = {name: f"secret-of-{name}" for name in (*WORKERS, MLFLOW)}


@pytest.fixture(scope="module")
def owners(postgres: str) -> Iterator[str]:
    """Make an owner with a database, on a server of which the stages' roles are gone; the connection string."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {OWNER} LOGIN CREATEROLE CREATEDB PASSWORD 'own'")
        connection.execute(f"CREATE DATABASE test_bootstrap OWNER {OWNER}")
        roles = [f"claimsight_{worker}" for worker in WORKERS]
        for role in roles:
            connection.execute(f"DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
            connection.execute(f"GRANT {role} TO {OWNER} WITH ADMIN OPTION")
        yield make_conninfo(postgres, user=OWNER, password="own", dbname="test_bootstrap")
        connection.execute(f"DROP DATABASE IF EXISTS {MLFLOW} WITH (FORCE)")
        connection.execute("DROP DATABASE test_bootstrap WITH (FORCE)")
        for name in (*map(login, PASSWORDS), "claimsight_mlflow", OWNER):
            connection.execute(f"DROP ROLE IF EXISTS {name}")


def _run(folder: Path, url: str, **variables: str) -> subprocess.CompletedProcess[str]:
    given = {f"CLAIMSIGHT_PASSWORD_{name.upper()}": password for name, password in PASSWORDS.items()}
    environment = {"PATH": os.environ["PATH"], **factories.environment(folder, url), **given, **variables}
    return subprocess.run(
        [sys.executable, "-m", "shared.bootstrap"],
        cwd=factories.ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def ready(owners: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Run it twice; the owner's connection string."""
    folder = tmp_path_factory.mktemp("bootstrap")
    for _ in range(2):
        ended = _run(folder, owners)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert "secret-of" not in ended.stdout + ended.stderr
    return owners


def _as(name: str, url: str, database: str = "test_bootstrap") -> psycopg.Connection:
    return psycopg.connect(make_conninfo(url, user=login(name), password=PASSWORDS[name], dbname=database))


@pytest.mark.parametrize("worker", WORKERS)
def test_each_logs_in_as_itself(ready: str, worker: str) -> None:
    """A login is in its own role and in no other; that of the console may not look at claims."""
    with _as(worker, ready) as connection:
        found = connection.execute(
            "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s) AND pg_has_role(oid, 'SET')",
            [[f"claimsight_{name}" for name in WORKERS]],
        ).fetchall()
        assert found == [(f"claimsight_{worker}",)]
        with nullcontext() if worker != CONSOLE else pytest.raises(psycopg.errors.InsufficientPrivilege):
            assert connection.execute("SELECT count(*) FROM motor.claims").fetchone() == (0,)


def test_mlflow_is_shared_by_those_who_track(ready: str) -> None:
    """What train makes in MLflow's database evaluate and MLflow's server may change; the other stages do not get in."""
    with _as("train", ready, MLFLOW) as connection:
        connection.execute("CREATE TABLE runs (n int)")
    for name in TRACKERS:
        with _as(name, ready, MLFLOW) as connection:
            connection.execute("INSERT INTO runs VALUES (1)")
            connection.execute("ALTER TABLE runs ALTER n SET DEFAULT 2")
    for name in set(PASSWORDS) - set(TRACKERS):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            _as(name, ready, MLFLOW)


def test_a_new_password_is_set(ready: str, postgres: str) -> None:
    """A password that was changed in the store of secrets is set by the next run; the server gets no clear text."""

    def stored() -> str:
        with psycopg.connect(postgres) as connection:
            query = "SELECT rolpassword FROM pg_authid WHERE rolname = %s"
            ((found,),) = connection.execute(query, [login("drift")]).fetchall()
            return str(found)

    before = stored()
    bootstrap(ready, PASSWORDS | {"drift": "another"})
    assert before != stored()
    assert stored().startswith("SCRAM-SHA-256$")


def test_all_passwords_are_asked_for_at_once() -> None:
    """One error names every password that is missing."""
    with pytest.raises(ConfigError) as caught:
        passwords({"CLAIMSIGHT_PASSWORD_ETL": "x", "CLAIMSIGHT_PASSWORD_SCORE": ""})
    named = {problem.split()[0] for problem in caught.value.problems}
    assert named == {f"CLAIMSIGHT_PASSWORD_{name.upper()}" for name in (*STAGES[1:], MLFLOW)}
