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
from jobs.etl.requeue import requeue
from jobs.etl.store import Feed
from shared import storage
from shared.database import Database
from shared.errors import DataError, TransientError
from tests.etl_factory import Etl
from tests.factories import CLAIM, OUTCOMES, claims, contract, csv_text, drop, emptied, with_outcomes

Load = Callable[..., Loaded]
OUTCOME = {"claim": "c1", "verdict": "Y", "decided": "2024-03-01", "known": "2024-03-02", "by": "court"}


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


def _outcomes(*rows: dict[str, str]) -> str:
    return csv_text([OUTCOME | row for row in rows], OUTCOME)


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


def test_outcomes(late: Etl) -> None:
    """Outcomes are appended, each decision once, wherever it comes from."""
    assert late.load("a.csv", _outcomes({}, {}, {"claim": "c2"}), "outcomes").quarantined == 1
    late.database.rows(
        "INSERT INTO outcomes (claim_id, is_fraud, decided_at, known_at, source) "
        "VALUES ('c3', true, '2024-03-01', '2024-03-02', 'court')"
    )
    assert late.load("b.csv", _outcomes({}, {"claim": "c3"}, {"claim": "c4"}), "outcomes") == Loaded(3, 1, 2, None)
    reasons = [reason for _, reason in late.quarantine()]
    assert reasons[1:] == ["already loaded from motor/outcomes/a.csv", "already loaded from the console"]


def _said(verdict: str) -> str:
    """Write what a file says of one decision."""
    return _outcomes(*({"verdict": letter} for letter in verdict))


def _stands(etl: Etl) -> list[tuple[Any, ...]]:
    return etl.rows("SELECT is_fraud FROM outcomes_as_of('2024-06-01') WHERE claim_id = 'c1'")


@pytest.mark.parametrize("names", ["abc", "aaa", "abb", "aab"])
def test_a_decision_is_set_back(late: Etl, names: str) -> None:
    """What the last file says of a decision holds, also where an earlier one said the same before a correction."""
    for name, verdict in zip(names, "NYN", strict=True):
        assert late.load(f"{name}.csv", _said(verdict), "outcomes") == Loaded(1, 1, 0, None)
        assert _stands(late) == [(verdict == "Y",)]
    assert late.load("again.csv", _said("N"), "outcomes") == Loaded(1, 0, 1, None)
    assert late.rows("SELECT is_fraud FROM outcomes ORDER BY outcome_id") == [(False,), (True,), (False,)]


def test_saying_the_same_again_does_not_undo_a_correction(late: Etl) -> None:
    """A file that grows says again what another has corrected since; as for claims, the correction stands."""
    late.load("a.csv", _said("N"), "outcomes")
    late.load("b.csv", _said("Y"), "outcomes")
    grown = _outcomes({"verdict": "N"}, {"claim": "c2"})
    for _ in range(2):
        assert late.load("a.csv", grown, "outcomes") == Loaded(2, 2, 0, None)
        assert _stands(late) == [(True,)]
        grown += "\n"
    assert late.rows("SELECT count(*) FROM outcomes") == [(3,)]
    # Once it has said something else in between, it is a decision set back.
    assert late.load("a.csv", _said("Y"), "outcomes") == Loaded(1, 0, 1, None)
    assert late.load("a.csv", _said("N"), "outcomes") == Loaded(1, 1, 0, None)
    assert _stands(late) == [(False,)]


def test_a_decision_told_several_times_in_one_file(late: Etl) -> None:
    """The last row counts and the others break nothing; the same under another name changes nothing."""
    assert late.load("a.csv", _said("NYYN"), "outcomes") == Loaded(4, 1, 3, None)
    assert late.quarantine() == [(line, "corrected by a later row of the file") for line in (2, 3, 4)]
    assert late.load("b.csv", _said("NYYN"), "outcomes").rows_out == 0
    assert late.rows("SELECT is_fraud, file_line FROM outcomes") == [(False, 5)]
    assert late.load("c.csv", _said("NY"), "outcomes").rows_out == 1
    assert _stands(late) == [(True,)]


IMPOSSIBLE = (
    {"claim": "c1", "decided": "2999-01-01", "known": "2999-01-02"},
    {"claim": "c2", "known": "2999-01-02"},
    {"claim": "c3", "decided": "1970-01-01"},
    {"claim": "c4", "decided": "2024-02-01T23:59:59Z"},
)


