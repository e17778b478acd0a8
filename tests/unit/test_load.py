"""Loading one file: each row in one place once, and the ledger with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jobs.etl import load, read
from jobs.etl.__main__ import work
from jobs.etl.load import Loaded, load_file
from jobs.etl.store import Feed
from shared import storage
from shared.database import Database
from shared.errors import DataError, TransientError
from tests.etl_factory import Etl, decisions
from tests.factories import CLAIM, claims, contract, csv_text, drop, emptied, with_outcomes

Load = Callable[..., Loaded]


@pytest.fixture
def database_url(postgres: str) -> str:
    """Empty this module's database; its connection string."""
    return emptied(postgres, "test_load")


@pytest.fixture
def etl(tmp_path: Path, database_url: str) -> Iterator[Etl]:
    """Set up a line whose label stands in the claims file."""
    with Database(database_url, "motor") as database:
        yield Etl(tmp_path, database, contract(file={"reject_limit": 0.5}), database_url)


@pytest.fixture
def late(tmp_path: Path, database_url: str) -> Iterator[Etl]:
    """Set up a line whose outcomes come in files of their own."""
    with Database(database_url, "motor") as database:
        yield Etl(tmp_path, database, with_outcomes(file={"reject_limit": 0.5}), database_url)


def test_good_and_bad_rows(etl: Etl) -> None:
    """Good rows become claims and outcomes, bad ones stand in quarantine as they came."""
    content = csv_text([CLAIM, CLAIM | {"claim": "c2", "amount": "dear"}, CLAIM | {"claim": "c3", "fraud": ""}])
    assert etl.load("a.csv", content) == Loaded(3, 2, 1, None)
    assert etl.current() == [("c1", 12.5, 1, "motor/claims/a.csv"), ("c3", 12.5, 1, "motor/claims/a.csv")]
    assert etl.rows("SELECT claim_id, is_fraud FROM outcomes") == [("c1", False)]
    ((line, column, reason, raw),) = etl.rows("SELECT file_line, column_name, reason, raw FROM claims_quarantine")
    assert (line, column, reason) == (3, "amount", "amount: not a number")
    assert '"amount":"dear"' in raw
    assert etl.rows("SELECT rows_in, rows_out, quarantined FROM job_runs") == [(3, 2, 1)]


def test_no_rows(etl: Etl) -> None:
    """A header without rows is accepted, with no rows."""
    assert etl.load("a.csv", csv_text([])) == Loaded(0, 0, 0, None)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"\x00" * 10])
def test_no_table(etl: Etl, content: bytes) -> None:
    """A file that is empty or no text is rejected as a whole."""
    loaded = etl.load("a.csv", content)
    assert (loaded.rows_in, loaded.reason is None) == (0, False)
    assert etl.rows("SELECT status FROM ingest_files") == [("rejected",)]


def test_another_table(etl: Etl) -> None:
    """A file with another header is rejected, and each of its lines is in quarantine."""
    loaded = etl.load("a.csv", 'claim;lost_on\n1;"2\n\n3;\xff\n'.encode("latin-1"))
    assert loaded == Loaded(2, 0, 2, loaded.reason)
    assert etl.rows("SELECT raw FROM claims_quarantine ORDER BY file_line") == [('1;"2',), ("3;\\xff",)]
    assert "file_rejected: the header lacks" in etl.quarantine()[0][1]


def test_over_the_reject_limit(etl: Etl) -> None:
    """Over the reject limit no row becomes a claim: each is in quarantine, with its text and what ails it."""
    content = csv_text([CLAIM, *claims(2, amount="-1"), CLAIM | {"claim": "c9"}]) + "torn\n"
    told = "amount: below 0 (2 rows), 1 fields instead of 9 (1 row)"
    assert etl.load("a.csv", content) == Loaded(
        5, 0, 5, f"3 of 5 rows break the contract, over the reject limit of 50.0%: {told}"
    )
    assert etl.current() == etl.rows("SELECT 1 FROM outcomes") == []
    rows = etl.rows("SELECT file_line, reason, raw FROM claims_quarantine ORDER BY file_line")
    assert [row[0] for row in rows] == [2, 3, 4, 5, 6]
    assert "file_rejected: 3 of 5" in rows[0][1]
    assert rows[1][1] == "amount: below 0"
    assert rows[4][1:] == ("1 fields instead of 9", "torn")
    assert all(row[2] for row in rows)


def test_repeated_rows(etl: Etl) -> None:
    """Of the rows of one claim in one file the first stands, the others are quarantined and count as bad."""
    assert etl.load("a.csv", csv_text([CLAIM, CLAIM | {"amount": "13"}, CLAIM | {"claim": "c2"}])).quarantined == 1
    assert etl.quarantine() == [(3, "repeats row 2 of the file")]
    assert etl.load("b.csv", csv_text(claims(1, amount="14") * 3)).reason is not None


