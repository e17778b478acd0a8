"""The Postgres adapter: tables, rows both ways, locks, and what becomes of the driver's errors."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from types import FrameType
from typing import Any

import polars as pl
import psycopg
import pytest

from shared.contract_parts import POLARS_DTYPES, DType
from shared.database import Database, quoted
from shared.errors import ConfigError, Stopped, TransientError
from tests.factories import contract, emptied

DTYPES: dict[str, DType] = {
    "claim_id": "text",
    "lost_on": "date",
    "amount": "number",
    "note": "text",
    "count": "integer",
    "seen_at": "datetime",
    "hurt": "boolean",
}
ROWS: list[tuple[Any, ...]] = [
    ("c1", date(1, 1, 1), 0.1, 'a "b", c', -(2**63), datetime(2024, 1, 1, 23, 59, 59, 999_999, UTC), True),
    ("c2", date(9999, 12, 31), 1.7976931348623157e308, "x\r\ny\n", 2**63 - 1, datetime(1, 1, 1, tzinfo=UTC), False),
    ("c3", None, None, None, None, None, None),
    ("c4", date(2024, 2, 29), -5e-324, "\\.", 0, datetime(9999, 12, 31, tzinfo=UTC), None),
    ("c5", date(2024, 2, 29), -0.0, "x\ry", 0, None, None),
    ("c6", date(2024, 2, 29), 1.0, "\\N", 0, None, None),
    ("c7", date(2024, 2, 29), 1.0, "\\n\\\\t\t\b\f\v\\", 0, None, None),
]


@pytest.fixture
def database_url(postgres: str) -> str:
    """Empty this module's database; its connection string."""
    return emptied(postgres, "test_database")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Open the motor line, tables made."""
    with Database(database_url, "motor") as database:
        database.prepare(contract())
        yield database


def test_rows_there_and_back(database: Database) -> None:
    """What is written by COPY is read by COPY as it was, with the contract's dtypes, empty or not."""
    frame = pl.DataFrame(ROWS, schema={name: POLARS_DTYPES[dtype] for name, dtype in DTYPES.items()}, orient="row")
    database.rows(f"CREATE TEMP TABLE bag AS SELECT {', '.join(map(quoted, DTYPES))} FROM claims")
    query = f"SELECT {', '.join(map(quoted, DTYPES))} FROM bag ORDER BY claim_id"
    assert database.frame(query, DTYPES).equals(frame.clear())
    database.append("bag", frame)
    database.append("bag", frame.clear())
    assert database.frame(query, DTYPES).equals(frame)


def test_one_column_of_nulls(database: Database) -> None:
    """A column of nothing but null keeps its rows."""
    query = "SELECT NULL::text AS note FROM generate_series(1, 3)"
    assert database.frame(query, {"note": "text"}).height == 3


def test_what_text_may_hold(database: Database) -> None:
    """Text is read as it is, whatever COPY writes for it: nothing, a null's own sign, quotes, ends of lines."""
    texts = ["", None, "\\N", "\\\\N", '"', ",", "\n", "\r\n", "\t", "\\.", "a\\", "\\n", " ", "é\u2028"]
    database.rows("CREATE TEMP TABLE texts (place bigint, text text)")
    for place, text in enumerate(texts):
        database.rows("INSERT INTO texts VALUES (%s, %s)", [place, text])
        alone = database.frame(f"SELECT text FROM texts WHERE place = {place}", {"text": "text"})
        assert alone["text"].to_list() == [text]
    assert database.frame("SELECT text FROM texts ORDER BY place", {"text": "text"})["text"].to_list() == texts


def test_many_rows(database: Database) -> None:
    """Rows that do not fit one block of COPY all arrive."""
    database.rows("CREATE TEMP TABLE bag (n bigint)")
    database.append("bag", pl.DataFrame({"n": range(25_000)}))
    assert database.rows("SELECT count(*), sum(n) FROM bag") == [{"count": 25_000, "sum": 312_487_500}]


