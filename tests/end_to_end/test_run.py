"""The whole path of `make run`, on a small book and on files of one's own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import jsonschema
import pytest

from deploy.local import embedded
from shared.contract import load
from shared.database import Database
from tests.factories import MOTOR, claims, csv_text

ROOT = Path(__file__).parents[2]
SMALL = ("--claims", "4000", "--weeks", "30", "--seed", "3")
# Of the small book two weeks come one by one instead of twelve: each week starts every stage.
COMMAND = "import sys; from deploy.local import drops, run; drops.WEEKLY = 2; sys.exit(run.main())"


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run as `make run` does, in a folder of its own."""
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        cwd=home,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "160"},
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )


def summary(home: Path) -> dict[str, object]:
    """Read the summary and hold it against its schema."""
    found = json.loads((home / ".claimsight" / "summary.json").read_text())
    jsonschema.validate(found, json.loads((ROOT / "docs" / "summary.schema.json").read_text()))
    return found


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder for one run: not one of pytest's, which every other session of pytest closes to the server's user."""
    with tempfile.TemporaryDirectory(prefix="claimsight-run-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def book() -> Iterator[Path]:
    """A folder in which the small demo book ran to its end, after one stage had been killed on the way."""
    with tempfile.TemporaryDirectory(prefix="claimsight-book-") as folder:
        _run_and_kill(Path(folder))
        yield Path(folder)


def _run_and_kill(home: Path) -> None:
    shutil.copytree(ROOT / "contracts", home / "contracts")
    running = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *SMALL],
        cwd=home,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    stage = _wait_for_stage(running.pid)
    os.kill(stage, signal.SIGKILL)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 137, errors
    assert errors.count("\n") == 1, errors
    finished = run(home, *SMALL)
    assert finished.returncode == 0, finished.stderr


def _wait_for_stage(parent: int) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        for child in map(int, children):
            with suppress(FileNotFoundError):  # it ended in between
                if b"jobs.etl" in Path(f"/proc/{child}/cmdline").read_bytes():
                    time.sleep(0.5)
                    return child
        time.sleep(0.01)
    raise AssertionError("no stage was started")


def test_summary_of_the_book(book: Path) -> None:
    """The demo's summary is valid, and etl's rows in are its rows out and its quarantined ones."""
    found = summary(book)
    etl = found["stages"]["etl"]
    assert etl["rows_in"] == etl["rows_out"] + etl["quarantined"] > 4000
    assert etl["quarantined"] > 0
    assert found["stages"]["train"]["runs"] > 1
    assert (found["champion"] is None) == (found["no_champion_because"] is not None)


def test_every_row_of_the_book_stands_once(book: Path) -> None:
    """Each row of each dropped file ends in claims, outcomes or quarantine, once, though a stage was killed."""
    files = sorted((book / ".claimsight" / "drop" / "demo").rglob("*.csv"))
    # Neither a quoted line break nor a blank line is in the book, so lines are rows.
    rows = {
        file.relative_to(book / ".claimsight" / "drop").as_posix(): file.read_bytes().count(b"\n") - 1 for file in files
    }
    with (
        embedded.postgres(book / ".claimsight" / "postgres") as url,
        Database(url, load(ROOT / "contracts" / "demo.toml").name) as database,
    ):
        stored = database.rows(
            "SELECT f.uri, count(*) AS rows, count(DISTINCT r.file_line) AS lines FROM ingest_files f JOIN ("
            "SELECT file_id, file_line FROM claims UNION ALL SELECT file_id, file_line FROM outcomes "
            "UNION ALL SELECT file_id, file_line FROM claims_quarantine) r USING (file_id) GROUP BY f.uri"
        )
    assert {row["uri"]: row["rows"] for row in stored} == {uri: count for uri, count in rows.items() if count}
    assert all(row["rows"] == row["lines"] for row in stored)


def test_second_run_finds_nothing_to_do(book: Path) -> None:
    """The same command again changes no count, and says so."""
    before = summary(book)
    again = run(book, *SMALL)
    after = summary(book)
    assert again.returncode == 0, again.stderr
    assert "Nothing to do" in again.stdout
    for stage, counts in before["stages"].items():
        for key in ("rows_in", "rows_out", "quarantined"):
            assert after["stages"][stage][key] == counts[key], (stage, key)
    assert after["champion"] == before["champion"]


def test_a_run_goes_on_while_scoring_is_stopped(book: Path) -> None:
    """Under a stop all stages but score go on, the run ends with score's 70 and says how to clear it."""
    with embedded.postgres(book / ".claimsight" / "postgres") as url, Database(url, "demo") as database:
        (ran,) = database.rows("SELECT max(run_id) AS id FROM job_runs")
        # The small book has no champion: a model of the far future stands in, which no stage sees.
        database.rows(
            "INSERT INTO models (model_version, family, snapshot, outcomes_known, train_start, train_end, "
            "artifact_uri, mlflow_run_id, contract_hash, git_sha, image_digest, as_of, run_id) "
            "VALUES (99, 'anomaly', '', 1, now(), now(), '', '', '', '', '', '2100-01-01', %s)",
            [ran["id"]],
        )
        database.rows(
            "INSERT INTO stops (action, model_version, window_end, actor, reason, as_of, run_id) "
            "VALUES ('stop', 99, '2024-07-01', 'drift', 'amount is in cents', '2024-07-01', %s)",
            [ran["id"]],
        )
    before = summary(book)
    stopped = run(book, *SMALL)
    assert stopped.returncode == 70, stopped.stderr
    assert "Scoring is stopped since 2024-07-01" in stopped.stdout
    assert "CLEAR=" in stopped.stdout and "Nothing to do" not in stopped.stdout
    after = summary(book)
    assert (after["stopped"]["reason"], after["stages"]["score"]["exit_code"]) == ("amount is in cents", 70)
    assert after["stopped"]["waiting"] > 0
    assert after["stages"]["drift"]["runs"] == before["stages"]["drift"]["runs"] + 1
    assert run(book, *SMALL, "--clear", "the tariff has changed").returncode == 2
    cleared = run(book, *SMALL, "--clear", "the tariff has changed", "--actor", "Ada")
    assert cleared.returncode == 0, cleared.stderr
    assert summary(book)["stopped"] is None
    again = run(book, *SMALL, "--clear", "once more", "--actor", "Ada")
    assert again.returncode == 78
    assert "scoring of demo is not stopped; Ada cleared it" in again.stderr


