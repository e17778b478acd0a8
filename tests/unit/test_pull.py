"""Pulling from a database of the business: each version of a row once, and none missed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.types.json import Jsonb

from jobs.etl.__main__ import work
from jobs.etl.load import Loaded
from shared import source
from shared.database import Database
from shared.errors import ConfigError, DataError, TransientError
from tests.factories import CLAIM, OUTCOMES, claims, contract, csv_text, drop, emptied
from tests.pull_factory import TABLE, Business


@pytest.fixture
def business(tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Business]:
    """Set up a database of the business beside the line's."""
    monkeypatch.setattr(source, "SETTLE_SECONDS", 0.001)
    emptied(postgres, "test_pull_source")
    found = Business(tmp_path, emptied(postgres, "test_pull"), make_conninfo(postgres, dbname="test_pull_source"))
    with found.source:
        yield found


def test_rows_are_pulled(business: Business) -> None:
    """Rows become claims and outcomes, bad ones go to quarantine, and the ledger holds how far the pull came."""
    business.write("c1", "2024-05-01 10:00", note='a "quote",\nand é', amount="7.25")
    business.write("c2", "2024-05-01 12:00", amount="-1")
    assert business.pull() == [Loaded(2, 1, 1, None)]
    assert business.rows("SELECT claim_id, amount, note, count, seen_at, hurt, event_time FROM claims") == [
        (
            "c1",
            7.25,
            'a "quote",\nand é',
            2,
            datetime(2024, 2, 4, 10, tzinfo=UTC),
            False,
            datetime(2024, 2, 3, tzinfo=UTC),
        )
    ]
    assert business.rows("SELECT claim_id, is_fraud FROM outcomes") == [("c1", False)]
    ((reason, raw),) = business.rows("SELECT reason, raw FROM claims_quarantine")
    assert reason == "amount: below 0"
    assert '"claim":"c2"' in raw
    ((uri, name, watermark, since),) = business.rows("SELECT uri, pull, watermark, since FROM ingest_files")
    assert uri.startswith("pull/claims/20")
    assert (name, watermark, since) == ("claims", "2024-05-01T12:00:00+00:00", "2024-05-01T11:00:00+00:00")
    assert business.rows("SELECT rows_in, rows_out, quarantined FROM job_runs") == [(2, 1, 1)]


def test_an_idle_pull_changes_nothing(business: Business) -> None:
    """Rows that are met again, sound or bad or without a watermark, are no input."""
    business.write("c1", "2024-05-01 10:00")
    business.write("c2", "2024-05-01 10:30", amount="-1")
    business.write("c3", None)
    assert business.pull() == [Loaded(3, 2, 1, None)]
    before = business.rows("SELECT * FROM ingest_files"), business.current()
    assert business.pull() == []
    assert (business.rows("SELECT * FROM ingest_files"), business.current()) == before
    assert business.rows("SELECT count(*) FROM claims_quarantine") == [(1,)]
    assert business.rows("SELECT sum(rows_in) FROM job_runs") == [(3,)]


def test_a_changed_row_is_a_correction(business: Business) -> None:
    """A row that changed is a new version of its claim, however it changes; one that did not stays as it is."""
    business.write("c1", "2024-05-01 10:00")
    business.write("c2", "2024-05-01 10:00")
    business.pull()
    for revision, amount in ((2, "20"), (3, "12.5")):
        business.write("c1", f"2024-05-01 10:0{revision}", amount=amount)
        assert business.pull() == [Loaded(1, 1, 0, None)]
        assert business.current() == [("c1", float(amount), revision), ("c2", 12.5, 1)]


def test_a_touched_row_is_left_out(business: Business) -> None:
    """A row whose watermark alone grew, sound or bad, is no input; the watermark moves on."""
    business.write("c1", "2024-05-01 10:00")
    business.write("c2", "2024-05-01 10:00", amount="-1")
    business.pull()
    business.write("c1", "2024-05-02 10:00")
    business.write("c2", "2024-05-02 10:00", amount="-1")
    assert business.pull() == [Loaded(0, 0, 0, None)]
    assert business.current() == [("c1", 12.5, 1)]
    assert business.rows("SELECT count(*) FROM claims_quarantine") == [(1,)]
    assert business.since() == "2024-05-02T09:00:00+00:00"
    assert business.pull() == []


