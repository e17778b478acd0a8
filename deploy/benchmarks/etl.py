"""How fast etl loads claims, beside the least that any loader must do: copy the same rows to a keyed table, unchecked.

The claims are generated; every row keeps its contract, so both sides end with the same rows.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import psycopg

from deploy.benchmarks.figure import Figure
from deploy.local import embedded
from deploy.local.simulate.book import draw_week
from deploy.local.simulate.claims import COLUMNS
from deploy.local.simulate.dirt import csv_bytes
from deploy.local.simulate.world import create_world
from shared.contract import POSTGRES_TYPES, DType

CLAIMS = 200_000
TRIALS = 3
ROOT = Path(__file__).parents[2]

_INTEGERS = (
    "deductible",
    "vehicle_value",
    "vehicle_age",
    "driver_age",
    "witnesses",
    "injuries",
    "prior_claims",
    "photos",
    "hour",
)
_DTYPES: dict[str, DType] = {
    **dict.fromkeys(COLUMNS, "text"),
    **dict.fromkeys(_INTEGERS, "integer"),
    **dict.fromkeys(("reported_on", "loss_on", "policy_start"), "date"),
    "amount": "number",
    "police_report": "boolean",
}
_CHECKS = {
    "driver_age": "min = 16\nmax = 110",
    "amount": "min = 0",
    "hour": "min = 0\nmax = 23",
    "sex": 'levels = ["F", "M"]',
    "peril": 'levels = ["collision", "theft", "hail", "glass", "fire", "vandalism"]',
    "channel": 'levels = ["agent", "broker", "online", "phone"]',
    "police_report": "nullable = true",
    "garage_id": "nullable = true",
    "phone": "nullable = true",
}


def measure() -> list[Figure]:
    """Load the same file by etl and by COPY, in turns.

    Raises
    ------
    RuntimeError
        The two sides do not hold the same claims.
    """
    with (
        tempfile.TemporaryDirectory(prefix="claimsight-bench-") as temporary,
        embedded.postgres(Path(temporary) / "postgres") as url,
    ):
        folder = Path(temporary)
        file = folder / "drop" / "bench" / "claims" / "claims.csv"
        file.parent.mkdir(parents=True)
        world = create_world(7, date(2024, 1, 1), CLAIMS)
        file.write_bytes(csv_bytes(draw_week(world, 0, CLAIMS, 1, dirty=0.0).rows))
        (folder / "bench.toml").write_text(_contract())
        trials = [(_etl(folder, url), _copy(file, url)) for _ in range(TRIALS)]
    etl, copy = (statistics.median(side) for side in zip(*trials, strict=True))
    each = f"median of {TRIALS}, {CLAIMS:,} generated claims of {len(COLUMNS)} columns"
    return [
        Figure("etl_speed", copy / etl, "x", f"COPY's seconds by etl's, in turns, {each}", goal=1.0),
        Figure("etl_rate", CLAIMS / etl, "claims/s", f"one process of etl from start to exit, {each}"),
        Figure("copy_rate", CLAIMS / copy, "claims/s", f"COPY to a temporary table, INSERT to a keyed one, {each}"),
    ]


def _contract() -> str:
    columns = "\n".join(f'[columns.{name}]\ndtype = "{_DTYPES[name]}"\n{_CHECKS.get(name, "")}' for name in COLUMNS)
    head = 'name = "bench"\ntitle = "Bench"\n[roles]\nid = "claim_id"\nevent_time = "reported_on"\namount = "amount"\n'
    return f"{head}[outcomes]\n{columns}\n"


def _etl(folder: Path, url: str) -> float:
    """Seconds that one run of etl takes on an empty line of business."""
    variables = {
        "CLAIMSIGHT_CONTRACT": folder / "bench.toml",
        "CLAIMSIGHT_DATABASE_URL": url,
        "CLAIMSIGHT_DROP": folder / "drop",
        "CLAIMSIGHT_EVENTS": folder / "events.jsonl",
        "CLAIMSIGHT_ARTIFACTS": folder / "artifacts",
        "CLAIMSIGHT_AS_OF": "2024-02-01",
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
    }
    environment = os.environ | {name: str(value) for name, value in variables.items()}
    command = [sys.executable, "-m", "jobs.etl"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS bench, claimsight CASCADE")
        subprocess.run([*command, "--check"], cwd=ROOT, env=environment, check=True, capture_output=True)
        connection.execute("CHECKPOINT")
        started = time.perf_counter()
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
        seconds = time.perf_counter() - started
        _hold_against_file(connection, "bench.claims")
    return seconds


def _copy(file: Path, url: str) -> float:
    """Seconds that COPY takes to bring the same rows into a keyed table."""
    columns = ", ".join(f"{name} {POSTGRES_TYPES[_DTYPES[name]]}" for name in COLUMNS)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS copied")
        connection.execute(f"CREATE TABLE copied ({columns}, PRIMARY KEY (claim_id))")
        connection.execute("CHECKPOINT")
        started = time.perf_counter()
        with connection.transaction(), connection.cursor() as cursor, file.open("rb") as lines:
            cursor.execute(f"CREATE TEMP TABLE staged ({columns}) ON COMMIT DROP")
            with cursor.copy("COPY staged FROM STDIN (FORMAT csv, HEADER)") as copy:
                while block := lines.read(1 << 20):
                    copy.write(block)
            cursor.execute("INSERT INTO copied SELECT * FROM staged")
        seconds = time.perf_counter() - started
        _hold_against_file(connection, "copied")
    return seconds


def _hold_against_file(connection: psycopg.Connection, table: str) -> None:
    found = connection.execute(f"SELECT count(*), count(DISTINCT claim_id) FROM {table}").fetchone()
    if found != (CLAIMS, CLAIMS):
        raise RuntimeError(f"{table} holds {found} claims, all and distinct, of the file's {CLAIMS}")
