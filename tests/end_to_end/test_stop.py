"""Broken input stops score, and drift or a person lets it work again: processes, on a line of business made by hand."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from jobs.drift.stop import clear, settle
from shared.database import Database
from shared.errors import ConfigError
from shared.job import lock_of
from shared.stops import standing_stop
from tests import claims_factory
from tests.factories import ROOT, finish
from tests.models_factory import FIRST, Line, line

DAY = timedelta(days=1)
WINDOW = FIRST - DAY
"""End of the window that is found broken."""
BROKEN = "amount is 100 times what it was"


@pytest.fixture(scope="module")
def template(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Line:
    """Claims that a champion has scored."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE DATABASE stop")
    made = line(make_conninfo(postgres, dbname="stop"), tmp_path_factory.mktemp("stop"))
    made.add_model(good=True)
    assert "promoted" in made.evaluate()
    assert run(made, "score")[0] == 0
    return made


@pytest.fixture
def place(postgres: str, template: Line, tmp_path: Path) -> Iterator[Line]:
    """A line of business for one test."""
    name = f"stop_{uuid4().hex[:8]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE stop")  # type: ignore[arg-type]
        shutil.copy(template.folder / "contract.toml", tmp_path)
        yield Line(make_conninfo(postgres, dbname=name), tmp_path)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