def test_rows_of_another_file(etl: Etl) -> None:
    """A row that another file has already brought is quarantined, but breaks nothing."""
    etl.load("a.csv", csv_text(claims(3)))
    assert etl.load("b.csv", csv_text(claims(4))) == Loaded(4, 1, 3, None)
    assert etl.quarantine() == [(line, "already loaded from motor/claims/a.csv") for line in (2, 3, 4)]


def test_an_untold_label_is_no_correction(etl: Etl) -> None:
    """A row that leaves out a label that is known says nothing new."""
    etl.load("a.csv", csv_text([CLAIM]))
    assert etl.load("b.csv", csv_text([CLAIM | {"fraud": ""}])).rows_out == 0


def test_corrections(etl: Etl) -> None:
    """A claim that another file corrects gets a new version, known from when that was loaded."""
    etl.load("a.csv", csv_text([CLAIM]))
    july = datetime(2024, 7, 1, tzinfo=UTC)
    etl.at(july)
    assert etl.load("b.csv", csv_text([CLAIM | {"amount": "99", "fraud": "Y"}])) == Loaded(1, 1, 0, None)
    lost = datetime(2024, 2, 3, tzinfo=UTC)
    assert etl.rows("SELECT revision, amount, known_at, superseded_at FROM claims ORDER BY revision") == [
        (1, 12.5, lost, july),
        (2, 99.0, july, None),
    ]
    assert etl.rows("SELECT is_fraud, known_at FROM outcomes ORDER BY outcome_id") == [(False, lost), (True, july)]
    seen = "SELECT amount FROM claims_as_of('2024-06-30') UNION ALL SELECT amount FROM claims_as_of('2024-07-01')"
    assert etl.rows(seen) == [(12.5,), (99.0,)]


def test_a_changed_file_replaces_what_it_had_loaded(etl: Etl) -> None:
    """Rows that stayed are kept, changed ones superseded, missing ones withdrawn, and bad ones of before forgotten."""
    etl.load("a.csv", csv_text([*claims(4), CLAIM | {"claim": "c9", "amount": "dear"}]))
    content = csv_text([CLAIM | {"claim": "c2"}, CLAIM | {"claim": "c3", "amount": "1"}, CLAIM | {"claim": "c5"}])
    assert etl.load("a.csv", content) == Loaded(3, 3, 0, None)
    uri = "motor/claims/a.csv"
    assert etl.current() == [("c2", 12.5, 1, uri), ("c3", 1.0, 2, uri), ("c5", 12.5, 1, uri)]
    assert etl.quarantine() == []
    assert etl.rows("SELECT status, rows_out FROM ingest_files ORDER BY file_id") == [("replaced", 4), ("loaded", 3)]
    etl.load("a.csv", csv_text(claims(1)))
    assert etl.current() == [("c1", 12.5, 2, uri)]


def test_a_rejected_change_replaces_nothing(etl: Etl) -> None:
    """While its new content is rejected, what a file had loaded stands; a mended one takes its place."""
    etl.load("a.csv", csv_text(claims(2)))
    etl.load("a.csv", csv_text(claims(2, amount="dear")))
    assert len(etl.current()) == len(etl.quarantine()) == 2
    etl.load("a.csv", csv_text(claims(2, amount="dearer")))
    assert len(etl.quarantine()) == 2
    etl.load("a.csv", csv_text(claims(2, amount="1")))
    assert [row[1] for row in etl.current()] == [1.0, 1.0]
    assert etl.quarantine() == []
    statuses = etl.rows("SELECT status FROM ingest_files ORDER BY file_id")
    assert statuses == [("replaced",), ("replaced",), ("replaced",), ("loaded",)]


@pytest.mark.parametrize("correction", [{"amount": "99"}, {"fraud": "Y"}])
def test_saying_the_same_again_undoes_no_correction(etl: Etl, correction: dict[str, str]) -> None:
    """A claim that another file has corrected stays corrected, however often its first file changes elsewhere."""
    etl.load("a.csv", csv_text(claims(1)))
    etl.load("b.csv", csv_text(claims(1, **correction)))
    corrected = etl.current()
    for count in (2, 3):
        assert etl.load("a.csv", csv_text(claims(count))) == Loaded(count, count, 0, None)
        assert etl.current()[0] == corrected[0]


def test_odd_cells_are_stored_as_they_are(etl: Etl) -> None:
    """Text comes back as it was sent, whatever it looks like to CSV, SQL or a spreadsheet."""
    notes = [
        'a "b"',
        "x\ny",
        "x\r\ny",
        "x\ry",
        "\\.",
        "a\n\\.\nb",
        "\\N",
        "NULL",
        "=1+1",
        "a,b",
        "'; --",
        "%s",
        "é\u2028€",
    ]
    etl.load("a.csv", csv_text([CLAIM | {"claim": f"c{n:02}", "note": note} for n, note in enumerate(notes)]))
    assert [row[0] for row in etl.rows("SELECT note FROM claims ORDER BY claim_id")] == notes


