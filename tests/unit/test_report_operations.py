"""The report's page of the operation: runs, their cost, what waits, when scoring stood still."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from deploy.local.report.model_charts import live
from deploy.local.report.operations import gather_operations, standing_stop
from deploy.local.report.present import present
from deploy.local.report.queues import queues, waited
from shared.billing import billed
from shared.choreography import STAGES
from shared.database import Database
from shared.errors import ExitCode
from tests.unit.test_report import AS_OF, HOSTILE, Page, contract, load, page, pages, promote, score

STOPS = """
CREATE TABLE stops (
    stop_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, action text, model_version integer, window_end timestamptz,
    actor text, reason text, as_of timestamptz, run_id bigint
)
"""


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with Database(database_url, "motor") as database:
        database.prepare(contract())
        yield database


def run(database: Database, stage: str, code: ExitCode = ExitCode.OK, seconds: float = 10, **facts: object) -> None:
    """One run that ended."""
    given = {"status": "failed" if code else "done", "message": HOSTILE, "shard": "0/1", "as_of": AS_OF} | facts
    database.rows(
        "INSERT INTO job_runs (stage, line, shard, status, exit_code, message, as_of, started_at, ended_at, rows_in, "
        "rows_out, peak_rss_bytes, cpu_seconds, git_sha, image_digest) "
        "VALUES (%(stage)s, 'motor', %(shard)s, %(status)s, %(code)s, %(message)s, %(as_of)s, %(as_of)s, "
        "%(as_of)s + %(seconds)s * interval '1 second', 7, 5, 104857600, 3, 'sha', 'digest')",
        {"stage": stage, "code": int(code), "seconds": seconds} | given,
    )


def stop(database: Database, action: str, days: float, actor: str = "drift", reason: str = HOSTILE) -> None:
    """An entry so many days before the clock."""
    if not present(database, "stops"):
        database.rows(STOPS)
    database.rows(
        "INSERT INTO stops (action, model_version, window_end, actor, reason, as_of, run_id) "
        "VALUES (%s, 1, %s, %s, %s, %s, 1)",
        [action, AS_OF, actor, reason, AS_OF - timedelta(days=days)],
    )


def test_runs_by_stage_have_their_ends_in_words_and_their_cost(database: Database, tmp_path: Path) -> None:
    """Median and longest time, rows, peak memory, cost at Fargate's prices, and every exit code in words."""
    for day in range(3):
        run(database, "etl", seconds=10 + 100 * day, as_of=AS_OF - timedelta(days=day))
    run(database, "score", ExitCode.MODEL, message="scoring of motor is stopped")
    run(database, "train", ExitCode.KILLED, as_of=AS_OF - timedelta(days=9))
    found = gather_operations(database, contract(), None, AS_OF)
    etl = found["stages"]["etl"]
    assert (etl["runs"], etl["bad"], etl["median"], etl["longest"], etl["rows_in"]) == (3, 0, 110, 210, 21)
    # 1 vCPU and 2 GiB, by the second, each run a minute at least and with half a minute for its image.
    hourly = 0.04048 + 2 * 0.004445
    assert etl["usd"] == pytest.approx(sum(map(billed, (10, 110, 210))) / 3600 * hourly)
    assert found["usd"] == pytest.approx(sum(row["usd"] for row in found["stages"].values()))
    _, told = page(database, tmp_path)
    for said in (
        ExitCode.MODEL.sentence,
        ExitCode.KILLED.sentence,
        "scoring of motor is stopped",
        "100\u202fMiB",
        "2026-",
    ):
        assert said in told.text
    assert list(found["stages"]) == [stage for stage in STAGES if stage in ("etl", "train", "score")]


def test_a_run_after_the_clock_is_not_told(database: Database) -> None:
    """By the clock: a run of a later day does not count."""
    run(database, "etl", as_of=AS_OF + timedelta(days=1))
    assert not gather_operations(database, contract(), None, AS_OF)["stages"]


def test_shards_are_told_apart(database: Database, tmp_path: Path) -> None:
    """A run of a part of the claims says which."""
    run(database, "score", shard="1/4")
    _, found = page(database, tmp_path)
    assert "1/4" in found.text