def test_another_book_is_refused(book: Path) -> None:
    """A folder that holds one book does not mix it with another."""
    other = run(book, "--claims", "4000", "--weeks", "30", "--seed", "4")
    assert other.returncode == 78
    assert "make clean" in other.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "binary"),
        (b"a;b;c\n1;2;3\n", "lacks"),
    ],
    ids=["empty", "binary", "wrong columns"],
)
def test_bad_files_are_refused_in_one_line(home: Path, content: bytes, said: str) -> None:
    """A file that is no claims file ends with 65 and one line that says why."""
    file = home / "claims.csv"
    file.write_bytes(content)
    ended = run(home, "--contract", str(ROOT / "contracts" / "vehicle.toml"), "--data", str(file))
    assert ended.returncode == 65
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_mended_contract_lets_a_refused_file_in(home: Path) -> None:
    """A contract's mistake is named by column and reason, as often as asked; mended, the same command goes on."""
    contract, file = home / "motor.toml", home / "claims.csv"
    contract.write_text(MOTOR.replace('levels = ["theft", "hail"]', 'levels = ["fire"]'))
    file.write_text(csv_text(claims(30)))
    asked = ("--contract", str(contract), "--data", str(file))
    for _ in range(2):
        refused = run(home, *asked)
        assert refused.returncode == 65
        assert "peril: not one of the levels (30 rows)" in refused.stderr
        assert refused.stderr.count("\n") == 1
    assert f"mend it or {contract}" in refused.stderr
    contract.write_text(MOTOR)
    entered = run(home, *asked)
    assert entered.returncode == 0, entered.stderr
    found = summary(home)["stages"]["etl"]
    assert (found["rows_in"], found["rows_out"]) == (60, 30)  # each row was tried twice


