"""train, evaluate, score and drift as processes, on a small line of business: killed, stopped, run twice, harmed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from shared.contract import load
from shared.database import Database
from tests import claims_factory
from tests.factories import ROOT, finish

FOLLOWING = ("train", "evaluate", "score", "drift")
TABLES = (
    "models",
    "model_history",
    "bivariate",
    "slice_examples",
    "predictions",
    "drift_metrics",
    "outcomes",
    "claims",
)


@dataclass(frozen=True)
class Line:
    """A line of business: its database, and the environment of its stages."""

    url: str
    environment: dict[str, str]

    def start(self, stage: str, *options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", f"jobs.{stage}", *options],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, stage: str, code: int = 0) -> dict[str, Any]:
        """Run a stage to its end; its closing line."""
        ended, lines = finish(self.start(stage))
        assert ended == code, lines
        assert lines[-1]["exit_code"] == code
        return lines[-1]

    def rows(self, query: str) -> list[dict[str, Any]]:
        with Database(self.url, "garage") as database:
            return database.rows(query)

    def counts(self) -> dict[str, int]:
        return {table: self.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in TABLES}

    def kill_at(self, stage: str, table: str) -> None:
        """Kill a stage while it waits to write into a table that is locked against it."""
        with psycopg.connect(self.url, autocommit=True) as connection, connection.transaction():
            connection.execute(f"LOCK TABLE garage.{table} IN SHARE MODE")
            running = self.start(stage)
            with psycopg.connect(self.url, autocommit=True) as watching:
                until(lambda: watching.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone() is not None)
            running.kill()
            running.communicate(timeout=10)
        assert running.returncode == -signal.SIGKILL


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children(pid: int) -> set[int]:
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def fitting(line: Line) -> tuple[subprocess.Popen[str], set[int]]:
    """Start train and wait until its child is at work on the fit."""
    running = line.start("train")
    assert running.stdout is not None
    assert "training" in running.stdout.readline()
    until(lambda: seconds(children(running.pid)) > 1.5, 120)
    return running, children(running.pid)


def seconds(pids: set[int]) -> float:
    """Seconds of CPU that processes have taken."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(of[11]) + int(of[12]) for of in fields) / os.sysconf("SC_CLK_TCK")


def gone(pids: set[int]) -> bool:
    """Whether processes have ended, if nobody has reaped them yet."""
    states = [Path(f"/proc/{pid}/stat") for pid in pids]
    return all(") Z" in state.read_text() for state in states if state.exists())


def aliases(line: Line) -> dict[str, int]:
    import mlflow

    client = mlflow.MlflowClient(line.environment["MLFLOW_TRACKING_URI"])
    return {alias: int(version) for alias, version in client.get_registered_model("garage").aliases.items()}


def furnished(postgres: str, name: str, folder: Path, text: str, claims: int) -> Line:
    """Make a database of so many claims with their outcomes, and settings that lead there."""
    (folder / "contract.toml").write_text(text)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    url = make_conninfo(postgres, dbname=name)
    contract = load(folder / "contract.toml")
    with Database(url, contract.name) as database:
        database.prepare(contract)
        claims_factory.store(database, contract, claims_factory.claims(claims, seed=2))
    return Line(
        url,
        {
            "CLAIMSIGHT_CONTRACT": str(folder / "contract.toml"),
            "CLAIMSIGHT_DATABASE_URL": url,
            "CLAIMSIGHT_DROP": str(folder),
            "CLAIMSIGHT_EVENTS": str(folder / "events.jsonl"),
            "CLAIMSIGHT_ARTIFACTS": str(folder / "artifacts"),
            "CLAIMSIGHT_AS_OF": "2025-01-01",
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        },
    )