def test_what_waits_is_counted_by_age(database: Database, tmp_path: Path) -> None:
    """Claims without a score, and without an outcome: those for investigators apart, each group of ages."""
    load(database, 120)
    promote(database, tmp_path)
    score(database)
    database.rows("DELETE FROM predictions WHERE claim_id IN ('C1', 'C120')")
    found = gather_operations(database, contract(), {"model_version": 1}, AS_OF)
    assert found["unscored"]["claims"] == 2
    assert found["unscored"]["oldest"] == AS_OF - (AS_OF - timedelta(days=151))
    by_age = {row["label"]: row["claims"] for row in found["unscored"]["ages"]}
    assert (by_age["28 to 91 days"], by_age["91 to 182 days"]) == (1, 1)
    open_claims = found["unlabelled"]
    assert (open_claims["claims"], open_claims["flagged"], open_claims["audited"]) == (60, 35, 0)
    assert sum(row["flagged"] for row in open_claims["ages"]) == 35
    assert queues(database, contract(), 1, AS_OF) == {
        "unscored": {"claims": 2, "oldest_days": 151},
        "to_review": {"claims": 35, "flagged": 35, "audited": 0},
        "unlabelled": {"claims": 60, "oldest_days": 151},
    }


def test_claims_that_cannot_be_scored_do_not_wait(database: Database, tmp_path: Path) -> None:
    """They are told with the reason, and are not of the queue."""
    load(database, 20)
    promote(database, tmp_path)
    database.rows(
        "INSERT INTO unscorable_claims (claim_id, revision, model_version, reason, as_of, run_id) "
        "SELECT 'C1', 1, 1, 'its amount is infinite', %s, max(run_id) FROM job_runs",
        [AS_OF],
    )
    found = gather_operations(database, contract(), {"model_version": 1}, AS_OF)
    assert found["unscored"]["claims"] == 19
    assert found["unscorable"] == [{"reason": "its amount is infinite", "claims": 1}]
    _, told = page(database, tmp_path)
    assert "its amount is infinite" in told.text


def test_the_time_to_a_score_leaves_out_who_waited_for_a_model(database: Database, tmp_path: Path) -> None:
    """Of the claims that came since there is a champion: median, ninth tenth and longest, by the clock."""
    assert waited(database, AS_OF) is None
    load(database, 100)
    promote(database, tmp_path)
    score(database)
    assert waited(database, AS_OF)["claims"] == 0  # type: ignore[index]
    database.rows("UPDATE ingest_files SET loaded_at = %s", [AS_OF + timedelta(hours=1)])
    database.rows("UPDATE predictions SET scored_as_of = %s", [AS_OF + timedelta(hours=3)])
    found = waited(database, AS_OF + timedelta(days=1))
    assert found is not None
    assert (found["claims"], found["earlier"]) == (100, 0)
    assert found["since_loaded"] == pytest.approx([1 / 12] * 3)
    assert found["since_event"] == pytest.approx([101.125, 141.125, 151.125])
    assert sum(row["claims"] for row in found["bins"]) == 100
    assert found["bins"][-1]["label"] == "28 days and more"


def test_a_standing_stop_is_told_on_every_page(database: Database, tmp_path: Path) -> None:
    """Why, since when and how to clear it; what was cleared is told once, by whom and why."""
    load(database, 20)
    promote(database, tmp_path)
    stop(database, "stop", 9)
    stop(database, "clear", 7, "Ann", "mended")
    page(database, tmp_path)
    assert not any("Scoring is stopped" in text for text in pages(tmp_path / "new", "motor").values())
    stop(database, "stop", 2)
    stop(database, "stop", 1, reason="a second one does not begin it anew")
    page(database, tmp_path)
    for text in pages(tmp_path / "new", "motor").values():
        found = Page(text)
        assert f"Scoring is stopped since 2024-05-30 00:00 UTC: {HOSTILE}" in found.text
        assert "--clear" in found.text
    operations = pages(tmp_path / "new", "motor")["operations"]
    assert re.search(r"2024-05-23</time></th><td><time>2024-05-25.*?Ann.*?mended", operations, re.DOTALL)
    assert standing_stop(database, AS_OF - timedelta(days=8)) is not None
    assert standing_stop(database, AS_OF - timedelta(days=3)) is None


def test_the_chart_of_live_models_shows_when_scoring_stood_still() -> None:
    """A bar a champion, and a row of bars for the stops, one that stands until now."""
    begins = AS_OF - timedelta(days=30)
    champions = [
        {"model_version": 1, "as_of": begins, "until": AS_OF - timedelta(days=10)},
        {"model_version": 2, "as_of": AS_OF - timedelta(days=10), "until": None},
    ]
    stops = [{"as_of": AS_OF - timedelta(days=9), "until": None}]
    chart = live(champions, stops, AS_OF)
    assert (chart.count('class="main"'), chart.count('class="halted"')) == (2, 1)
    assert "stopped: 2024-05-23 to now" in chart


def test_many_runs_are_summed_up(database: Database, tmp_path: Path) -> None:
    """However many there are, a page tells the latest one by one and says how many more failed."""
    for number in range(30):
        run(database, "etl", ExitCode.DATA, as_of=AS_OF - timedelta(hours=number))
    text, found = page(database, tmp_path)
    assert "And 10 more runs." in found.text
    assert len(json.dumps(text)) < 300_000
