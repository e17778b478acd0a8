"""How fast etl loads claims, beside the least that any loader must do: copy the same rows to the same table, unchecked.

The claims are generated, 33 columns of the usual kinds; every row keeps its contract, so both sides end with the same.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import psycopg

from deploy.benchmarks.figure import Figure
from deploy.local import embedded
from shared.contract_parts import DType

CLAIMS, MANY_CLAIMS = 1_000_000, 5_000_000
TRIALS = 3
PIECE = 250_000
"""Claims generated at once."""
ROOT = Path(__file__).parents[2]
MEGABYTE = 1 << 20

_LEVELS = tuple(f"level {number}" for number in range(12))
_DAYS = tuple(date(2020, 1, 1) + timedelta(days=number) for number in range(1500))
_DTYPES: dict[str, DType] = {
    "claim_id": "text",
    "note": "text",
    **dict.fromkeys(("lost_on", "reported_on", "insured_from"), "date"),
    **{f"count_{place}": "integer" for place in range(8)},
    **{f"amount_{place}": "number" for place in range(4)},
    **{f"kind_{place}": "category" for place in range(15)},
    "hurt": "boolean",
}
_CHECKS: dict[DType, str] = {
    "integer": "min = 0\nmax = 99",
    "number": "min = 0",
    "category": f"levels = {list(_LEVELS)}",
    "boolean": "nullable = true",
}


def measure() -> list[Figure]:
    """Load the same files by etl and by psql, in turns.

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
        (folder / "bench.toml").write_text(_contract())
        few, many = _written(folder, CLAIMS), _written(folder, MANY_CLAIMS)
        trials, larger = [], []
        for _ in range(TRIALS):
            trials.append((_etl(folder, url, few, CLAIMS), _copy(few, url, CLAIMS)))
            larger.append(_etl(folder, url, many, MANY_CLAIMS))
    etl = statistics.median(seconds for (seconds, _), _ in trials)
    copy = statistics.median(seconds for _, seconds in trials)
    slow = statistics.median(seconds for seconds, _ in larger)
    memory = max(peak for _, peak in [*(side for side, _ in trials), *larger])
    each = f"median of {TRIALS}, {CLAIMS:,} generated claims of {len(_DTYPES)} columns"
    more = f"seconds for {MANY_CLAIMS:,} claims by those for {CLAIMS:,}, medians of {TRIALS} in turns"
    return [
        Figure("etl_speed", copy / etl, "x", f"psql's seconds by etl's, in turns, {each}", goal=1.0),
        Figure("etl_rate", CLAIMS / etl, "claims/s", f"one process of etl from start to exit, {each}"),
        Figure("copy_rate", CLAIMS / copy, "claims/s", f"\\copy to a staging table, INSERT to one like claims, {each}"),
        Figure("etl_growth", slow / etl, "x", more, goal=5.2, at_most=True),
        Figure("etl_memory", memory, "MB", "largest peak of resident memory of all runs", goal=700, at_most=True),
    ]


def _contract() -> str:
    columns = "\n".join(
        f'[columns.{name}]\ndtype = "{dtype}"\n{_CHECKS.get(dtype, "")}' for name, dtype in _DTYPES.items()
    )
    head = 'name = "bench"\ntitle = "Bench"\n[roles]\nid = "claim_id"\nevent_time = "lost_on"\namount = "amount_0"\n'
    return f"{head}[outcomes]\n{columns}\n"


def _written(folder: Path, count: int) -> Path:
    """Write a file of so many claims."""
    file = folder / f"claims-{count}.csv"
    with file.open("wb") as stream:
        for start in range(0, count, PIECE):
            _claims(start, min(PIECE, count - start)).write_csv(stream, include_header=start == 0)
    return file


def _claims(start: int, count: int) -> pl.DataFrame:
    random = np.random.default_rng(start)
    numbers = pl.int_range(start, start + count, eager=True).cast(pl.String)

    def column(name: str, dtype: DType) -> pl.Series:
        match dtype:
            case "text":
                return f"{name[0].upper()}" + numbers
            case "date":
                return pl.Series(_DAYS).gather(random.integers(0, len(_DAYS), count))
            case "integer":
                return pl.Series(random.integers(0, 100, count))
            case "number":
                return pl.Series(random.lognormal(7, 1, count)).round(2)
            case "boolean":
                return pl.Series(("yes", "no", None)).gather(random.integers(0, 3, count))
            case _:
                return pl.Series(_LEVELS).gather(random.integers(0, len(_LEVELS), count))

    return pl.DataFrame([column(name, dtype).alias(name) for name, dtype in _DTYPES.items()])


def _etl(folder: Path, url: str, file: Path, count: int) -> tuple[float, float]:
    """Seconds and megabytes that one run of etl takes on an empty line of business and this file."""
    dropped = folder / "drop" / "bench" / "claims" / file.name
    dropped.parent.mkdir(parents=True, exist_ok=True)
    dropped.hardlink_to(file)
    variables = {
        "CLAIMSIGHT_CONTRACT": folder / "bench.toml",
        "CLAIMSIGHT_DATABASE_URL": url,
        "CLAIMSIGHT_DROP": folder / "drop",
        "CLAIMSIGHT_EVENTS": folder / "events.jsonl",
        "CLAIMSIGHT_ARTIFACTS": folder / "artifacts",
        "CLAIMSIGHT_AS_OF": "2025-01-01",
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
        dropped.unlink()
        _count(connection, "bench.claims", count)
        peak = connection.execute("SELECT max(peak_rss_bytes) FROM claimsight.job_runs").fetchone()
    assert peak is not None
    return seconds, peak[0] / MEGABYTE


def _copy(file: Path, url: str, count: int) -> float:
    """Seconds that psql takes to bring the same rows into a table like the one that etl has just filled."""
    names = ", ".join(_DTYPES)
    rest = ", ".join(name for name in _DTYPES if name != "claim_id")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS copied, staged")
        connection.execute("CREATE TABLE copied (LIKE bench.claims INCLUDING ALL)")
        connection.execute(f"CREATE TABLE staged AS SELECT {names} FROM bench.claims WITH NO DATA")
        connection.execute("CHECKPOINT")
        asked = (
            f"--command=\\copy staged from '{file}' (format csv, header)",
            f"--command=INSERT INTO copied (claim_id, revision, event_time, known_at, file_id, file_line, {rest}) "
            f"SELECT claim_id, 1, lost_on, lost_on, 1, row_number() OVER (), {rest} FROM staged",
        )
        psql = [embedded.binary("psql"), url, "--quiet", "--no-psqlrc", "--single-transaction"]
        started = time.perf_counter()
        subprocess.run([*psql, *asked], check=True)
        seconds = time.perf_counter() - started
        _count(connection, "copied", count)
        different = f"SELECT count(*) FROM (SELECT {names} FROM copied EXCEPT SELECT {names} FROM bench.claims) t"
        if (found := connection.execute(different).fetchone()) != (0,):
            raise RuntimeError(f"{found} claims of the two sides differ")
        connection.execute("DROP TABLE copied, staged")
    return seconds


def _count(connection: psycopg.Connection, table: str, expected: int) -> None:
    found = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    if found != (expected,):
        raise RuntimeError(f"{table} holds {found} claims of the file's {expected}")
