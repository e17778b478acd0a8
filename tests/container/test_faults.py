"""Etl in its image when something goes wrong: two at once, told to stop, the database gone, a bad file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from testcontainers.core.container import DockerContainer

from tests import factories
from tests.container.conftest import PASSWORD, STOP_SECONDS, Engine, Place, furnished, until, url_of

ROWS = 2000
LOCKS = "SELECT count(*) FROM pg_locks WHERE relation = 'motor.claims'::regclass"


def dropped(place: Place, files: int = 2) -> None:
    for number in range(files):
        rows = factories.csv_text(factories.claims(ROWS)).replace("\nc", f"\nf{number}-")
        factories.drop(place.folder, f"{number}.csv", rows)


def assert_each_row_once(place: Place, files: int = 2) -> None:
    query = "SELECT count(*), count(DISTINCT claim_id) FROM motor.claims"
    assert place.rows(query) == [(files * ROWS, files * ROWS)]
    assert place.rows("SELECT count(*), sum(rows_out) FROM motor.ingest_files") == [(files, files * ROWS)]
    assert place.rows("SELECT sum(rows_in), sum(rows_out) FROM claimsight.job_runs") == [(files * ROWS, files * ROWS)]


def statuses(place: Place) -> list[tuple[str, int]]:
    return [(row[0], row[1]) for row in place.rows("SELECT status, exit_code FROM claimsight.job_runs ORDER BY run_id")]


def test_two_at_once(engine: Engine, place: Place) -> None:
    """Of two etl at once one loads everything; the other says that it found the lock taken, and leaves with 0."""
    dropped(place)
    place.prepare()
    with place.locked("motor.claims") as wait_for_writer:
        first = engine.start("etl", place=place)
        wait_for_writer()
        second = engine.run("etl", place=place)
    assert (second.code, second.closing["message"]) == (0, "another etl of motor is at work; nothing done")
    ended = engine.finish(first)
    assert (ended.code, ended.closing["message"]) == (0, "2 files loaded")
    assert_each_row_once(place)
    assert statuses(place) == [("done", 0)]


@pytest.mark.parametrize("init", [True, False])
def test_stopped_amid_a_load(engine: Engine, place: Place, init: bool) -> None:
    """`docker stop` rolls back the file in hand and ends etl within five seconds with 143, also without an init."""
    dropped(place)
    place.prepare()
    with place.locked("motor.claims") as wait_for_writer:
        running = engine.start("etl", place=place, init=init)
        wait_for_writer()
        seconds, ended = engine.stop(running)
    assert seconds < STOP_SECONDS
    assert (ended.code, ended.closing["status"]) == (143, "stopped")
    assert engine.run("etl", place=place).code == 0
    assert_each_row_once(place)
    assert statuses(place) == [("stopped", 143), ("done", 0)]


def test_stopped_before_it_begins(engine: Engine, place: Place) -> None:
    """A stage that is stopped as soon as it starts, while Python still loads, leaves at once, and nothing behind."""
    dropped(place, 1)
    for seconds in (0, 0.1, 0.3):
        running = engine.start("etl", place=place)
        time.sleep(seconds)
        took, ended = engine.stop(running)
        assert took < STOP_SECONDS
        assert ended.code in (143, 0), ended.text
        assert "Traceback" not in ended.text
    assert engine.run("etl", place=place).code == 0
    assert_each_row_once(place, 1)


def test_killed_amid_a_load(engine: Engine, place: Place) -> None:
    """A container killed from outside ends with 137; the next run takes its lock, closes its row and does the work."""
    dropped(place)
    place.prepare()
    with place.locked("motor.claims") as wait_for_writer:
        running = engine.start("etl", place=place)
        wait_for_writer()
        running.kill()
        assert engine.finish(running).code == 137
    assert engine.run("etl", place=place).code == 0
    assert_each_row_once(place)
    assert statuses(place) == [("killed", 137), ("done", 0)]


def test_out_of_memory(engine: Engine, place: Place) -> None:
    """A container that may not have the memory it needs is killed with 137, and the next run goes on."""
    dropped(place, 1)
    running = engine.start("etl", place=place, mem_limit="24m", memswap_limit="24m")
    assert engine.finish(running).code == 137
    assert engine.run("etl", place=place).code == 0
    assert_each_row_once(place, 1)


def test_file_over_the_reject_limit(engine: Engine, place: Place) -> None:
    """A file that breaks the contract ends etl with 65 once; its rows are in quarantine, later runs pass it over."""
    rows = [*factories.claims(4), factories.CLAIM | {"claim": "c5", "amount": "dear"}]
    factories.drop(place.folder, "bad.csv", factories.csv_text(rows))
    ended = engine.run("etl", place=place)
    assert (ended.code, ended.closing["status"]) == (65, "failed")
    assert "bad.csv" in ended.closing["message"]
    assert "dear" not in ended.text
    assert engine.run("etl", place=place).code == 0
    assert place.rows("SELECT count(*) FROM motor.claims_quarantine") == [(5,)]
    assert place.rows("SELECT count(*) FROM motor.claims") == [(0,)]
    assert statuses(place) == [("failed", 65), ("done", 0)]


@pytest.mark.parametrize("place_of", ["CLAIMSIGHT_EVENTS", "CLAIMSIGHT_DROP"])
def test_place_it_may_not_use(engine: Engine, place: Place, place_of: str) -> None:
    """A place that is not there or cannot be written to ends etl with 78 and its name, and no traceback."""
    dropped(place, 1)
    ended = engine.run("etl", place=place, environment={place_of: "/nowhere/here"})
    assert (ended.code, "/nowhere" in ended.closing["message"]) == (78, True), ended.text
    assert "traceback" not in ended.closing
    assert engine.run("etl", place=place).code == 0
    assert_each_row_once(place, 1)


@pytest.fixture
def guest(engine: Engine, tmp_path: Path) -> Iterator[tuple[Place, DockerContainer]]:
    """A place with a Postgres of its own, to be harmed; and that Postgres."""
    with (
        engine.postgres("guest") as served,
        furnished(engine, tmp_path, url_of(served), factories.MOTOR, "guest") as place,
    ):
        dropped(place)
        place.prepare()
        yield place, served


def test_database_killed_amid_a_load(engine: Engine, guest: tuple[Place, DockerContainer]) -> None:
    """A database that is killed ends etl with 75 and one failed line; when it is back, the next run does all."""
    place, served = guest
    database = served.get_wrapped_container()
    with pytest.raises(psycopg.OperationalError), place.locked("motor.claims") as wait_for_writer:
        running = engine.start("etl", place=place)
        wait_for_writer()
        database.kill()
        ended = engine.finish(running)
    assert (ended.code, ended.closing["status"]) == (75, "failed")
    assert "traceback" not in ended.text.lower()
    assert engine.run("etl", place=place).code == 75
    database.start()
    back = replace(place, url=url_of(served))
    until(lambda: answers(back))
    assert engine.run("etl", place=place).code == 0
    assert_each_row_once(back)
    assert statuses(back) == [("killed", 137), ("done", 0)]


def test_database_unplugged_amid_a_load(engine: Engine, guest: tuple[Place, DockerContainer]) -> None:
    """Cut off without a word, etl ends with 75 and the server frees its lock in 30 seconds; the next run completes."""
    place, served = guest
    database = served.get_wrapped_container()
    network = engine.client.networks.get(engine.network.name)
    # A locker from outside would go first: unplugging ends it, and etl could load all before its own line is cut.
    locker = "BEGIN; LOCK TABLE motor.claims IN SHARE MODE; SELECT pg_sleep(300)"
    told = {"PGAPPNAME": "locker", "PGPASSWORD": PASSWORD}
    database.exec_run(["psql", "-U", "postgres", "-c", locker], environment=told, detach=True)
    until(lambda: place.rows(f"{LOCKS} AND granted") != [(0,)])
    running = engine.start("etl", place=place)
    until(lambda: place.rows(f"{LOCKS} AND NOT granted") != [(0,)])
    network.disconnect(database)
    ended = engine.finish(running, timeout=30)
    assert (ended.code, ended.closing["status"]) == (75, "failed")
    network.connect(database, aliases=["guest"])
    back = replace(place, url=url_of(served))
    until(lambda: answers(back))
    until(lambda: back.rows(f"{LOCKS} AND NOT granted") == [(0,)])
    assert back.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'locker'") == [
        (True,)
    ]
    again = engine.run("etl", place=place)
    assert (again.code, again.closing["message"]) == (0, "2 files loaded")
    assert_each_row_once(back)
    assert statuses(back) == [("killed", 137), ("done", 0)]


def answers(place: Place) -> bool:
    try:
        return bool(place.rows("SELECT 1"))
    except psycopg.OperationalError:
        return False