def test_dates_that_cannot_be(late: Etl) -> None:
    """What is decided in the future or before its claim's event is set aside with that reason, and tried again."""
    late.load("a.csv", csv_text(claims(6)))
    possible = ({"claim": "c5", "decided": "2024-02-02"}, {"claim": "unknown", "decided": "1970-01-01"})
    sound = [{"claim": f"more{number}"} for number in range(4)]
    assert late.load("a.csv", _outcomes(*IMPOSSIBLE, *possible, *sound), "outcomes") == Loaded(10, 6, 4, None)
    early = "decided_at: lies before the event of the claim"
    assert late.quarantine() == [
        (2, "decided_at: lies in the future; known_at: lies in the future"),
        (3, "known_at: lies in the future"),
        (4, early),
        (5, early),
    ]
    # One event was wrong, and the day comes for what lay in the future.
    late.load("b.csv", csv_text([CLAIM | {"claim": "c3", "lost_on": "1969-12-31"}]))
    requeue(late.job)
    assert [line for line, _ in late.quarantine()] == [2, 3, 5]
    late.at(datetime(2999, 1, 2, tzinfo=UTC))
    requeue(late.job)
    assert late.quarantine() == [(5, early)]
    assert late.rows("SELECT count(*) FROM outcomes") == [(9,)]


def test_a_rejected_file_tells_of_its_dates(late: Etl) -> None:
    """Rows of a file over the reject limit are set aside each with its own reason."""
    assert late.load("a.csv", _outcomes(IMPOSSIBLE[0], IMPOSSIBLE[1], {}), "outcomes").rows_out == 0
    reasons = [reason for _, reason in late.quarantine()]
    assert ["future" in reason for reason in reasons] == [True, True, False]


def test_a_replay_loads_what_was_decided_later(late: Etl) -> None:
    """Its clock is set back: what lies after that, and not after the real one, is there once the clock has come on."""
    decided = {"decided": "2025-02-01", "known": "2025-02-02"}
    assert late.load("a.csv", _outcomes(decided), "outcomes") == Loaded(1, 1, 0, None)
    for moment, told in (("2025-02-01", 0), ("2025-02-02", 1)):
        assert late.rows(f"SELECT count(*) FROM outcomes_as_of('{moment}')") == [(told,)]


def test_a_clock_that_is_ahead(late: Etl) -> None:
    """A generated book may lie after the real clock; then that of the run counts."""
    late.at(datetime(2998, 1, 1, tzinfo=UTC))
    rows = ({"decided": day, "known": day} for day in ("2997-12-31", "2998-01-01", "2998-01-04"))
    assert late.load("a.csv", _outcomes(*rows), "outcomes") == Loaded(3, 2, 1, None)


def test_decisions_of_claims_without_a_date(tmp_path: Path, database_url: str) -> None:
    """Where no column dates claims, their event is when they were loaded, and decisions may lie before it."""
    undated = {"label": None, "event_time": None}
    with Database(database_url, "motor") as database:
        given = contract(roles=undated, label=None, outcomes=OUTCOMES, columns={"fraud": None})
        etl = Etl(tmp_path, database, given, database_url)
        etl.load("a.csv", csv_text(claims(1)))
        assert etl.load("a.csv", _outcomes({}), "outcomes") == Loaded(1, 1, 0, None)


def test_outcomes_are_never_withdrawn(late: Etl) -> None:
    """An outcome that its file leaves out and then tells again is still the one that stood."""
    for rows in (({}, {"claim": "c2"}), ({"claim": "c2"},), ({}, {"claim": "c2"})):
        assert late.load("a.csv", _outcomes(*rows), "outcomes") == Loaded(len(rows), len(rows), 0, None)
    assert late.rows("SELECT claim_id FROM outcomes ORDER BY 1") == [("c1",), ("c2",)]


def test_a_label_is_set_back(etl: Etl) -> None:
    """A label in the claims file may be corrected any number of times in one run; the last file's holds."""
    for number, label in enumerate("NYNYN"):
        assert etl.load(f"{number}.csv", csv_text([CLAIM | {"fraud": label}])) == Loaded(1, 1, 0, None)
        assert _stands(etl) == [(label == "Y",)]


def test_work(late: Etl) -> None:
    """A run loads all that waits, tells score, and finds nothing to do the next time."""
    drop(late.folder, "a.csv", csv_text(claims(2)))
    drop(late.folder, "b.csv.part", "half")
    drop(late.folder, ".hidden.csv", "half")
    drop(late.folder, "a.csv", _outcomes({}), "outcomes")
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
