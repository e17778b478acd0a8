"""Make a database ready for the stages, as its owner: ``python -m shared.bootstrap``, once a release and line.

It makes the line's tables, the stages' roles and that of analysts (as ``python -m jobs.etl --check`` does), for each
stage a login that is in its role and in no other, and MLflow's own database. Run again it changes nothing but passwords
that are new. ``docs/access.md`` tells how a person is let in.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from shared.choreography import STAGES
from shared.contract import load
from shared.database import Database, connect, translated
from shared.errors import ConfigError, ExitCode
from shared.job import Outcome, conclude
from shared.settings import PREFIX, from_environment

MLFLOW = "mlflow"
"""Its database, and in the names of its role and of its server's login."""
CONSOLE = "console"
TRACKER = "claimsight_mlflow"
"""Role that owns that database and its tables."""
TRACKERS = ("train", "evaluate", MLFLOW)
"""Whose logins work in MLflow's database; all as that role, so that each may use the tables that another made."""
LOCK = "claimsight:bootstrap"
Connection = psycopg.Connection[dict[str, Any]]


def login(name: str) -> str:
    """Login of a stage, or of MLflow's server.

    >>> login("etl")
    'claimsight_etl_login'
    """
    return f"claimsight_{name}_login"


def passwords(environment: Mapping[str, str]) -> dict[str, str]:
    """Password by stage, MLflow's server's and the console's, from ``CLAIMSIGHT_PASSWORD_ETL`` and so on.

    That of the console may be absent: not everyone runs one.

    Raises
    ------
    ConfigError
        Names all that are missing.
    """
    variables = {name: f"{PREFIX}PASSWORD_{name.upper()}" for name in (*STAGES, MLFLOW, CONSOLE)}
    given = {name: environment[variable] for name, variable in variables.items() if environment.get(variable)}
    if missing := variables.keys() - given.keys() - {CONSOLE}:
        raise ConfigError(*(f"{variables[name]} is not set" for name in variables if name in missing))
    return given


def bootstrap(url: str, passwords: Mapping[str, str]) -> None:
    """Make logins and MLflow's database; the stages' roles are there already.

    Raises
    ------
    ConfigError
        This login may not make roles or databases.
    TransientError
        The server cannot be reached.
    """
    with translated(), connect(url, "") as connection:
        connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [LOCK])
        _make_role(connection, TRACKER)
        for name, password in passwords.items():
            _make_role(connection, login(name))
            # As the server would store it: so neither its log nor its statistics see the password.
            stored = connection.pgconn.encrypt_password(password.encode(), login(name).encode(), b"scram-sha-256")
            _do(connection, "ALTER ROLE {} LOGIN PASSWORD {}", login(name), sql.Literal(stored.decode()))
            if name != MLFLOW:
                _do(connection, "GRANT {} TO {}", f"claimsight_{name}", login(name))
        # To give a database away, one has to be in the role that gets it.
        _do(connection, "GRANT {} TO CURRENT_USER", TRACKER)
        if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [MLFLOW]).fetchall():
            _do(connection, "CREATE DATABASE {} OWNER {}", MLFLOW, TRACKER)
        _do(connection, "REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC", MLFLOW)
        for name in TRACKERS:
            _do(connection, "GRANT {} TO {}", TRACKER, login(name))
            _do(connection, "ALTER ROLE {} IN DATABASE {} SET role = {}", login(name), MLFLOW, TRACKER)


def _make_role(connection: Connection, name: str) -> None:
    if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).fetchall():
        _do(connection, "CREATE ROLE {}", name)


def _do(connection: Connection, statement: LiteralString, *names: str | sql.Literal) -> None:
    parts = [sql.Identifier(name) if isinstance(name, str) else name for name in names]
    connection.execute(sql.SQL(statement).format(*parts))


def _attempt() -> Outcome:
    settings = from_environment()
    contract, url, given = load(settings.contract), settings.database_url.get_secret_value(), passwords(os.environ)
    with Database(url, contract.name) as database:
        database.prepare(contract)
    bootstrap(url, given)
    return Outcome(ExitCode.OK, f"tables of {contract.name}, roles, logins and MLflow's database are as they should be")


if __name__ == "__main__":
    conclude("bootstrap", _attempt)
