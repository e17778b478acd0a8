"""The page of the operation: its figures are those of the report, and it shows no claim."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from deploy.local.report.book import gather_book
from deploy.local.report.operations import gather_operations
from deploy.local.report.sources import gather_sources
from shared.contract import load
from shared.database import Database
from shared.errors import ExitCode
from tests.console.conftest import AS_OF, Book, SignIn
from tests.factories import ROOT

CONTRACT = load(ROOT / "contracts" / "demo.toml")


@pytest.fixture(scope="module", name="database")
def _database(book: Book) -> Iterator[Database]:
    with Database(book.url, "demo") as database:
        yield database


@pytest.fixture(scope="module", name="reported")
def _reported(database: Database) -> dict[str, Any]:
    """What the report's page shows."""
    (champion,) = database.rows("SELECT * FROM model_history WHERE alias = 'champion'")
    return gather_operations(database, CONTRACT, champion, AS_OF)


def test_runs_are_the_reports(sign_in: SignIn, reported: dict[str, Any]) -> None:
    """Runs of all stages, how long they took and what they would have cost."""
    told = sign_in("admin").get("/api/operations").json()
    assert [row["stage"] for row in told["stages"]] == list(reported["stages"])
    for row in told["stages"]:
        theirs = reported["stages"][row["stage"]]
        for name in ("runs", "bad", "median", "longest", "rows_in", "rows_out", "quarantined", "peak", "usd"):
            assert row[name] == theirs[name], name
    assert (told["usd"], told["a_month"]) == (reported["usd"], reported["a_month"])
    assert [row["run_id"] for row in told["latest"]] == [row["run_id"] for row in reported["latest"]]
    assert told["usd"] > 0


def test_what_waits_is_the_reports(sign_in: SignIn, reported: dict[str, Any], database: Database) -> None:
    """Queues by age, sources and what was set aside, counted by the database itself."""
    told = sign_in("data_scientist").get("/api/operations/waiting").json()
    queues = told["queues"]
    assert queues["score"]["claims"] == reported["unscored"]["claims"]
    assert queues["score"]["ages"] == reported["unscored"]["ages"]
    ages = [row["claims"] for row in queues["outcome"]["ages"]]
    assert ages == [row["claims"] for row in reported["unlabelled"]["ages"]]
    for name in ("flagged", "audited"):
        ages = [row["claims"] for row in queues[name]["ages"]]
        assert ages == [row[name] for row in reported["unlabelled"]["ages"]], name
    assert queues["flagged"]["claims"] > 0
    oldest = reported["unlabelled"]["oldest"]
    assert queues["outcome"]["oldest"] == pytest.approx(oldest.total_seconds() / 86400)
    quarantine = gather_book(database, CONTRACT, AS_OF)["quarantine"]["reasons"]
    assert quarantine
    assert [
        {name: row[name] for name in ("column_name", "reason", "rows", "files")} for row in told["quarantine"]
    ] == quarantine
    feeds = gather_sources(database, AS_OF)["feeds"]
    names = ("feed", "files", "rejected", "rows_in", "rows_out")
    assert [[row[name] for name in names] for row in told["feeds"]] == [[row[name] for name in names] for row in feeds]


def test_a_failure_is_told_in_a_sentence(book: Book, sign_in: SignIn) -> None:
    """A run that did not end well comes with what its exit code means."""
    book.rows(
        "INSERT INTO job_runs (stage, line, shard, status, exit_code, message, as_of, ended_at, git_sha, image_digest) "
        "VALUES ('score', 'demo', '0/1', 'failed', 75, 'mlflow: no answer', %s, clock_timestamp(), 'sha', 'none')",
        [AS_OF],
    )
    told = sign_in("auditor").get("/api/operations").json()
    assert [(row["meaning"], row["message"]) for row in told["bad"]] == [
        (ExitCode.TRANSIENT.sentence, "mlflow: no answer")
    ]
    assert told["bad_runs"] == 1
    assert told["latest"][0] == told["bad"][0]


def test_an_investigator_has_no_business_there(sign_in: SignIn) -> None:
    """Only those who keep the operation see it."""
    investigator = sign_in("investigator")
    for path in ("/api/operations", "/api/operations/waiting"):
        assert investigator.get(path).status_code == 403


@pytest.mark.parametrize("table", ["claims_quarantine", "ingest_files", "claims", "predictions", "access_log"])
def test_the_console_reads_no_row_of_it(book: Book, table: str) -> None:
    """Its login counts by functions, and may read neither what was set aside nor names of files nor claims."""
    with psycopg.connect(book.console_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(f"SELECT 1 FROM {'claimsight' if table == 'access_log' else 'demo'}.{table}".encode())
