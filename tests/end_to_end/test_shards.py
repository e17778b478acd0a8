"""Score by several processes at once, each with a shard: every claim once, whichever of them is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from shared.shard import Shard
from tests.factories import ROOT, finish
from tests.models_factory import Line
from tests.shards_factory import BATCH, CLAIMS, LEDGER, ONCE, SHARDS, SLOW, STAGE, WRITTEN, scored


@pytest.fixture
def line(database_url: str, tmp_path: Path) -> Line:
    """Claims, and a champion that nobody judged."""
    return scored(database_url, tmp_path)


def start(line: Line, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", STAGE, *options],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **line.environment()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def told(line: Line) -> int:
    """Claims that were told of in events."""
    lines = (line.folder / "events.jsonl").read_text().splitlines()
    return sum(json.loads(text)["detail"]["claims"] for text in lines)


def closing(running: subprocess.Popen[str]) -> dict[str, Any]:
    code, lines = finish(running)
    assert code == 0, lines
    return dict(lines[-1])


def test_four_shards_one_killed(line: Line) -> None:
    """Four runs score side by side and one is killed; another run ends its work; each claim is scored and told once."""
    line.rows(SLOW.format(seconds=0.2))
    with psycopg.connect(line.url, autocommit=True) as connection:
        with connection.transaction():
            connection.execute("LOCK TABLE garage.predictions IN SHARE MODE")
            runs = [start(line, "--shard", f"{place}/{SHARDS}") for place in range(SHARDS)]
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            until(lambda: line.rows(waiting)[0]["count"] == SHARDS)
            beside = closing(start(line))
            assert beside["message"] == "another score of garage is at work; nothing done"
            overlapping = closing(start(line, "--shard", "5/8"))
            assert overlapping["message"] == "another score of garage is at work on claims of shard 5/8; nothing done"
        until(lambda: bool(line.rows(WRITTEN)))
        runs[2].kill()
        assert runs[2].wait(10) == -signal.SIGKILL
    for place in (0, 1, 3):
        assert closing(runs[place])["message"].endswith("claims scored by model 1")
    (before,) = line.rows(ONCE)
    assert BATCH <= before["scores"] == before["once"] < before["claims"]

    rest = closing(start(line))
    assert rest["rows_out"] == before["claims"] - before["scores"]
    assert line.rows(ONCE) == [{"claims": CLAIMS, "scores": CLAIMS, "once": CLAIMS}]
    assert closing(start(line, "--shard", "2/4"))["message"] == "every claim is scored; nothing to do"
    assert told(line) == CLAIMS
    ledger = line.rows(LEDGER)
    assert sorted(row["shard"] for row in ledger[:SHARDS]) == ["0/4", "1/4", "2/4", "3/4"]
    assert {row["shard"] for row in ledger if row["status"] == "killed"} == {"2/4"}
    assert sum(row["rows_out"] for row in ledger) == CLAIMS
    slots = line.rows(
        "SELECT DISTINCT shard, hashtextextended(claim_id, 3) & 15 AS slot "
        "FROM predictions JOIN job_runs USING (run_id)"
    )
    assert all(row["slot"] in Shard.parse(row["shard"]).slots for row in slots)


def test_four_shards_end_what_one_run_began(line: Line) -> None:
    """What a killed run of all claims had scored is told of by one of the shards that go on, and by no other."""
    line.rows(SLOW.format(seconds=0.2))
    whole = start(line)
    until(lambda: bool(line.rows("SELECT 1 FROM predictions LIMIT 1")))
    whole.kill()
    assert whole.wait(10) == -signal.SIGKILL
    for running in [start(line, "--shard", f"{place}/{SHARDS}") for place in range(SHARDS)]:
        closing(running)
    assert line.rows(ONCE) == [{"claims": CLAIMS, "scores": CLAIMS, "once": CLAIMS}]
    assert told(line) == CLAIMS


def test_no_claim_falls_between_two_feeds(line: Line, tmp_path: Path) -> None:
    """Fed amid a run, and after it with what was scored since then: each flagged claim is in one of the two."""
    line.rows("DELETE FROM outcomes")
    line.rows(SLOW.format(seconds=0.2))

    def fed(*since: str) -> set[str]:
        place, who = tmp_path / "feed.jsonl", ("--actor", "Ada", "--purpose", "nightly feed")
        export = [sys.executable, "-m", "jobs.score", "--export", str(place), *who, *since]
        subprocess.run(export, cwd=ROOT, env=variables, check=True, capture_output=True)
        return {json.loads(text)["claim_id"] for text in place.read_text().splitlines()}

    # By the clock on the wall, as stages have it.
    variables = {"PATH": os.environ["PATH"], **line.environment(CLAIMSIGHT_AS_OF="")}
    with subprocess.Popen([sys.executable, "-c", STAGE], cwd=ROOT, env=variables, stdout=subprocess.DEVNULL) as running:
        until(lambda: bool(line.rows("SELECT 1 FROM predictions LIMIT 1")))
        moment = datetime.now(UTC)
        amid = fed()
        assert running.wait(60) == 0
    every = fed()
    assert amid < every
    assert amid | fed("--since", moment.isoformat()) == every
    assert fed("--since", datetime.now(UTC).isoformat()) == set()


def test_claims_that_come_meanwhile(line: Line) -> None:
    """A claim that is loaded while others are scored is found by a last look, and scored by the same run."""
    with psycopg.connect(line.url) as connection:
        connection.execute("LOCK TABLE garage.predictions IN SHARE MODE")
        running = start(line)
        until(lambda: line.rows("SELECT count(*) FROM pg_locks WHERE NOT granted")[0]["count"] == 1)
        line.rows(
            "INSERT INTO claims (claim_id, revision, event_time, known_at, file_id, file_line, amount) "
            "SELECT 'late', 1, event_time, known_at, 1, 0, amount FROM claims WHERE claim_id = 'c000000'"
        )
    assert closing(running)["rows_out"] == CLAIMS + 1
    assert line.rows(ONCE) == [{"claims": CLAIMS + 1, "scores": CLAIMS + 1, "once": CLAIMS + 1}]


def test_claims_that_cannot_be_scored_are_listed_once(line: Line) -> None:
    """A claim of which the model knows nothing stands with its reason, is counted, and is not tried again."""
    line.rows("UPDATE claims SET amount = NULL, age = NULL, size = NULL WHERE claim_id < 'c000003'")
    said = closing(start(line))
    assert said["message"] == "697 claims scored by model 1; 3 cannot be scored: see unscorable_claims"
    assert (said["rows_in"], said["rows_out"], said["quarantined"]) == (700, 697, 3)
    assert closing(start(line))["message"] == "every claim is scored; nothing to do"
    listed = line.rows("SELECT claim_id, model_version, reason FROM unscorable_claims ORDER BY claim_id")
    assert [row["claim_id"] for row in listed] == ["c000000", "c000001", "c000002"]
    assert {row["reason"] for row in listed} == {"nothing that the model looks at is known of it"}
