"""What tests build again and again: a small contract, its claims as CSV, a drop, a job, a run of etl as a process."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from shared.contract import Contract
from shared.database import Database
from shared.job import Job
from shared.json_cells import Row
from shared.settings import Settings, from_environment

ROOT = Path(__file__).parents[1]
AS_OF = datetime(2024, 6, 1, tzinfo=UTC)
MOTOR = """\
name = "motor"
title = "Motor claims"

[roles]
id = "claim"
event_time = "lost_on"
label = "fraud"

[label]
fraud = ["Y"]
not_fraud = ["N"]

[columns]
claim = { dtype = "text" }
lost_on = { dtype = "date" }
amount = { dtype = "number", min = 0, max = 1e6 }
peril = { dtype = "category", levels = ["theft", "hail"] }
note = { dtype = "text", nullable = true }
count = { dtype = "integer", nullable = true, na_values = ["?"] }
seen_at = { dtype = "datetime", nullable = true }
hurt = { dtype = "boolean", nullable = true }
fraud = { dtype = "category", nullable = true }
"""
OUTCOMES = {"id": "claim", "label": "verdict", "decided_at": "decided", "known_at": "known", "source": "by"}
CLAIM = {
    "claim": "c1",
    "lost_on": "2024-02-03",
    "amount": "12.5",
    "peril": "theft",
    "note": "at night",
    "count": "2",
    "seen_at": "2024-02-04 10:00:00",
    "hurt": "no",
    "fraud": "N",
}
"""One good claim of the contract."""


def contract(**parts: Any) -> Contract:
    """Build the motor contract with some of its tables changed key by key; None takes a key or a table away."""
    document = tomllib.loads(MOTOR)
    for name, part in parts.items():
        if isinstance(part, Mapping):
            merged = document.get(name, {}) | part
            document[name] = {key: value for key, value in merged.items() if value is not None}
        elif part is None:
            del document[name]
        else:
            document[name] = part
    return Contract.model_validate(document)


def with_outcomes(**parts: Any) -> Contract:
    """Build the motor contract with its outcomes in files of their own."""
    return contract(roles={"label": None}, label=None, outcomes=OUTCOMES, columns={"fraud": None}, **parts)


def claims(count: int, **cells: str) -> list[dict[str, str]]:
    """Make good claims ``c1``, ``c2``, ..., with some cells the same in all of them."""
    return [CLAIM | {"claim": f"c{number}"} | cells for number in range(1, count + 1)]


def csv_text(rows: Sequence[Mapping[str, str]], columns: Iterable[str] = CLAIM) -> str:
    """Write rows as CSV; a lone carriage return in a cell is quoted, too."""
    text = io.StringIO()
    returns = any("\r" in cell for row in rows for cell in row.values())
    quoting = csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL
    writer = csv.DictWriter(text, list(columns), lineterminator="\n", quoting=quoting)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def cells(rows: Iterable[Mapping[str, str | bytes]], columns: Iterable[str] = CLAIM) -> tuple[pl.Series, pl.DataFrame]:
    """Lay rows out as `jobs.etl.read` would."""
    rows = list(rows)
    data = {name: [_bytes(row.get(name, "")) for row in rows] for name in columns}
    lines = pl.int_range(2, len(rows) + 2, eager=True).alias("file_line")
    return lines, pl.DataFrame(data, schema=dict.fromkeys(data, pl.Binary))


def objects(rows: Sequence[Mapping[str, str | bytes]]) -> tuple[pl.Series, list[Row]]:
    """Lay rows out as the console does claims to be scored; a byte that is not UTF-8 is half of a pair there."""
    lines = pl.int_range(2, len(rows) + 2, eager=True).alias("file_line")
    return lines, [{name: _bytes(cell).decode(errors="surrogateescape") for name, cell in row.items()} for row in rows]


def drop(folder: Path, name: str, content: str | bytes, kind: str = "claims") -> Path:
    """Put a file into the drop."""
    path = folder / "drop" / "motor" / kind / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_bytes(content))
    return path


def environment(folder: Path, database_url: str, contract_toml: str = MOTOR) -> dict[str, str]:
    """Write the contract, make the drop, and name both as a stage's environment does."""
    (folder / "drop").mkdir(exist_ok=True)
    (folder / "contract.toml").write_text(contract_toml)
    return {
        "CLAIMSIGHT_CONTRACT": str(folder / "contract.toml"),
        "CLAIMSIGHT_DATABASE_URL": database_url,
        "CLAIMSIGHT_DROP": str(folder / "drop"),
        "CLAIMSIGHT_EVENTS": str(folder / "events.jsonl"),
        "CLAIMSIGHT_ARTIFACTS": str(folder / "artifacts"),
        "CLAIMSIGHT_AS_OF": AS_OF.isoformat(),
        "CLAIMSIGHT_PSEUDONYM_KEY": "for tests only",
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
    }


def job(database: Database, contract: Contract, settings: Settings) -> Job:
    """Open a run of etl in the ledger, as `shared.job` would."""
    run_id = database.rows(
        "INSERT INTO job_runs (stage, line, shard, status, as_of, git_sha, image_digest) "
        "VALUES ('etl', %s, '0/1', 'running', %s, 'test', 'none') RETURNING run_id",
        [contract.name, settings.as_of],
    )[0]["run_id"]
    return Job("etl", settings, contract, database, run_id)


def settings(folder: Path, database_url: str, **values: str) -> Settings:
    """Build settings on a folder of the test's own."""
    return from_environment(environment(folder, database_url) | values)


def emptied(postgres: str, name: str) -> str:
    """Make a database, or empty the one of that name: for many small tests that is faster than one database each."""
    url = make_conninfo(postgres, dbname=name)
    with psycopg.connect(postgres, autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
            connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET client_min_messages = error")
        connection.execute("DROP SCHEMA IF EXISTS motor, home, claimsight CASCADE")
    return url


def start_etl(environment: Mapping[str, str], *arguments: str) -> subprocess.Popen[str]:
    """Start etl as a process; its log goes to a pipe."""
    return subprocess.Popen(
        [sys.executable, "-m", "jobs.etl", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str], timeout: float = 180) -> tuple[int, list[dict[str, Any]]]:
    """Wait for a stage; its exit code and its log records. A line that is no JSON fails the test."""
    output, _ = process.communicate(timeout=timeout)
    return process.returncode, [json.loads(line) for line in output.splitlines()]


def run_etl(environment: Mapping[str, str], *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Run etl as a process; its exit code and its log records."""
    return finish(start_etl(environment, *arguments))


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