def test_what_a_file_told_since_stands(business: Business) -> None:
    """A row that is met again does not undo what a file has corrected in the meantime."""
    business.write("c1", "2024-05-01 10:00")
    business.pull()
    drop(business.folder, "a.csv", csv_text(claims(1, amount="99")))
    with Database(business.url, "motor") as database:
        assert work(business.job(database)) == "1 files loaded"
    assert business.pull() == []
    assert business.current() == [("c1", 99.0, 2)]


@pytest.mark.parametrize(
    ("dtype", "marks", "since"),
    [
        ("timestamptz", ["2024-05-01 10:00", "2024-05-01 11:30", "2024-05-20 00:00"], "2024-05-01T09:00:00+00:00"),
        ("timestamp", ["2024-05-01 10:00", "2024-05-01 11:30", "2024-05-20 00:00"], "2024-05-01T09:00:00"),
        ("bigint", ["50000", "50001", "90000"], "40000"),
    ],
)
def test_a_late_commit_is_found(business: Business, dtype: str, marks: list[str], since: str) -> None:
    """A row whose transaction was open during a pull is found by the next, far beyond the overlap, and it alone."""
    business.source.execute(f"ALTER TABLE sales.claims ALTER changed TYPE {dtype} USING NULL")
    first, late, later = marks
    business.write("c1", first)
    business.pull()
    with psycopg.connect(business.source_url) as open_transaction:
        open_transaction.execute("SELECT 1")  # it has written nothing yet
        business.write("c3", later)
        assert business.pull() == [Loaded(1, 1, 0, None)]
        assert business.since() == since
        business.write("c2", late, open_transaction)
        assert business.pull() == []
    assert business.pull() == [Loaded(1, 1, 0, None)]
    assert [row[0] for row in business.current()] == ["c1", "c2", "c3"]
    assert business.pull() == []


def test_open_at_the_first_pull(business: Business) -> None:
    """With a transaction open at the first pull, the next reads all rows again, and brings those that are new."""
    business.write("c1", "2024-05-20")
    with psycopg.connect(business.source_url) as open_transaction:
        business.write("c2", "1999-01-01", open_transaction)
        business.pull()
        assert business.since() is None
    assert business.pull() == [Loaded(1, 1, 0, None)]
    assert business.since() == "2024-05-19T23:00:00+00:00"


