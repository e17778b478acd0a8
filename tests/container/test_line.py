"""A small line of business from its drop to drift, each stage in its image: stopped in the middle, run, run again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl
import psycopg
import pytest
from docker.models.containers import Container
from psycopg.conninfo import make_conninfo

from shared.choreography import Stage
from tests import claims_factory
from tests.container.conftest import STAGES, STOP_SECONDS, Ended, Engine, Place, furnished, only, until

CLAIMS = 1400
WRITTEN = {
    "etl": "claims",
    "train": "models",
    "evaluate": "model_history",
    "score": "predictions",
    "drift": "drift_metrics",
}
"""The table that tells whether a stage did its work."""
every_stage = pytest.mark.parametrize("stage", STAGES)


@dataclass
class Line:
    """What happened to it, by stage."""

    place: Place
    stopped: dict[str, tuple[float, Ended]] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    """Rows that a stopped stage left in the table it writes to."""
    ran: dict[str, Ended] = field(default_factory=dict)
    again: dict[str, Ended] = field(default_factory=dict)
    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)

    def count(self, table: str) -> int:
        return int(only(self.place.rows(f"SELECT count(*) FROM garage.{table}"))[0])

    def counts(self) -> dict[str, int]:
        tables = (*WRITTEN.values(), "outcomes", "ingest_files", "claims_quarantine")
        return {table: self.count(table) for table in tables}


def dropped(place: Place) -> None:
    """Put claims and outcomes into the drop, as their senders write them."""
    book = claims_factory.claims(CLAIMS, seed=2)
    folder = place.folder / "drop" / "garage"
    for kind in ("claims", "outcomes"):
        (folder / kind).mkdir(parents=True)
    claims = book.drop("revision", "is_fraud", "known_at")
    claims.with_columns(pl.col("event_time").dt.date()).write_csv(folder / "claims" / "book.csv")
    book.select(
        "claim_id",
        is_fraud=pl.when("is_fraud").then(pl.lit("Y")).otherwise(pl.lit("N")),
        decided_at=pl.col("known_at").dt.date(),
    ).write_csv(folder / "outcomes" / "book.csv")


def stopped_while_writing(engine: Engine, line: Line, stage: Stage) -> tuple[float, Ended]:
    """Stop a stage that waits to write into a table which is locked against it."""
    with line.place.locked(f"garage.{WRITTEN[stage]}") as wait_for_writer:
        running = engine.start(stage, place=line.place)
        wait_for_writer()
        return engine.stop(running)


def stopped_while_fitting(engine: Engine, line: Line) -> tuple[float, Ended]:
    """Stop train when its child has been at work for a while."""
    running = engine.start("train", place=line.place)
    until(lambda: b'"message": "training"' in running.logs())
    until(lambda: pythons(running) > 1)
    time.sleep(1.5)
    assert pythons(running) > 1, running.logs()
    return engine.stop(running)


def pythons(container: Container) -> int:
    """Processes of Python in a container, those that only watch over others left aside."""
    processes = container.top(ps_args="-eo pid,args")["Processes"]
    return sum("python" in words and "resource_tracker" not in words for _, words in processes)


@pytest.fixture(scope="module")
def line(engine: Engine, postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """The line after each stage was stopped at its work, ran to its end, and ran again."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE DATABASE garage")
    url = make_conninfo(postgres, dbname="garage")
    folder = tmp_path_factory.mktemp("line")
    with furnished(engine, folder, url, claims_factory.SHORT) as bare:
        place = replace(bare, environment={**bare.environment, "CLAIMSIGHT_AS_OF": "2025-01-01"})
        line = Line(place)
        dropped(place)
        place.prepare()
        for stage in STAGES:
            fitting = stage == "train"
            line.stopped[stage] = (
                stopped_while_fitting(engine, line) if fitting else stopped_while_writing(engine, line, stage)
            )
            line.left[stage] = line.count(WRITTEN[stage])
            line.ran[stage] = engine.run(stage, place=place)
            assert line.ran[stage].code == 0, line.ran[stage].text
        line.before = line.counts()
        for stage in STAGES:
            line.again[stage] = engine.run(stage, place=place)
        line.after = line.counts()
        yield line


@every_stage
def test_docker_stop(line: Line, stage: Stage) -> None:
    """`docker stop` ends a stage amid its work within five seconds, with 143, a closing line, and nothing half done."""
    seconds, ended = line.stopped[stage]
    assert seconds < STOP_SECONDS
    assert (ended.code, ended.closing["status"], ended.closing["exit_code"]) == (143, "stopped", 143)
    assert "traceback" not in ended.closing
    assert line.left[stage] == 0


@every_stage
def test_next_run_completes(line: Line, stage: Stage) -> None:
    """The run after a stopped one does all the work, and says how much; what drift had counted already stays."""
    closing = line.ran[stage].closing
    assert (closing["status"], closing["stage"]) == ("done", stage)
    assert closing["rows_out"] >= (1 if stage in ("etl", "score") else 0)
    assert line.before[WRITTEN[stage]] > 0


def test_every_row_stands_once(line: Line) -> None:
    """Each claim is there once with one outcome and one prediction; there is one model, and it is the champion."""
    expected = {"claims": CLAIMS, "outcomes": CLAIMS, "predictions": CLAIMS, "claims_quarantine": 0}
    assert expected.items() <= line.before.items()
    assert {"models": 1, "model_history": 1, "ingest_files": 2}.items() <= line.before.items()
    assert line.place.rows("SELECT alias FROM garage.model_history") == [("champion",)]
    distinct = "SELECT count(DISTINCT claim_id) FROM garage.predictions JOIN garage.claims USING (claim_id)"
    assert line.place.rows(distinct) == [(CLAIMS,)]


@every_stage
def test_second_run_changes_nothing(line: Line, stage: Stage) -> None:
    """A stage run again finds nothing to do, says so with 0, and all tables stay as they were."""
    ended = line.again[stage]
    assert ended.code == 0
    assert "nothing" in ended.closing["message"]
    assert (ended.closing["rows_in"], ended.closing["rows_out"]) == (0, 0)
    assert line.after == line.before


@every_stage
def test_ledger_names_code_and_image(engine: Engine, line: Line, stage: Stage) -> None:
    """The ledger tells of each run its end, the image's code and the image."""
    image = engine.images[stage]
    revision = image.labels["org.opencontainers.image.revision"]
    query = (
        "SELECT status, exit_code, git_sha, image_digest, peak_rss_bytes > 1e7, cpu_seconds > 0, "
        "ended_at >= started_at "
        f"FROM claimsight.job_runs WHERE stage = '{stage}' ORDER BY run_id"
    )
    rest: tuple[Any, ...] = (revision, image.id, True, True, True)
    ends = [("stopped", 143), ("done", 0), ("done", 0)]
    assert line.place.rows(query) == [(*end, *rest) for end in ends]


def test_events(line: Line) -> None:
    """Each stage told the next once."""
    text = (line.place.folder / "events.jsonl").read_text()
    put = [name for name in ("ClaimsLoaded", "ModelTrained", "ModelPromoted") for _ in range(text.count(f'"{name}"'))]
    assert put == ["ClaimsLoaded", "ModelTrained", "ModelPromoted"]


def test_no_stage_leaves_files_of_another_user(line: Line) -> None:
    """What stages write outside of the database belongs to their user, and no one else may write to it."""
    made = [path for path in line.place.folder.rglob("*") if path.stat().st_uid == 10001]
    assert {"events.jsonl", "mlflow.db", "model.json"} <= {path.name for path in made}
    assert not [path for path in made if path.stat().st_mode & 0o002]
