"""Files that lack a date or outcomes, through every stage; and lines of business side by side."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import polars as pl
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from deploy.local import embedded
from shared.contract import load
from shared.database import Database
from shared.draws import DRAWS, SPLIT_DRAW
from tests import claims_factory
from tests.end_to_end.test_run import ROOT, home, run
from tests.end_to_end.test_stages import Line

__all__ = ["home"]  # the fixture

UNLABELLED = claims_factory.GARAGE.replace("[outcomes]\n", "")
LABEL = 'label = "fraud"\n\n[label]\nfraud = ["true"]\nnot_fraud = ["false"]\n'


@pytest.fixture
def line(postgres: str, tmp_path: Path) -> Iterator[Line]:
    """Claims without outcomes, and nothing learnt from them yet."""
    (tmp_path / "contract.toml").write_text(UNLABELLED)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE DATABASE unlabelled")
    url = make_conninfo(postgres, dbname="unlabelled")
    environment = {
        "CLAIMSIGHT_CONTRACT": str(tmp_path / "contract.toml"),
        "CLAIMSIGHT_DATABASE_URL": url,
        "CLAIMSIGHT_DROP": str(tmp_path),
        "CLAIMSIGHT_EVENTS": str(tmp_path / "events.jsonl"),
        "CLAIMSIGHT_ARTIFACTS": str(tmp_path / "artifacts"),
        "CLAIMSIGHT_AS_OF": "2025-01-01",
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
    }
    line = Line(url, environment)
    add(line, claims_factory.claims(400))
    yield line
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP DATABASE unlabelled WITH (FORCE)")


def add(line: Line, claims: pl.DataFrame) -> None:
    """Store claims; their outcomes are not known."""
    contract = load(Path(line.environment["CLAIMSIGHT_CONTRACT"]))
    with Database(line.url, contract.name) as database:
        database.prepare(contract)
        claims_factory.store(database, contract, claims)
        database.rows("DELETE FROM outcomes")


def test_claims_without_outcomes_are_ranked_each_once(line: Line) -> None:
    """Ranking is killed and run again; new claims are ranked next, and learnt from once there are enough of them."""
    assert "nothing scored" in line.run("score")["message"]
    assert line.run("train")["rows_out"] == 400
    assert "nothing to judge" in line.run("evaluate")["message"]
    line.kill_at("score", "anomalies")
    assert line.run("score")["rows_out"] == 400
    add(line, claims_factory.claims(90, seed=1).with_columns(pl.concat_str(pl.lit("n"), "claim_id").alias("claim_id")))
    assert line.run("score")["rows_out"] == 90
    assert "90 new claims beside 400" in line.run("train")["message"]
    ranked = line.rows(
        "SELECT count(*) AS n, count(DISTINCT claim_id) AS claims FROM anomalies WHERE model_version = 1"
    )
    assert ranked == [{"n": 490, "claims": 490}]
    assert line.rows("SELECT DISTINCT family FROM models") == [{"family": "anomaly"}]
    assert not line.rows("SELECT 1 FROM model_history")


def digests(home: Path, line: str) -> dict[str, str]:
    """Digest of every table of a line of business, of its report, its summary and its model."""
    with embedded.postgres(home / ".claimsight" / "postgres") as url, Database(url, line) as database:
        tables = database.rows("SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename")
        found = {
            row["tablename"]: str(
                database.rows(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) AS d FROM {row['tablename']} t")
            )
            for row in tables
        }
    kept = home / ".claimsight"
    files = [kept / "report" / f"{line}.html", kept / "summaries" / f"{line}.json"]
    return found | {str(file): file.read_text() for file in [*files, *(kept / "artifacts" / line).rglob("*.json")]}


def test_lines_of_business_do_not_touch_each_other(home: Path) -> None:
    """A line without a date, judged by no claim it learnt from, is left as it was by one without outcomes."""
    claims = claims_factory.claims(1500).with_columns(
        pl.col("event_time").dt.date(), fraud=pl.col("is_fraud").cast(pl.String)
    )
    first = claims_factory.UNDATED.replace("[outcomes]\n", LABEL) + 'fraud = { dtype = "category" }\n'
    second = UNLABELLED.replace('"garage"', '"yard"')
    for name, text in (("garage", first), ("yard", second)):
        (home / f"{name}.toml").write_text(text)
        claims.head(1500 if name == "garage" else 300).write_csv(home / f"{name}.csv")
    ended = run(home, "--contract", "garage.toml", "--data", "garage.csv")
    assert ended.returncode == 0, ended.stderr
    assert "optimistic" in ended.stdout
    summary = json.loads((home / ".claimsight" / "summary.json").read_text())
    assert (summary["split"], summary["champion"]["model_version"]) == ("random", 1)
    before = digests(home, "garage")
    ended = run(home, "--contract", "yard.toml", "--data", "yard.csv")
    assert ended.returncode == 0, ended.stderr
    assert digests(home, "garage") == before
    schema = json.loads((ROOT / "docs" / "summary.schema.json").read_text())
    for name in ("summaries/garage", "summaries/yard", "summary"):
        jsonschema.validate(json.loads((home / ".claimsight" / f"{name}.json").read_text()), schema)
    page = (home / ".claimsight" / "report" / "index.html").read_text()
    assert 'href="garage.html"' in page
    assert "robabilit" not in page
    with embedded.postgres(home / ".claimsight" / "postgres") as url, Database(url, "garage") as database:
        (model,) = database.rows(
            f"SELECT judged_share, claims, (SELECT count(*) FROM claims c WHERE {SPLIT_DRAW} < judged_share * {DRAWS}) "
            "AS judged, (SELECT rows_in FROM job_runs WHERE stage = 'evaluate' AND line = 'garage') AS seen FROM models"
        )
    assert model["judged"] == model["seen"]
    assert model["judged"] + model["claims"] == 1500