@pytest.mark.parametrize(("size", "heights"), [(3, [3, 3, 1]), (7, [7]), (100, [7])])
def test_rows_in_batches(database: Database, size: int, heights: list[int]) -> None:
    """A query is read in one pass, so many rows at a time, and left off in the middle it does no harm."""
    query = "SELECT n FROM generate_series(1, 7) n"
    found = list(database.batches(query, {"n": "integer"}, (), size))
    assert [batch.height for batch in found] == heights
    assert sorted(pl.concat(found)["n"]) == list(range(1, 8))
    assert list(database.batches(f"{query} WHERE false", {"n": "integer"}, (), size)) == []
    begun = database.batches("SELECT n FROM generate_series(1, 100000) n", {"n": "integer"}, (), size)
    assert next(begun).height == size
    begun.close()
    assert database.rows("SELECT 1 AS one") == [{"one": 1}]


@pytest.mark.parametrize("size", [3, 7, 100])
def test_a_frame_of_many_pieces(database: Database, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """A frame is whole and in the query's order, however many pieces it came in; the session goes on after it."""
    monkeypatch.setattr("shared.database.FRAME_ROWS", size)
    query = "SELECT n FROM generate_series(1, 7) n ORDER BY n DESC"
    for _ in range(2):
        assert database.frame(query, {"n": "integer"})["n"].to_list() == [7, 6, 5, 4, 3, 2, 1]


def test_a_frame_that_fails_midway(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the server finds wrong after the first rows is raised, and the session goes on."""
    monkeypatch.setattr("shared.database.FRAME_ROWS", 10)
    with pytest.raises(psycopg.errors.DivisionByZero):
        database.frame("SELECT 1 / (100 - n) AS n FROM generate_series(1, 200) n", {"n": "integer"})
    assert database.rows("SELECT 1 AS one") == [{"one": 1}]


def test_prepare_twice(database: Database) -> None:
    """Preparing what is prepared changes nothing."""
    before = database.rows("SELECT * FROM claimsight.schema_versions")
    database.prepare(contract())
    assert database.rows("SELECT * FROM claimsight.schema_versions") == before


def test_a_migration_that_comes_late(database: Database) -> None:
    """Numbers may have gaps, and one that is lower than the last is still applied, once."""
    applied = "SELECT number FROM schema_versions WHERE schema_name = 'motor' ORDER BY number"
    numbers = [row["number"] for row in database.rows(applied)]
    database.rows("DELETE FROM schema_versions WHERE schema_name = 'motor' AND number = 2")
    database.rows("ALTER TABLE ingest_files DROP CONSTRAINT ingest_files_kind_check")
    database.rows("ALTER TABLE ingest_files ADD CONSTRAINT ingest_files_kind_check CHECK (kind = 'claims')")
    database.prepare(contract())
    database.prepare(contract())
    assert [row["number"] for row in database.rows(applied)] == numbers
    check = "SELECT pg_get_constraintdef(oid) AS told FROM pg_constraint WHERE conname = 'ingest_files_kind_check'"
    assert "reference" in database.rows(check)[0]["told"]


def test_a_contract_that_grows(database: Database) -> None:
    """A column that the contract gains is added to the claims that are there; one that it loses stays."""
    database.prepare(contract(columns={"note": None, "speed %": {"dtype": "number"}}))
    query = "SELECT attname AS name FROM pg_attribute WHERE attrelid = 'claims'::regclass"
    names = {row["name"] for row in database.rows(query)}
    assert {"note", "speed %"} <= names


def test_a_contract_that_does_not_fit(database: Database) -> None:
    """Every column that is stored with another type is named."""
    other = contract(columns={"note": {"dtype": "number"}, "amount": {"dtype": "text"}})
    with pytest.raises(ConfigError) as raised:
        database.prepare(other)
    assert sorted(raised.value.problems) == [
        "contract motor: columns.amount: stored as double precision, the contract now says text",
        "contract motor: columns.note: stored as text, the contract now says double precision",
    ]


def test_lines_side_by_side(database: Database, database_url: str) -> None:
    """Each line of business has its own tables; the ledger of runs is shared."""
    with Database(database_url, "home") as other:
        other.prepare(contract(name="home"))
        database.rows(
            "INSERT INTO outcomes (claim_id, is_fraud, decided_at, known_at, source) "
            "VALUES ('c1', true, now(), now(), 'console')"
        )
        assert other.rows("SELECT * FROM outcomes") == []
        assert other.rows("SELECT to_regclass('job_runs')::text AS name") == [{"name": "job_runs"}]


def test_transactions(database: Database) -> None:
    """A block that raises leaves nothing, an inner one takes only its own with it."""
    database.rows("CREATE TABLE bag (n int)")
    with pytest.raises(RuntimeError), database.transaction():
        database.rows("INSERT INTO bag VALUES (1)")
        raise RuntimeError
    with database.transaction():
        database.rows("INSERT INTO bag VALUES (2), (3)")
        with pytest.raises(RuntimeError), database.transaction():
            database.rows("INSERT INTO bag VALUES (4)")
            raise RuntimeError
    assert database.rows("SELECT sum(n) FROM bag") == [{"sum": 5}]


def test_locks(database: Database, database_url: str) -> None:
    """A lock is held by one session and goes with it."""
    with Database(database_url, "motor") as other:
        assert other.try_lock("etl")
        assert not database.try_lock("etl")
    for _ in range(100):
        if database.try_lock("etl"):
            return
        time.sleep(0.02)
    raise AssertionError("the lock outlived its session")


@pytest.mark.parametrize(
    ("state", "error", "words"),
    [
        ("53100", TransientError, "No space left on device.*; check that Postgres runs and has room"),
        ("57P01", TransientError, "check that Postgres runs"),
        ("57P03", TransientError, "check that Postgres runs"),
        ("53300", TransientError, "check that Postgres runs"),
        ("42501", ConfigError, "grant the stage's role what it needs"),
    ],
)
def test_errors_of_the_server(database: Database, state: str, error: type[Exception], words: str) -> None:
    """A full disk, a server that stops and too many sessions may pass; a missing right does not."""
    with pytest.raises(error, match=words) as raised:
        database.rows(f"DO $$ BEGIN RAISE EXCEPTION E'No space\\nleft on device' USING ERRCODE = '{state}'; END $$")
    assert "\n" not in str(raised.value)


def test_a_full_disk_amid_copy(database: Database) -> None:
    """A disk that fills up during COPY is told as what it is, not as a fault of the writer."""
    database.rows("CREATE TABLE bag (n int)")
    database.rows(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = '53100'; END $$"
    )
    database.rows("CREATE TRIGGER refuse BEFORE INSERT ON bag FOR EACH ROW EXECUTE FUNCTION refuse()")
    with pytest.raises(TransientError, match="No space left"):
        database.append("bag", pl.DataFrame({"n": range(50_000)}))
    assert database.rows("SELECT count(*) FROM bag") == [{"count": 0}]


def test_a_mistake_of_ours_stays_one(database: Database) -> None:
    """An error in a query is neither the settings' nor the server's fault."""
    with pytest.raises(psycopg.errors.UndefinedTable):
        database.rows("SELECT * FROM nowhere")


def test_a_session_that_is_ended(database: Database, database_url: str) -> None:
    """A server that goes away is a passing failure, at once and ever after."""
    (pid,) = database.rows("SELECT pg_backend_pid() AS pid")[0].values()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(%s)", [pid])
    for _ in range(2):
        with pytest.raises(TransientError):
            database.rows("SELECT 1")


@pytest.mark.parametrize("url", ["not a URL, but secret", "postgresql://me:secret@[::1/claims"])
def test_a_url_that_is_none(url: str) -> None:
    """A malformed URL is the settings' fault, and is not repeated: it may hold a password."""
    with pytest.raises(ConfigError, match="CLAIMSIGHT_DATABASE_URL") as raised:
        Database(url, "motor")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("work", ["a query", "a copy", "a frame", "a lock"])
def test_stopped_amid_a_statement(database: Database, database_url: str, work: str) -> None:
    """Told to stop amid a statement, the session rolls back and is fit to close the ledger."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise Stopped

    database.rows("CREATE TABLE bag (n bigint)")
    before = signal.signal(signal.SIGALRM, stop)
    other = psycopg.connect(database_url)
    try:
        other.execute("LOCK TABLE motor.bag")
        started = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(Stopped), database.transaction():
            if work == "a query":
                database.rows("SELECT pg_sleep(10)")
            elif work == "a frame":
                database.frame("SELECT n FROM generate_series(1, 100000000) n", {"n": "integer"})
            elif work == "a lock":
                database.rows("INSERT INTO bag VALUES (1)")
            else:
                database.append("bag", pl.DataFrame({"n": range(1_000_000)}))
        assert time.monotonic() - started < 3
        other.rollback()
        assert database.rows("SELECT count(*) FROM bag") == [{"count": 0}]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        other.close()