def start(place: Line, stage: str, *arguments: str, as_of: datetime = FIRST + DAY) -> subprocess.Popen[str]:
    """Start a stage as a process."""
    return subprocess.Popen(
        [sys.executable, "-m", f"jobs.{stage}", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **place.environment(as_of)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(place: Line, stage: str, *arguments: str, as_of: datetime = FIRST + DAY) -> tuple[int, str]:
    """Exit code and message of a stage that ran to its end."""
    code, lines = finish(start(place, stage, *arguments, as_of=as_of))
    return code, lines[-1]["message"]


def more_claims(place: Line) -> None:
    """Let claims come that nobody has scored."""
    book = claims_factory.claims(40, seed=9).with_columns(claim_id=pl.format("new{}", "claim_id"))
    with Database(place.url, "garage") as database:
        claims_factory.store(database, place.contract, book)


def waiting(place: Line) -> int:
    """How many claims no prediction stands for."""
    found = place.rows("SELECT count(*) AS n FROM claims WHERE claim_id NOT IN (SELECT claim_id FROM predictions)")
    return int(found[0]["n"])


def events(place: Line) -> Iterator[tuple[str, dict[str, Any]]]:
    """What was put of stops, in order."""
    for text in (place.folder / "events.jsonl").read_text().splitlines():
        event = json.loads(text)
        if event["event"].startswith("Scoring"):
            yield event["event"], event["detail"]


def entries(place: Line) -> list[tuple[str, str]]:
    """Action and actor of each entry."""
    return [(row["action"], row["actor"]) for row in place.rows("SELECT * FROM stops ORDER BY stop_id")]


def judged(place: Line, verdict: str, end: datetime = WINDOW, as_of: datetime = FIRST) -> None:
    """Let a verdict of drift take effect."""
    place.call(settle, 1, end, verdict, BROKEN, as_of=as_of)


def test_scoring_stops_and_claims_wait_until_a_person_clears_it(place: Line) -> None:
    """Under a stop score ends with 70 and a sentence and scores nothing; cleared, it scores each waiting claim once."""
    before = place.rows("SELECT claim_id FROM predictions ORDER BY claim_id")
    judged(place, "stop")
    more_claims(place)
    for _ in range(2):
        code, message = run(place, "score")
        assert code == 70
        assert message.startswith(f"scoring of garage is stopped since {FIRST:%Y-%m-%d %H:%M}, for drift found")
        assert BROKEN in message and "--clear" in message
    assert waiting(place) == 40
    assert place.rows("SELECT claim_id FROM predictions ORDER BY claim_id") == before
    code, message = run(place, "drift", "--clear", "they changed to cents", "--actor", "Ada")
    assert (code, message) == (0, f"scoring of garage is cleared; it was stopped since {FIRST:%Y-%m-%d %H:%M}")
    assert run(place, "score") == (0, "40 claims scored by model 1")
    assert waiting(place) == 0
    assert run(place, "score") == (0, "every claim is scored; nothing to do")
    assert entries(place) == [("stop", "drift"), ("clear", "Ada")]
    assert [name for name, _ in events(place)] == ["ScoringStopped", "ScoringResumed"]


def test_of_two_clears_at_once_one_does_it(place: Line) -> None:
    """The other ends with 78 and says who was faster, or with 75 where it could not wait; one entry is made."""
    judged(place, "stop")
    both = [start(place, "drift", "--clear", "fine", "--actor", actor) for actor in ("Ada", "Bob")]
    ended = sorted((code, lines[-1]["message"]) for code, lines in map(finish, both))
    assert ended[0][0] == 0
    assert ended[1][0] in (75, 78)
    assert ended[1][0] == 75 or "scoring of garage is not stopped; " in ended[1][1]
    assert [action for action, _ in entries(place)] == ["stop", "clear"]


def test_a_clear_that_finds_drift_at_work_says_so(place: Line) -> None:
    """It ends with 75, and nobody believes that scoring goes on."""
    judged(place, "stop")
    with Database(place.url, "garage") as other:
        assert other.try_lock(lock_of("drift", "garage"))
        code, message = run(place, "drift", "--clear", "fine", "--actor", "Ada")
    assert (code, message) == (75, "another drift of garage is at work; start it again when it ended")
    assert entries(place) == [("stop", "drift")]


def test_what_cannot_be_cleared(place: Line) -> None:
    """Nothing stopped, and a clock before the last entry, each end in a sentence."""
    with pytest.raises(ConfigError, match=r"^scoring of garage is not stopped$"):
        place.call(clear, "fine", "Ada")
    judged(place, "stop")
    with pytest.raises(ConfigError, match=f"the clock stands before {FIRST:%Y-%m-%d %H:%M}"):
        place.call(clear, "fine", "Ada", as_of=FIRST - DAY)
    place.call(clear, "fine", "Ada", as_of=FIRST + DAY)
    with pytest.raises(ConfigError, match=f"not stopped; Ada cleared it {FIRST + DAY:%Y-%m-%d %H:%M}"):
        place.call(clear, "fine", "Bob", as_of=FIRST + DAY)


def test_a_clear_wants_a_reason_and_a_name(place: Line) -> None:
    """Without either, the command line is wrong, and nothing is cleared."""
    for arguments in (("--clear",), ("--clear", "fine"), ("--clear", " ", "--actor", "Ada"), ("--actor", "Ada")):
        ended = start(place, "drift", *arguments)
        ended.communicate(timeout=60)
        assert ended.returncode == 2, arguments


def test_a_later_window_that_is_whole_clears_by_itself(place: Line) -> None:
    """An earlier window that is looked at again does not; the newest one does, and score is told."""
    judged(place, "stop")
    judged(place, "stop")
    judged(place, "ok", WINDOW - DAY, FIRST + DAY)
    assert entries(place) == [("stop", "drift")]
    judged(place, "retrain", WINDOW + DAY, FIRST + DAY)
    assert entries(place) == [("stop", "drift"), ("clear", "drift")]
    assert [name for name, _ in events(place)] == ["ScoringStopped", "ScoringResumed"]


def test_a_person_is_not_overruled_by_the_same_window(place: Line) -> None:
    """A window that was cleared stops no more when it is looked at again; a later one that is broken does."""
    judged(place, "stop")
    place.call(clear, "they changed to cents", "Ada")
    judged(place, "stop", as_of=FIRST + DAY)
    assert len(entries(place)) == 2
    judged(place, "stop", WINDOW + DAY, FIRST + DAY)
    assert [action for action, _ in entries(place)] == ["stop", "clear", "stop"]


def test_a_stop_holds_by_the_clock(place: Line) -> None:
    """A day before the stop knows nothing of it, whenever it is replayed."""
    judged(place, "stop")
    with Database(place.url, "garage") as database:
        assert standing_stop(database, FIRST - DAY) is None
        found = standing_stop(database, FIRST)
    assert found is not None
    assert (found.model_version, found.window_end, found.reason, found.since) == (1, WINDOW, BROKEN, FIRST)
    more_claims(place)
    assert run(place, "score", as_of=FIRST - DAY)[0] == 0


def test_what_was_stopped_stays_on_record(place: Line) -> None:
    """Nobody changes or removes an entry, not even the tables' owner."""
    judged(place, "stop")
    for statement in ("UPDATE stops SET actor = 'Bob'", "DELETE FROM stops", "TRUNCATE stops"):
        with (
            psycopg.connect(make_conninfo(place.url, options="-c search_path=garage")) as connection,
            pytest.raises(psycopg.errors.RaiseException, match="stops is append-only"),
        ):
            connection.execute(statement)  # type: ignore[arg-type]
