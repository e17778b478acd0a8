"""A claim that could not be scored is corrected: it waits again, everybody says so, and it is scored."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from deploy.local.report.queues import unscorable, unscored
from jobs.drift.stop import clear, settle
from jobs.score.__main__ import work
from shared.ages import AGES
from shared.database import Database
from shared.errors import ModelError
from shared.unscorable import NOTHING_KNOWN
from tests.models_factory import FIRST, Line
from tests.shards_factory import CLAIMS, scored

DAY = timedelta(days=1)
BLANK, FILLED = "NULL::float8 AS amount, NULL::bigint AS age", "500::float8 AS amount, 20::bigint AS age"


@pytest.fixture
def line(database_url: str, tmp_path: Path) -> Line:
    """Claims, of three of which nothing is known, and a champion."""
    made = scored(database_url, tmp_path)
    made.rows("UPDATE claims SET amount = NULL, age = NULL, size = NULL WHERE claim_id < 'c000003'")
    return made


def score(line: Line, as_of: datetime) -> str:
    return str(line.call(work, as_of=as_of, stage="score"))


def correct(line: Line, claim: str, values: str, as_of: datetime) -> None:
    """Let another version of a claim come, as etl writes it."""
    moment = as_of.isoformat()
    line.rows(f"UPDATE claims SET superseded_at = '{moment}' WHERE claim_id = '{claim}' AND superseded_at IS NULL")
    line.rows(
        "INSERT INTO claims (claim_id, revision, event_time, known_at, file_id, file_line, amount, age) "
        f"SELECT claim_id, revision + 1, event_time, '{moment}', 1, 0, t.amount, t.age "
        f"FROM claims c, (SELECT {values}) t WHERE claim_id = '{claim}' ORDER BY revision DESC LIMIT 1"
    )


def told(line: Line, as_of: datetime) -> tuple[int, int]:
    """How many claims wait and how many cannot be scored, as the report and the console count them."""
    with Database(line.url, "garage") as database:
        waits = unscored(database, line.contract, 1, as_of)["claims"]
        beyond = sum(row["claims"] for row in unscorable(database, 1, as_of))
        queues = database.rows(
            "SELECT queue, sum(claims)::int AS claims FROM console_queues(%s, true, %s::float8[]) GROUP BY queue",
            [as_of, list(AGES)],
        )
    found = {row["queue"]: row["claims"] for row in queues}
    assert (found.get("score", 0), found.get("unscorable", 0)) == (waits, beyond)
    return waits, beyond


@pytest.mark.parametrize("later", [timedelta(), DAY], ids=["the same moment", "a day later"])
def test_a_correction_is_tried_again(line: Line, later: timedelta) -> None:
    """Once a version: filled in it has a score, blank again it is listed again, and then there is nothing to do."""
    assert "3 cannot be scored" in score(line, FIRST)
    assert told(line, FIRST) == (0, 3)
    now = FIRST + later
    correct(line, "c000000", FILLED, now)
    correct(line, "c000001", BLANK, now)
    assert told(line, now) == (2, 1)
    line.call(settle, 1, FIRST, "stop", "amount is broken", as_of=now)
    with pytest.raises(ModelError, match="; 2 claims wait"):
        score(line, now)
    line.call(clear, "fine", "Ada", as_of=now)
    assert score(line, now).startswith("1 claims scored by model 1; 1 cannot be scored")
    assert score(line, now) == "every claim is scored; nothing to do"
    assert told(line, now) == (0, 2)
    assert line.rows("SELECT count(*) AS n FROM predictions") == [{"n": CLAIMS - 2}]
    listed = line.rows("SELECT claim_id, revision, reason FROM unscorable_claims ORDER BY claim_id, revision")
    assert [(row["claim_id"], row["revision"]) for row in listed] == [
        ("c000000", 1),
        ("c000001", 1),
        ("c000001", 2),
        ("c000002", 1),
    ]
    assert {row["reason"] for row in listed} == {NOTHING_KNOWN}


def test_a_correction_that_comes_while_its_claim_is_tried_is_tried_too(line: Line) -> None:
    """It is the last look that finds it, though the clock of the run stands as late as the correction."""
    line.rows(
        "CREATE FUNCTION correct() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN "
        f"UPDATE claims SET superseded_at = '{FIRST.isoformat()}' WHERE claim_id = 'c000000' AND revision = 1; "
        "INSERT INTO claims (claim_id, revision, event_time, known_at, file_id, file_line, amount) "
        f"SELECT 'c000000', 2, event_time, '{FIRST.isoformat()}', 1, 0, 500 FROM claims WHERE claim_id = 'c000000' "
        "AND NOT EXISTS (SELECT FROM claims WHERE claim_id = 'c000000' AND revision = 2); RETURN NULL; END$$; "
        "CREATE TRIGGER correct AFTER INSERT ON predictions FOR EACH STATEMENT EXECUTE FUNCTION correct()"
    )
    assert score(line, FIRST).startswith(f"{CLAIMS - 2} claims scored by model 1; 3 cannot be scored")
    assert score(line, FIRST) == "every claim is scored; nothing to do"