def test_a_file_rejected_beside_a_loaded_one_is_told_each_time(home: Path) -> None:
    """Until it is mended, whoever looks at the terminal alone knows that not all is in."""
    contract, files = home / "motor.toml", home / "files" / "claims"
    contract.write_text(MOTOR)
    files.mkdir(parents=True)
    (files / "good.csv").write_text(csv_text(claims(30)))
    (files / "bad.csv").write_text(csv_text(claims(20, peril="fire")))
    refused = run(home, "--contract", str(contract), "--data", str(files.parent))
    assert refused.returncode == 65 and "bad.csv: 20 of 20 rows break the contract" in refused.stderr
    for _ in range(2):
        ended = run(home, "--contract", str(contract), "--data", str(files.parent))
        assert ended.returncode == 0, ended.stderr
        told = " ".join(ended.stdout.split())
        assert "Rejected: " in told and "bad.csv: " in told
        assert "its 20 rows wait in quarantine; mend it or the contract, and run this again" in told
        (rejected,) = summary(home)["rejected"]
        assert (rejected["kind"], rejected["quarantined"]) == ("claims", 20)
    (files / "bad.csv").write_text(csv_text([claim | {"claim": f"m{claim['claim']}"} for claim in claims(20)]))
    mended = run(home, "--contract", str(contract), "--data", str(files.parent))
    assert "Rejected: " not in mended.stdout
    assert summary(home)["rejected"] == []


def test_missing_file_is_refused_before_anything_starts(home: Path) -> None:
    """A file that is not there ends with 65 and one line."""
    ended = run(home, "--contract", str(ROOT / "contracts" / "vehicle.toml"), "--data", "nowhere.csv")
    assert ended.returncode == 65
    assert (
        ended.stderr
        == "claimsight: nowhere.csv: no such file; name a CSV file, or a folder with claims/ and outcomes/\n"
    )


def test_a_clock_that_is_none_is_refused_in_one_line(home: Path) -> None:
    """Arguments that are wrong end with 2 and one line that says how they are written."""
    ended = run(home, "--as-of", "yesterday")
    assert ended.returncode == 2
    assert "a moment is written as 2024-03-31" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_real_vehicle_claims(home: Path, real_claims: Path) -> None:
    """On two years of real vehicle claims a champion is promoted, which sees no column that names claims or dates.

    Columns that tell the date are told to be left out; the id, which could be no feature, is not suspected.
    """
    ended = run(
        home,
        *("--contract", str(ROOT / "contracts" / "vehicle.toml")),
        *("--data", str(real_claims / "vehicle_claims_1994_1995.csv")),
    )
    assert ended.returncode == 0, ended.stderr
    found = summary(home)
    assert found["stages"]["etl"] | {"seconds": 0, "meaning": "", "runs": 1} == {
        **{"rows_in": 11337, "rows_out": 11336, "quarantined": 1, "exit_code": 0},
        **{"seconds": 0, "meaning": "", "runs": 1},
    }
    champion = found["champion"]
    assert champion is not None
    assert champion["train_window"]["end"] < champion["judged_window"]["start"]
    assert champion["metrics"]["lift_top_decile"]["low"] >= 1.5
    used = {column for feature in champion["features"] for column in feature["columns"]}
    assert not used & {"PolicyNumber", "Month", "Year", "FraudFound_P"}
    assert {"Month", "Year"} <= {column["column"] for column in champion["left_out"]}
    assert champion["suspected_leaks"] == []


def test_real_auto_claims(home: Path, real_claims: Path) -> None:
    """On a thousand real auto claims one negative limit is set aside; id and personal columns are not suspected."""
    ended = run(
        home,
        *("--contract", str(ROOT / "contracts" / "auto.toml"), "--data", str(real_claims / "auto_claims_1000.csv")),
    )
    assert ended.returncode == 0, ended.stderr
    found = summary(home)
    assert found["stages"]["etl"]["quarantined"] == 1
    assert found["stages"]["etl"]["rows_out"] == 999
    leaks = {leak["column"] for leak in found["champion"]["suspected_leaks"]}
    assert not leaks & {"policy_number", "incident_location", "insured_zip"}