def test_committed_between_point_and_rows(business: Business, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that commits while a pull looks around is in that pull or in the next, and not in both."""
    business.write("c1", "2024-05-20")
    looked = source.Source.open_since

    def slow(self: source.Source, point: source.Point) -> Any:
        found = looked(self, point)
        business.write("c2", "2024-05-21")
        return found

    monkeypatch.setattr(source.Source, "open_since", slow)
    assert [found.rows_in for found in business.pull()] == [2]
    monkeypatch.undo()
    assert business.since() == "2024-05-19T23:00:00+00:00"
    assert business.pull() == []


def test_prepared_for_two_phases(business: Business, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a transaction is prepared, of which nobody knows when it began, the next pull begins where this one did."""
    business.write("c1", "2024-05-10")
    business.pull()
    monkeypatch.setattr(source.Source, "open_since", lambda *_: (None, True))
    business.write("c2", "2024-05-20")
    assert business.pull() == [Loaded(1, 1, 0, None)]
    assert business.since() == "2024-05-09T23:00:00+00:00"
    business.write("c3", "2024-05-11")
    assert business.pull() == [Loaded(1, 1, 0, None)]


def test_what_cannot_be_seen_is_said(business: Business, caplog: pytest.LogCaptureFixture) -> None:
    """A role that cannot see others' transactions pulls by the overlap alone, and says so."""
    business.source.execute("DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN")
    business.source.execute("GRANT USAGE ON SCHEMA sales TO reader; GRANT SELECT ON sales.claims TO reader")
    business.write("c1", "2024-05-20")
    as_reader = {"CLAIMSIGHT_SOURCE_URL": make_conninfo(business.source_url, user="reader")}
    with caplog.at_level("INFO", "claimsight"):
        business.pull(**as_reader)
        assert "not all transactions" in caplog.text
        caplog.clear()
        business.source.execute("GRANT pg_read_all_stats TO reader")
        business.pull(**as_reader)
        assert "not all transactions" not in caplog.text
    business.source.execute("DROP OWNED BY reader; DROP ROLE reader")


def test_the_clock(business: Business) -> None:
    """A row written after the clock's moment is not there yet; it comes when the clock has come as far."""
    business.write("c1", "2024-05-01")
    business.write("c2", "2024-05-10")
    business.pull(CLAIMSIGHT_AS_OF="2024-05-05")
    assert [row[0] for row in business.current()] == ["c1"]
    assert business.pull(CLAIMSIGHT_AS_OF="2024-05-11") == [Loaded(1, 1, 0, None)]


def test_outcomes_and_reference_tables(business: Business) -> None:
    """Reference rows come before the claims that ask them, and outcomes too: each row once, and again if changed."""
    business.source.execute("CREATE TABLE sales.agents (id text, office text, n bigint)")
    business.source.execute(
        "CREATE TABLE sales.decisions (claim text, verdict text, decided date, known date, by text, n int)"
    )
    business.source.execute("INSERT INTO sales.agents VALUES ('theft', 'north', 1)")
    business.source.execute("INSERT INTO sales.decisions VALUES ('c1', 'Y', '2024-03-01', '2024-03-02', 'court', 1)")
    business.write("c1", "2024-05-01")
    office = {"key": "peril", "id": "id", "required": True, "columns": {"office": {"dtype": "category"}}}
    business.contract = contract(
        roles={"label": None},
        label=None,
        columns={"fraud": None},
        outcomes=OUTCOMES,
        reference={"agent": office},
        pull={
            "rows": TABLE,
            "verdicts": {"feed": "outcomes", "table": "sales.decisions", "watermark": "n"},
            "agents": {"feed": "reference/agent", "query": "SELECT * FROM sales.agents -- all", "watermark": "n"},
        },
    )
    assert business.pull() == [Loaded(1, 1, 0, None)] * 3
    assert business.pull() == []
    assert business.rows("SELECT claim_id, office FROM claims") == [("c1", "north")]
    assert business.rows("SELECT claim_id, is_fraud, source FROM outcomes") == [("c1", True, "court")]
    business.source.execute("UPDATE sales.agents SET office = 'south', n = 2")
    business.source.execute("UPDATE sales.decisions SET n = 2")
    assert business.pull() == [Loaded(1, 1, 0, None), Loaded(0, 0, 0, None)]
    assert business.rows("SELECT key, office FROM reference_agent") == [("theft", "south")]
    assert business.rows("SELECT count(*) FROM outcomes") == [(1,)]


def test_hostile_names_and_queries(business: Business) -> None:
    """Names with quotes, per cent signs, braces and blanks work; a query may hold them, too."""
    business.source.execute('CREATE TABLE sales."Cl%s; {DROP}" (LIKE sales.claims)')
    business.source.execute('ALTER TABLE sales."Cl%s; {DROP}" RENAME changed TO "ch\'ang""ed %s {}"')
    row = CLAIM | {"ch'ang\"ed %s {}": "2024-05-01"}
    business.source.execute(
        'INSERT INTO sales."Cl%%s; {DROP}" SELECT * FROM jsonb_populate_record(NULL::sales."Cl%%s; {DROP}", %s)',
        [Jsonb(row)],
    )
    business.pulling(claims={"table": "sales.Cl%s; {DROP}", "watermark": "ch'ang\"ed %s {}"})
    assert business.pull() == [Loaded(1, 1, 0, None)]
    query = "SELECT *, 'a;b%s{}' AS \"x\" FROM sales.\"Cl%s; {DROP}\" WHERE peril LIKE '%' /* ) */ -- )"
    business.pulling(again={"query": query, "watermark": "ch'ang\"ed %s {}"})
    assert business.pull() == [Loaded(0, 0, 0, None)]


@pytest.mark.parametrize(
    ("pull", "says"),
    [
        (TABLE | {"table": "sales.nothing"}, 'relation "sales.nothing" does not exist'),
        (TABLE | {"watermark": "nothing"}, "column q.nothing does not exist"),
        (TABLE | {"watermark": "note"}, "neither a timestamp nor an integer"),
        (
            {"query": "SELECT claim, changed FROM sales.claims", "watermark": "changed"},
            "column q.lost_on does not exist",
        ),
        ({"query": "SELECT 1; DROP TABLE sales.claims", "watermark": "x"}, 'syntax error at or near ";"'),
        (
            {"query": "SELECT 1) AS q; DROP TABLE sales.claims; SELECT 1 FROM (SELECT 1", "watermark": "x"},
            "cannot insert multiple commands",
        ),
        ({"query": "SELECT *, setval('sales.s', 1) AS x FROM sales.claims", "watermark": "x"}, "the query writes"),
        ({"query": "SELECT *, note::int AS x FROM sales.claims", "watermark": "x"}, "InvalidTextRepresentation"),
    ],
)
def test_what_the_source_refuses(business: Business, pull: dict[str, str], says: str) -> None:
    """What is wrong with a query is the contract's fault, in one line that holds no cell; nothing is written there."""
    business.source.execute("CREATE SEQUENCE sales.s")
    business.write("c1", "2024-05-01")
    business.pulling(claims=pull)
    with pytest.raises(ConfigError, match=r"^pull\.claims: ") as caught:
        business.pull()
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "at night" not in str(caught.value)
    assert business.source.execute("SELECT count(*) FROM sales.claims").fetchone() == (1,)


def test_bytes_are_refused(business: Business) -> None:
    """A column of bytes is no text, and named."""
    business.source.execute("ALTER TABLE sales.claims ALTER note TYPE bytea USING NULL")
    with pytest.raises(ConfigError, match="column 'note' is bytea"):
        business.pull()


def test_no_right_to_read(business: Business) -> None:
    """A role without the right to read is told so."""
    business.source.execute(
        "DROP ROLE IF EXISTS stranger; CREATE ROLE stranger LOGIN; GRANT USAGE ON SCHEMA sales TO stranger"
    )
    with pytest.raises(ConfigError, match="permission denied for table claims"):
        business.pull(CLAIMSIGHT_SOURCE_URL=make_conninfo(business.source_url, user="stranger"))
    business.source.execute("DROP OWNED BY stranger; DROP ROLE stranger")


def test_no_source(business: Business, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that is not set, malformed or out of reach is said in one line without its password."""
    for url, error, says in (
        ("", ConfigError, "CLAIMSIGHT_SOURCE_URL is not set"),
        ("secret, not a URL", ConfigError, "no libpq connection string"),
        ("postgresql://me:secret@127.0.0.1:1/claims", TransientError, "refused"),
        (make_conninfo(business.source_url, dbname="nowhere"), ConfigError, "does not exist; check CLAIMSIGHT_SOURCE"),
    ):
        with pytest.raises(error, match=says) as caught:
            business.pull(CLAIMSIGHT_SOURCE_URL=url)
        assert "secret" not in str(caught.value)


def test_a_source_that_fails_holds_no_file_back(business: Business) -> None:
    """Files are loaded and told of though the source does not answer; but no claims without their reference table."""
    drop(business.folder, "a.csv", csv_text(claims(2)))
    gone = {"CLAIMSIGHT_SOURCE_URL": "postgresql://127.0.0.1:1/claims"}
    agents = {"feed": "reference/agent", "table": "sales.agents", "watermark": "n"}
    office = {"key": "peril", "columns": {"office": {"dtype": "category"}}}
    with Database(business.url, "motor") as database:
        claims_only = business.contract
        business.contract = contract(reference={"agent": office}, pull={"agents": agents})
        database.prepare(business.contract)
        with pytest.raises(TransientError):
            work(business.job(database, **gone))
        assert database.rows("SELECT claim_id FROM claims") == []
        business.contract = claims_only
        with pytest.raises(TransientError):
            work(business.job(database, **gone))
        assert len(database.rows("SELECT claim_id FROM claims")) == 2
    assert "ClaimsLoaded" in (business.folder / "events.jsonl").read_text()


def test_over_the_reject_limit(business: Business) -> None:
    """A pull over the reject limit is refused once, all its rows are in quarantine, and later pulls go on."""
    business.write("c1", "2024-05-01", amount="-1")
    with Database(business.url, "motor") as database:
        database.prepare(business.contract)
        with pytest.raises(DataError, match="1 of 1 rows"):
            work(business.job(database))
        assert work(business.job(database)) == "no new files; nothing to do"
        business.write("c1", "2024-05-02")
        assert work(business.job(database)) == "1 files loaded"
    assert business.rows("SELECT status FROM ingest_files ORDER BY file_id") == [("rejected",), ("loaded",)]
