"""`etl --requeue` as a process: refused, mended, killed, tried again."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import psycopg

from tests.factories import MOTOR, claims, csv_text, drop, environment, finish, run_etl, start_etl

ROWS = 20_000
LEVELS = 'levels = ["theft", "hail"]'


def _counts(database_url: str) -> tuple[int, ...]:
    """Claims, their different ids, outcomes, quarantined rows, and what the ledger says of both."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM motor.claims), (SELECT count(DISTINCT claim_id) FROM motor.claims), "
            "(SELECT count(*) FROM motor.outcomes), (SELECT count(*) FROM motor.claims_quarantine), "
            "sum(rows_out)::int, sum(quarantined)::int FROM motor.ingest_files"
        ).fetchone()
    assert row is not None
    return tuple(row)


def test_a_refused_file_after_the_contract_was_mended(tmp_path: Path, database_url: str) -> None:
    """Refused with 65 once and skipped from then on; killed again and again a requeue does all or nothing."""
    settings = environment(tmp_path, database_url)
    drop(tmp_path, "a.csv", csv_text([*claims(ROWS, peril="flood"), *claims(1, amount="dear")]))
    code, log = run_etl(settings)
    assert code == 65
    assert "quarantined 20,001 rows, see --requeue" in log[-1]["message"]
    assert run_etl(settings)[0] == 0
    refused = (0, 0, 0, ROWS + 1, 0, ROWS + 1)
    assert _counts(database_url) == refused
    assert run_etl(settings, "--requeue")[0] == 0
    assert _counts(database_url) == refused

    settings = environment(tmp_path, database_url, MOTOR.replace(LEVELS, 'levels = ["flood"]'))
    entered = (ROWS, ROWS, ROWS, 1, ROWS, 1)
    for seed in range(4):
        process = start_etl(settings, "--requeue")
        time.sleep(random.Random(seed).uniform(0.4, 1.2))
        process.send_signal(signal.SIGTERM if seed == 3 else signal.SIGKILL)
        process.communicate()
        assert _counts(database_url) in (refused, entered)
    assert finish(start_etl(settings, "--requeue"))[0] == 0
    assert _counts(database_url) == entered
    assert "nothing to do" in run_etl(settings)[1][-1]["message"]


def test_help_names_it(tmp_path: Path, database_url: str) -> None:
    """`--help` tells of the option, and it does not go together with `--check`."""
    settings = environment(tmp_path, database_url)
    process = start_etl(settings, "--help")
    assert "--requeue" in process.communicate()[0]
    process = start_etl(settings, "--requeue", "--check")
    assert "not allowed with" in process.communicate()[0]
    assert process.returncode == 2