def test_edges_of_the_calendar_are_stored(etl: Etl) -> None:
    """The first and the last day that a date may be can be stored; what is beyond them is quarantined."""
    edges = [{"lost_on": "0001-01-01"}, {"seen_at": "9999-12-31T23:59:59Z"}, {"lost_on": "+10000-01-01"}]
    content = csv_text([CLAIM | {"claim": f"c{number}"} | edge for number, edge in enumerate(edges, 1)])
    assert etl.load("a.csv", content).quarantined == 1
    assert [row[0] for row in etl.current()] == ["c1", "c2"]


def test_odd_column_names(tmp_path: Path, database_url: str) -> None:
    """Columns may have names that SQL, format strings or Polars would stumble over."""
    names = ["100 %", "capital-gains", "größe", "it's", "a%sb", "{0}", "select", "UPPER", "staging", "$$"]
    columns = {name: {"dtype": "text"} for name in names} | {"line": {"dtype": "text", "source": "file_line"}}
    odd = contract(file={"reject_limit": 0.5}, columns=columns)
    row = CLAIM | {name: name for name in names} | {"file_line": "x"}
    with Database(database_url, "motor") as database:
        etl = Etl(tmp_path, database, odd, database_url)
        assert etl.load("a.csv", csv_text([row], row)).rows_out == 1
        assert etl.load("a.csv", csv_text([row, row | {"claim": "c2", "amount": ""}], row)) == Loaded(2, 1, 1, None)
        stored = database.rows("SELECT * FROM claims")[0]
        assert [stored[name] for name in names] == names


def test_columns_that_the_contract_does_not_name(etl: Etl, caplog: pytest.LogCaptureFixture) -> None:
    """Columns beyond the contract's are passed over, and the log says which."""
    row = CLAIM | {"colour": "red", "*": "x"}
    with caplog.at_level("INFO", "claimsight"):
        assert etl.load("a.csv", csv_text([row], row)).rows_out == 1
    (record,) = caplog.records
    assert "the contract does not name" in record.message
    assert vars(record)["facts"]["columns"] == ["colour", "*"]


def test_a_file_that_changes_while_it_is_read(etl: Etl, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that grows or goes while it is read leaves nothing behind."""

    def then(change: Callable[[Path], object]) -> Callable[..., Any]:
        def batches(path: Path, *arguments: Any) -> Iterator[read.Batch]:
            yield from read_batches(path, *arguments)
            change(path)

        return batches

    read_batches = read.batches
    for change in (lambda path: path.write_bytes(path.read_bytes() + b"\n"), Path.unlink):
        monkeypatch.setattr(load.read, "batches", then(change))
        with pytest.raises(TransientError, match="changed while it was read"):
            etl.load("a.csv", csv_text(claims(2)))
        assert etl.current() == etl.rows("SELECT 1 FROM ingest_files") == []


def test_a_file_that_is_taken_away(etl: Etl) -> None:
    """A file that is gone before it is read is a passing failure."""
    path = drop(etl.folder, "a.csv", csv_text(claims(1)))
    (file,) = storage.listing(etl.folder / "drop", "motor/claims")
    path.unlink()
    with pytest.raises(TransientError, match="changed while it was read"):
        _ = file.etag
    with pytest.raises(TransientError, match="changed while it was read"):
        load_file(etl.job, file, "x", Feed("claims"))


def test_a_label_is_set_back(etl: Etl) -> None:
    """A label in the claims file may be corrected any number of times in one run; the last file's holds."""
    for number, label in enumerate("NYNYN"):
        assert etl.load(f"{number}.csv", csv_text([CLAIM | {"fraud": label}])) == Loaded(1, 1, 0, None)
        assert etl.rows("SELECT is_fraud FROM outcomes_as_of('2024-06-01')") == [(label == "Y",)]


def test_work(late: Etl) -> None:
    """A run loads all that waits, tells score, and finds nothing to do the next time."""
    drop(late.folder, "a.csv", csv_text(claims(2)))
    drop(late.folder, "b.csv.part", "half")
    drop(late.folder, ".hidden.csv", "half")
    drop(late.folder, "a.csv", decisions({}), "outcomes")
    assert work(late.job) == "2 files loaded"
    assert "ClaimsLoaded" in (late.folder / "events.jsonl").read_text()
    assert work(late.job) == "no new files; nothing to do"


def test_work_names_every_rejected_file(etl: Etl) -> None:
    """A run loads what it can, then names every file it rejected."""
    drop(etl.folder, "a.csv", "")
    drop(etl.folder, "b.csv", "claim\n1\n")
    drop(etl.folder, "c.csv", csv_text(claims(1)))
    with pytest.raises(DataError) as raised:
        work(etl.job)
    assert ["a.csv" in raised.value.problems[0], "b.csv" in raised.value.problems[1]] == [True, True]
    assert len(etl.current()) == 1
    assert work(etl.job) == "no new files; nothing to do"