@pytest.fixture(scope="module")
def fresh(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """Claims and outcomes of two years, and nothing learnt from them yet."""
    yield furnished(postgres, "stages", tmp_path_factory.mktemp("stages"), claims_factory.SHORT, 1600)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP DATABASE stages WITH (FORCE)")


@pytest.fixture(scope="module")
def line(fresh: Line) -> Line:
    """The same after each stage was killed at its work, and run again."""
    assert fresh.run("score")["message"].startswith("no champion yet")
    assert fresh.run("drift")["message"].startswith("no champion yet")
    running, found = fitting(fresh)
    running.kill()
    running.communicate(timeout=10)
    until(lambda: gone(found), 5)
    fresh.run("train")
    for stage, table in (("evaluate", "model_history"), ("score", "predictions"), ("drift", "drift_metrics")):
        fresh.kill_at(stage, table)
        assert fresh.counts()[table] == 0
        fresh.run(stage)
    return fresh


@contextmanager
def copied(line: Line, postgres: str, folder: Path) -> Iterator[Line]:
    """Copy a line of business, models and all, to be harmed."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS copied WITH (FORCE)")
        connection.execute("CREATE DATABASE copied TEMPLATE stages")
    url = make_conninfo(postgres, dbname="copied")
    (artifact,) = line.rows("SELECT artifact_uri FROM models")
    shutil.copytree(artifact["artifact_uri"].removeprefix("file://"), folder / "model")
    environment = line.environment | {
        "CLAIMSIGHT_DATABASE_URL": url,
        "CLAIMSIGHT_EVENTS": str(folder / "events.jsonl"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
    }
    shutil.copyfile(line.environment["MLFLOW_TRACKING_URI"].removeprefix("sqlite:///"), folder / "mlflow.db")
    copy = replace(line, url=url, environment=environment)
    copy.rows(f"UPDATE models SET artifact_uri = 'file://{folder / 'model'}'")
    yield copy


@pytest.fixture
def harmed(line: Line, postgres: str, tmp_path: Path) -> Iterator[Line]:
    with copied(line, postgres, tmp_path) as copy:
        yield copy


def test_stopped_fit_ends_politely_and_at_once(fresh: Line) -> None:
    """SIGTERM in the middle of a fit ends train and its child within five seconds, with 143 and a closing line."""
    running, found = fitting(fresh)
    began = time.monotonic()
    running.terminate()
    code, lines = finish(running)
    assert time.monotonic() - began < 5
    assert (code, lines[-1]["status"]) == (143, "stopped")
    until(lambda: gone(found), 5 - (time.monotonic() - began))


def test_killed_stages_end_as_if_they_had_not_been(line: Line) -> None:
    """After a kill and another run there is one model, one verdict and one prediction a claim; the ledger says so."""
    assert len(line.rows("SELECT 1 FROM models")) == 1
    assert [row["alias"] for row in line.rows("SELECT alias FROM model_history")] == ["champion"]
    (predictions,) = line.rows("SELECT count(*) AS n, count(DISTINCT claim_id) AS claims FROM predictions")
    assert predictions["n"] == predictions["claims"] == line.counts()["claims"]
    assert line.rows("SELECT 1 FROM drift_metrics")
    runs = {
        row["stage"]: row for row in line.rows("SELECT stage, rows_out, status FROM job_runs WHERE status = 'done'")
    }
    assert runs["score"]["rows_out"] == predictions["n"]
    killed = line.rows("SELECT stage, exit_code FROM job_runs WHERE status = 'killed' AND exit_code = 137")
    assert {row["stage"] for row in killed} == set(FOLLOWING)


def test_no_row_of_the_future_is_learnt_from(line: Line) -> None:
    """What was learnt from was known when the training window closed, and the judged window opened after it."""
    (model,) = line.rows(
        "SELECT train_end, (SELECT max(rows_in) FROM job_runs WHERE stage = 'train') AS learnt, "
        "(SELECT count(*) FROM outcomes WHERE known_at <= train_end) AS known, "
        "(SELECT judged_start FROM model_history) AS judged FROM models"
    )
    assert model["learnt"] == model["known"]
    assert model["train_end"] < model["judged"]


def test_registry_mirrors_the_database(line: Line) -> None:
    """MLflow calls the promoted version champion, and no version challenger."""
    (model,) = line.rows("SELECT model_version FROM models")
    assert aliases(line) == {"champion": model["model_version"]}


def test_judged_model_has_its_card_and_tables(line: Line) -> None:
    """Evaluate, though killed once, left each association once, and a card; neither card nor history names a claim."""
    (model,) = line.rows(
        "SELECT m.artifact_uri, h.metrics::text AS told, h.metrics->'errors'->'kinds' AS kinds, "
        "h.judged_start, h.judged_end FROM models m JOIN model_history h USING (model_version)"
    )
    card = Path(model["artifact_uri"].removeprefix("file://")).parent / "card"
    texts = [model["told"], *((card / f"model-card.{kind}").read_text() for kind in ("md", "html"))]
    assert all("model 1" in text for text in texts[1:])
    ids = [row["claim_id"] for row in line.rows("SELECT claim_id FROM claims")]
    assert not [claim for claim in ids if any(f'"{claim}"' in text or f" {claim} " in text for text in texts)]
    months = line.rows("SELECT feature, month, count(*) AS n FROM bivariate GROUP BY 1, 2")
    assert {row["n"] for row in months} == {1}
    assert min(row["month"] for row in months) == model["judged_start"].date().replace(day=1)
    assert max(row["month"] for row in months) == model["judged_end"].date().replace(day=1)
    assert {kind["column"] for kind in model["kinds"]}


def test_second_run_changes_nothing(line: Line) -> None:
    """Each stage run again finds nothing to do, and says so."""
    before = line.counts()
    for stage in FOLLOWING:
        closing = line.run(stage)
        assert "nothing" in closing["message"], closing
        assert (closing["rows_in"], closing["rows_out"]) == (0, 0)
    assert line.counts() == before


def test_idle_stages_import_nothing_heavy(line: Line) -> None:
    """A stage that finds nothing to do has imported neither numpy nor a model's library nor MLflow.

    But drift, once a week, looks each time whether the newest claims are broken.
    """
    heavy = "{'numpy', 'sklearn', 'xgboost', 'mlflow'}"
    for stage in ("train", "evaluate", "score"):
        script = (
            f"import sys, shared.job\nfrom jobs.{stage}.__main__ import work\n"
            f"def told(job):\n    said = work(job)\n    assert not {heavy} & set(sys.modules)\n    return said\n"
            f"shared.job.run({stage!r}, '', told, lambda *_: None)"
        )
        environment = {"PATH": os.environ["PATH"], **line.environment}
        ended = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, check=False
        )
        assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize(
    ("stage", "file", "content"),
    [
        ("score", "model.json", None),
        ("score", "peers.json", '{"columns": [], "kinds": {}}'),
        ("score", "SHA256SUMS", None),
        ("drift", "model.json", None),
        ("drift", "profile.json", "[]"),
        ("evaluate", "model.json", None),
        ("evaluate", "training.json", "{}"),
    ],
)
def test_harmed_model_ends_with_70(harmed: Line, tmp_path: Path, stage: str, file: str, content: str | None) -> None:
    """A model with a file missing or changed ends a stage that needs it with 70 and a sentence, and changes nothing."""
    undone = {"score": "predictions", "drift": "drift_metrics", "evaluate": "model_history"}
    # The history is append-only, but for a superuser who says so.
    harmed.rows(f"SET session_replication_role = replica; DELETE FROM {undone[stage]}")
    if content is None:
        (tmp_path / "model" / file).unlink()
    else:
        (tmp_path / "model" / file).write_text(content)
    before = harmed.counts()
    closing = harmed.run(stage, 70)
    assert f"{file} is not {'there' if content is None else 'as it was written'}" in closing["message"]
    assert "train a new one" in closing["message"]
    assert "traceback" not in closing
    assert harmed.counts() == before


def test_champion_that_cannot_be_read_does_not_keep_its_successor_out(harmed: Line, tmp_path: Path) -> None:
    """A challenger is judged without a champion whose files are gone; the aliases follow."""
    shutil.copytree(tmp_path / "model", tmp_path / "next")
    (old,) = harmed.rows("SELECT model_version FROM models")
    import mlflow

    client = mlflow.MlflowClient(harmed.environment["MLFLOW_TRACKING_URI"])
    version = int(client.create_model_version("garage", f"file://{tmp_path}/next").version)
    client.set_registered_model_alias("garage", "challenger", str(version))
    harmed.rows(
        f"INSERT INTO models SELECT {version}, family, snapshot, outcomes_known, train_start, train_end, "
        f"'file://{tmp_path}/next', mlflow_run_id, contract_hash, git_sha, image_digest, as_of, run_id FROM models"
    )
    (tmp_path / "model" / "model.json").unlink()
    assert "promoted" in harmed.run("evaluate")["message"]
    assert aliases(harmed) == {"champion": version, "previous_champion": old["model_version"]}


def test_claims_with_unseen_levels_and_gaps_are_scored(harmed: Line) -> None:
    """Later claims with levels that training never saw, and without values, are scored, each once."""
    later = claims_factory.claims(50, seed=9).with_columns(
        pl.concat_str(pl.lit("ä%'"), "claim_id").alias("claim_id"),
        pl.lit("never seen").alias(claims_factory.ODD),
        pl.lit(None, dtype=pl.Float64).alias("amount"),
    )
    with Database(harmed.url, "garage") as database:
        contract = load(Path(harmed.environment["CLAIMSIGHT_CONTRACT"]))
        claims_factory.store(database, contract, later)
    assert harmed.run("score")["rows_out"] == 50
    reasons = harmed.rows("SELECT reasons FROM predictions WHERE reasons IS NOT NULL")
    assert all(row["reasons"] for row in reasons)
    assert json.dumps(reasons)


def test_a_claim_that_comes_late_changes_its_week_and_no_verdict(harmed: Line) -> None:
    """Its week alone is counted anew, once, and what was said of its window stands; nothing to do is told as such."""
    assert "nothing to do" in harmed.run("drift")["message"]
    (window,) = harmed.rows("SELECT min(window_start) AS start FROM drift_metrics")
    harmed.rows(
        """INSERT INTO claims SELECT (jsonb_populate_record(c, '{"claim_id": "late"}')).* FROM claims c """
        f"WHERE event_time > '{window['start']}' AND superseded_at IS NULL ORDER BY event_time LIMIT 1"
    )
    said = harmed.rows("SELECT * FROM drift_metrics ORDER BY window_start, feature, metric")
    weeks = "SELECT week, counts FROM weekly_profiles WHERE feature = '*' ORDER BY week"
    before = harmed.rows(weeks)
    closing = harmed.run("drift")
    changed = [
        (old["counts"], new["counts"]) for old, new in zip(before, harmed.rows(weeks), strict=True) if old != new
    ]
    assert [new[0] - old[0] for old, new in changed] == [1]
    assert [new[1] - old[1] for old, new in changed] == [1]  # it repeats another's content
    assert closing["rows_in"] == changed[0][1][0]
    assert harmed.rows("SELECT * FROM drift_metrics ORDER BY window_start, feature, metric") == said
    assert harmed.run("drift")["rows_in"] == 0


def test_broken_input_stops_score_though_its_window_is_not_over(harmed: Line) -> None:
    """A unit that changes is told by the next drift, and score refuses until it is mended; it asks for no model."""
    for factor, code in ((100.0, 70), (0.01, 0)):
        harmed.rows(
            f"UPDATE claims SET amount = amount * {factor} "
            "WHERE event_time > (SELECT max(event_time) FROM claims) - interval '70 days'"
        )
        harmed.rows("DELETE FROM weekly_profiles")  # a sender's correction would be a version of its own
        said = harmed.run("drift")["message"]
        assert ("the newest claims are broken, scoring is stopped: amount lies outside" in said) == (code == 70)
        stops = harmed.rows("SELECT feature, metric FROM drift_metrics WHERE verdict = 'stop' AND feature <> '*'")
        assert stops == ([{"feature": "amount", "metric": "outside"}] if code else [])
        assert not harmed.rows("SELECT 1 FROM drift_metrics WHERE metric = 'asked'")
        harmed.run("score", code)
