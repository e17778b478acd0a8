"""Quarantined rows tried again, after the contract was mended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jobs.etl import requeue as module
from jobs.etl.load import Loaded
from jobs.etl.requeue import requeue
from shared.contract import Contract
from shared.database import Database
from tests.etl_factory import Etl
from tests.factories import CLAIM, claims, contract, csv_text, drop, emptied, with_outcomes

STRICT = {"reject_limit": 0.5}
NOTHING = "no quarantined rows to try again; nothing to do"
LEDGER = "SELECT status, reason, rows_in, rows_out, quarantined FROM ingest_files ORDER BY file_id"
JULY = datetime(2024, 7, 1, tzinfo=UTC)
HAIL = ("theft", "hail", "flood")
AGENTS = {"key": "note", "id": "agent", "columns": {"since": {"dtype": "date"}}}


@pytest.fixture
def database_url(postgres: str) -> str:
    """Empty this module's database; its connection string."""
    return emptied(postgres, "test_requeue")


@pytest.fixture
def etl(tmp_path: Path, database_url: str) -> Iterator[Etl]:
    """Set up a line that rejects a file of which more than half is bad."""
    with Database(database_url, "motor") as database:
        yield Etl(tmp_path, database, contract(file=STRICT), database_url)


@pytest.fixture
def late(tmp_path: Path, database_url: str) -> Iterator[Etl]:
    """Set up a line whose outcomes come in files of their own."""
    with Database(database_url, "motor") as database:
        yield Etl(tmp_path, database, with_outcomes(file=STRICT), database_url)


def _mend(etl: Etl, mended: Contract | None = None, **column: Any) -> None:
    """Start a run in July with another contract, by default one that knows floods."""
    parts = {"peril": {"dtype": "category", "levels": HAIL}} | column
    etl.contract = mended or contract(file=STRICT, columns=parts)
    etl.database.prepare(etl.contract)
    etl.at(JULY)


def _flood(number: int, **cells: str) -> dict[str, str]:
    return CLAIM | {"claim": f"c{number}", "peril": "flood"} | cells


def _everything(etl: Etl) -> list[Any]:
    tables = ("claims", "outcomes", "claims_quarantine", "ingest_files", "levels")
    return [sorted(map(repr, etl.rows(f"SELECT * FROM {table}"))) for table in tables]


def test_rows_that_are_good_now_come_in(etl: Etl) -> None:
    """A mended contract lets rows in as their file's, known since their event, and the rest stays with its reason."""
    rows = [CLAIM, _flood(2), _flood(3, amount="dear"), _flood(4, fraud="Y"), *claims(1)]
    etl.load("a.csv", csv_text([*rows, *(CLAIM | {"claim": f"d{n}"} for n in range(3))]))
    assert len(etl.current()) == 4
    _mend(etl)
    assert requeue(etl.job) == "2 quarantined rows of 1 files came in; of 0 files none did"
    assert [row[0] for row in etl.current()] == ["c1", "c2", "c4", "d0", "d1", "d2"]
    event = datetime(2024, 2, 3, tzinfo=UTC)
    assert etl.rows("SELECT file_id, file_line, revision, known_at FROM claims WHERE claim_id = 'c4'") == [
        (1, 5, 1, event)
    ]
    assert etl.rows("SELECT is_fraud, known_at FROM outcomes WHERE claim_id = 'c4'") == [(True, event)]
    assert etl.quarantine() == [(4, "amount: not a number"), (6, "repeats row 2 of the file")]
    assert etl.rows(LEDGER) == [("loaded", None, 8, 6, 2)]
    assert "ClaimsLoaded" in (etl.folder / "events.jsonl").read_text()
    assert etl.rows("SELECT rows_in, rows_out, quarantined FROM job_runs ORDER BY run_id DESC LIMIT 1") == [(2, 2, 0)]


def test_a_second_time_changes_nothing(etl: Etl) -> None:
    """Requeued twice, every table is as it was after the first time, and nobody is told."""
    etl.load("a.csv", csv_text([*claims(3), _flood(4), _flood(5, amount="-1"), _flood(4, amount="3")]))
    etl.load("b.csv", csv_text([_flood(7, amount="-1"), _flood(8, amount="-1"), _flood(9)]))
    _mend(etl)
    requeue(etl.job)
    after = _everything(etl)
    (etl.folder / "events.jsonl").unlink()
    assert requeue(etl.job).startswith("0 quarantined rows")
    assert _everything(etl) == after
    assert not (etl.folder / "events.jsonl").exists()


def test_nothing_to_try(etl: Etl) -> None:
    """Without quarantined rows there is nothing to do; lines that were no rows are not tried."""
    assert requeue(etl.job) == NOTHING
    etl.load("a.csv", csv_text(claims(3)) + "torn\n" + '{"claim"}\n')
    assert requeue(etl.job) == NOTHING


def test_bytes_that_were_escaped_stay(etl: Etl) -> None:
    """A row that was no UTF-8 is not taken for the text that stands in its place, even where it is good otherwise."""
    row = csv_text([*claims(3), _flood(4, note="cafe")]).encode().replace(b"cafe", b"caf\xe9")
    etl.load("a.csv", row)
    _mend(etl)
    assert requeue(etl.job) == NOTHING
    assert len(etl.quarantine()) == 1


def test_expired_rows_stay(etl: Etl) -> None:
    """An entry whose text is gone stays as it is."""
    etl.load("a.csv", csv_text([*claims(2), _flood(3), _flood(4)]))
    etl.database.rows("ALTER TABLE claims_quarantine ALTER COLUMN raw DROP NOT NULL")
    etl.database.rows("UPDATE claims_quarantine SET raw = NULL WHERE file_line = 4")
    _mend(etl)
    assert requeue(etl.job).startswith("1 quarantined rows")
    assert etl.quarantine() == [(4, "peril: not one of the levels")]
    assert etl.rows(LEDGER) == [("loaded", None, 4, 3, 1)]


def test_a_rejected_file_enters(etl: Etl) -> None:
    """A file that keeps the limit now enters whole, the rows that were always sound among it."""
    etl.load("a.csv", csv_text([CLAIM, _flood(2), _flood(3), _flood(4, amount="-1")]) + "torn\n")
    assert etl.current() == []
    _mend(etl)
    assert requeue(etl.job).startswith("3 quarantined rows of 1 files")
    assert len(etl.current()) == 3
    assert etl.quarantine() == [(5, "amount: below 0"), (6, "1 fields instead of 9")]
    assert etl.rows(LEDGER) == [("loaded", None, 5, 3, 2)]
    assert etl.rows("SELECT loaded_at FROM ingest_files") == [(JULY,)]


def test_a_file_that_stays_rejected(etl: Etl) -> None:
    """Over the limit still, no row enters, and each entry says what is wrong today."""
    etl.load("a.csv", csv_text([_flood(1), *(_flood(n, amount="-1") for n in (2, 3, 4))]))
    _mend(etl)
    assert requeue(etl.job) == "0 quarantined rows of 0 files came in; of 1 files none did"
    assert etl.current() == []
    told = "3 of 4 rows break the contract, over the reject limit of 50.0%: amount: below 0 (3 rows)"
    assert etl.rows(LEDGER) == [("rejected", told, 4, 0, 4)]
    assert etl.quarantine() == [(2, f"file_rejected: {told}"), *((n, "amount: below 0") for n in (3, 4, 5))]


def test_repetitions_count_against_the_limit(etl: Etl) -> None:
    """A rejected file whose rows repeat each other stays rejected."""
    etl.load("a.csv", csv_text([_flood(1), _flood(1), _flood(1)]))
    _mend(etl)
    requeue(etl.job)
    assert etl.rows(LEDGER)[0][:2] == (
        "rejected",
        "2 of 3 rows break the contract, over the reject limit of 50.0%: claim: repeats another row (2 rows)",
    )


def test_a_mended_content_replaces_the_earlier_one(etl: Etl) -> None:
    """A rejected content of a loaded file takes its place when it enters."""
    etl.load("a.csv", csv_text(claims(3)))
    etl.load("a.csv", csv_text([CLAIM, _flood(2), _flood(4)]))
    assert len(etl.current()) == 3
    _mend(etl)
    requeue(etl.job)
    uri = "motor/claims/a.csv"
    assert etl.current() == [("c1", 12.5, 1, uri), ("c2", 12.5, 2, uri), ("c4", 12.5, 1, uri)]
    assert [row[0] for row in etl.rows(LEDGER)] == ["replaced", "loaded"]


def test_a_later_correction_stands(etl: Etl) -> None:
    """A row of an older file does not undo what a later one said of its claim."""
    etl.load("a.csv", csv_text([*claims(1), _flood(2)]))
    etl.load("b.csv", csv_text([CLAIM | {"claim": "c2", "amount": "99"}]))
    _mend(etl)
    requeue(etl.job)
    assert etl.current()[1] == ("c2", 99.0, 1, "motor/claims/b.csv")
    assert etl.quarantine() == [(3, "another version came later from motor/claims/b.csv")]
    assert etl.rows(LEDGER)[0] == ("loaded", None, 2, 1, 1)


def test_a_correction_of_an_earlier_file(etl: Etl) -> None:
    """A requeued row of a later file corrects a claim, from now on."""
    etl.load("a.csv", csv_text(claims(2)))
    etl.load("b.csv", csv_text([CLAIM | {"claim": "c9"}, _flood(2, amount="99", fraud="Y")]))
    _mend(etl)
    requeue(etl.job)
    assert etl.rows("SELECT revision, amount, known_at FROM claims WHERE claim_id = 'c2' ORDER BY 1")[1] == (
        2,
        99.0,
        JULY,
    )
    assert etl.rows("SELECT is_fraud, known_at FROM outcomes WHERE claim_id = 'c2' ORDER BY outcome_id")[1] == (
        True,
        JULY,
    )


def test_a_claim_that_its_file_already_told(etl: Etl) -> None:
    """Of two rows of one claim the one that is there stands, though it comes further down."""
    etl.load("a.csv", csv_text([_flood(1, amount="7"), CLAIM, CLAIM | {"claim": "c2"}]))
    _mend(etl)
    requeue(etl.job)
    assert etl.current()[0][:3] == ("c1", 12.5, 1)
    assert etl.quarantine() == [(2, "repeats row 3 of the file")]


def test_a_row_that_another_file_brought_meanwhile(etl: Etl) -> None:
    """A row that has come in by a mended file since is told so."""
    etl.load("a.csv", csv_text([*claims(1), _flood(2)]))
    _mend(etl)
    etl.load("b.csv", csv_text([_flood(2)]))
    requeue(etl.job)
    assert etl.quarantine() == [(3, "already loaded from motor/claims/b.csv")]
    assert len(etl.current()) == 2


def test_a_renamed_column(etl: Etl) -> None:
    """A file that was rejected for its header enters once the contract knows the header's names."""
    row = {("sort" if name == "peril" else name): cell for name, cell in CLAIM.items()}
    rows = [row | {"claim": f"c{n}", "note": note} for n, note in enumerate(["a", 'b,"c"', "d\ne"])]
    loaded = etl.load("a.csv", csv_text(rows, row))
    assert loaded == Loaded(3, 0, 3, "the header lacks peril; was 'peril' renamed to 'sort'?")
    before = _everything(etl)
    assert requeue(etl.job).startswith("0 quarantined rows")
    assert _everything(etl) == before
    _mend(etl, contract(file=STRICT, columns={"peril": {"dtype": "category", "source": "sort"}}))
    requeue(etl.job)
    assert etl.rows("SELECT claim_id, peril, note FROM claims ORDER BY 1") == [
        ("c0", "theft", "a"),
        ("c1", "theft", 'b,"c"'),
        ("c2", "theft", "d\ne"),
    ]
    assert etl.rows(LEDGER) == [("loaded", None, 3, 3, 0)]


def test_a_damaged_file_is_not_tried(etl: Etl) -> None:
    """Of a file that was cut off nothing enters, though its lines look like rows."""
    import gzip

    lines = "\n".join(json.dumps(CLAIM | {"claim": f"c{n}"}) for n in range(500))
    etl.load("a.jsonl.gz", gzip.compress(lines.encode())[:-200])
    assert etl.rows("SELECT status, columns FROM ingest_files") == [("rejected", None)]
    assert requeue(etl.job) == NOTHING


def test_json_rows(etl: Etl) -> None:
    """Rows of JSON lines are tried again as well; an object that names a key twice is still none."""
    lines = [json.dumps(CLAIM), json.dumps(_flood(2) | {"amount": 7, "more": None}), '{"claim": "c3", "claim": "c4"}']
    etl.load("a.jsonl", "\n".join([*lines, json.dumps(CLAIM | {"claim": "c5"})]))
    _mend(etl)
    requeue(etl.job)
    assert [row[:2] for row in etl.current()] == [("c1", 12.5), ("c2", 7.0), ("c5", 12.5)]
    assert etl.quarantine() == [(3, "an object names a key twice")]


def test_a_column_that_came_into_the_contract(etl: Etl) -> None:
    """A new column is added to the table; it is told where the rows had it, else unknown, or missing if it must be."""
    with_km = CLAIM | {"km": "5"}
    etl.load("a.csv", csv_text([CLAIM, _flood(2)]))
    etl.load("b.csv", csv_text([with_km | {"claim": "c3"}, with_km | _flood(4)], with_km))
    _mend(etl, km={"dtype": "integer"})
    requeue(etl.job)
    assert etl.rows("SELECT claim_id, km FROM claims ORDER BY 1") == [("c1", None), ("c3", None), ("c4", 5)]
    assert etl.quarantine() == [(3, "km: missing")]
    _mend(etl, km={"dtype": "integer", "nullable": True})
    requeue(etl.job)
    assert etl.rows("SELECT claim_id, km FROM claims WHERE claim_id = 'c2'") == [("c2", None)]


def test_a_column_that_left_the_contract(etl: Etl) -> None:
    """It stays in the table as it is; what comes later leaves it empty."""
    etl.load("a.csv", csv_text([CLAIM, _flood(2)]))
    _mend(etl, contract(file=STRICT, columns={"peril": {"dtype": "category"}, "hurt": None}))
    requeue(etl.job)
    etl.load("b.csv", csv_text([CLAIM | {"claim": "c3"}]))
    assert etl.rows("SELECT claim_id, hurt FROM claims ORDER BY 1") == [("c1", False), ("c2", None), ("c3", None)]


def test_outcomes(late: Etl) -> None:
    """Outcomes are tried again; one told by a later file at the same time stands."""
    row = {"claim": "c1", "verdict": "Y", "decided": "2024-03-01", "known": "2024-03-02", "by": "court"}
    doubtful = [row | {"claim": f"c{n}", "verdict": "maybe"} for n in (2, 3)]
    late.load("a.csv", csv_text([row, *doubtful], row), "outcomes")
    assert late.rows(LEDGER)[0][0] == "rejected"
    late.load("b.csv", csv_text([row | {"claim": "c3", "verdict": "N"}], row), "outcomes")
    _mend(late, with_outcomes(file=STRICT))
    document = late.contract.model_dump() | {}
    document["outcomes"]["fraud"] = ("Y", "maybe")
    late.contract = Contract.model_validate(document)
    late.at(JULY)
    requeue(late.job)
    assert late.rows("SELECT claim_id, is_fraud FROM outcomes ORDER BY 1") == [
        ("c1", True),
        ("c2", True),
        ("c3", False),
    ]
    assert late.quarantine() == [(4, "another version came later from motor/outcomes/b.csv")]


@pytest.mark.parametrize(("limit", "corrected"), [(0.5, [2, 4, 6, 7]), (0.9, [4, 6])])
def test_a_decision_is_set_back(late: Etl, limit: float, corrected: list[int]) -> None:
    """Of a decision the file's last word counts, whether all its rows are tried again or only some of them."""
    row = {"claim": "c1", "verdict": "N", "decided": "2024-03-01", "known": "2024-03-02", "by": "court"}
    told = {"c1": ("N", "X"), "c2": ("X", "N"), "c3": ("X", "N", "X")}
    rows = [row | {"claim": claim, "verdict": word} for claim, words in told.items() for word in words]
    late.contract = with_outcomes(file={"reject_limit": limit})
    late.at(datetime(2024, 6, 1, tzinfo=UTC))
    late.load("a.csv", csv_text(rows, row), "outcomes")
    document = with_outcomes(file={"reject_limit": 0.9}).model_dump()
    document["outcomes"]["fraud"] = ("X",)
    late.contract = Contract.model_validate(document)
    late.at(JULY)
    requeue(late.job)
    last = "SELECT claim_id, is_fraud FROM outcomes_as_of('2024-07-01') ORDER BY 1"
    assert late.rows(last) == [("c1", True), ("c2", False), ("c3", True)]
    assert late.quarantine() == [(line, "corrected by a later row of the file") for line in corrected]


def test_a_reference_table(tmp_path: Path, database_url: str) -> None:
    """Rows of a reference table enter, but not over a later file's word."""
    with Database(database_url, "motor") as database:
        etl = Etl(tmp_path, database, contract(file=STRICT, reference={"agents": AGENTS}), database_url)
        rows = [{"agent": name, "since": since} for name, since in (("A1", "2020-01-01"), ("A2", ""), ("A3", ""))]
        rows += [rows[0] | {"agent": "A4"}]
        etl.load("a.csv", csv_text(rows, rows[0]), "reference/agents")
        etl.load("b.csv", csv_text([{"agent": "A2", "since": "2021-01-01"}], rows[0]), "reference/agents")
        lenient = {"since": {"dtype": "date", "nullable": True}}
        _mend(etl, contract(file=STRICT, reference={"agents": AGENTS | {"columns": lenient}}))
        requeue(etl.job)
        found = etl.rows("SELECT key, since IS NULL FROM reference_agents ORDER BY 1")
        assert found == [("A1", False), ("A2", False), ("A3", True), ("A4", False)]
        assert etl.quarantine() == [(3, "another version came later from motor/reference/agents/b.csv")]
        _mend(etl, contract(file=STRICT))
        assert requeue(etl.job) == NOTHING


def test_pseudonyms(tmp_path: Path, database_url: str) -> None:
    """A personal value of a requeued row is stored as the same pseudonym that a load gives it."""
    with Database(database_url, "motor") as database:
        etl = Etl(tmp_path, database, contract(file=STRICT, roles={"pii": ["note"]}), database_url)
        etl.load("a.csv", csv_text([CLAIM, _flood(2)]))
        levels = {"peril": {"dtype": "category", "levels": HAIL}}
        _mend(etl, contract(file=STRICT, roles={"pii": ["note"]}, columns=levels))
        requeue(etl.job)
        assert etl.rows("SELECT count(*) AS rows, count(DISTINCT note), max(length(note)) FROM claims") == [(2, 1, 32)]


def test_many_batches(etl: Etl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are read a few at a time, however many there are, and each is accounted for once."""
    monkeypatch.setattr(module, "BATCH_BYTES", 3000)
    etl.load("a.csv", csv_text([*claims(200), *(_flood(n) for n in range(201, 380)), _flood(201), CLAIM]))
    _mend(etl)
    assert requeue(etl.job).startswith("179 quarantined rows")
    assert etl.rows(LEDGER) == [("loaded", None, 381, 379, 2)]
    assert len(etl.quarantine()) == 2


def test_all_or_nothing(etl: Etl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped before the ledger is corrected, nothing has happened, and the next run does it all."""
    etl.load("a.csv", csv_text([*claims(2), _flood(3), _flood(4, amount="-1")]))
    _mend(etl)
    before = _everything(etl)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "_told", _interrupt)
        requeue(etl.job)
    assert _everything(etl) == before
    requeue(etl.job)
    assert len(etl.current()) == 3


def _interrupt(_: object) -> None:
    raise KeyboardInterrupt


def test_row_accounting(etl: Etl) -> None:
    """After any requeue each row of each file is in claims or in quarantine, and the ledger agrees."""
    etl.load("a.csv", csv_text([*claims(3), _flood(4), _flood(5, amount="-1"), _flood(4)]))
    etl.load("b.csv", csv_text([_flood(6), _flood(7), CLAIM | {"claim": "c8"}, _flood(2, amount="3")]))
    _mend(etl)
    requeue(etl.job)
    counts = etl.rows(
        "SELECT rows_in, (SELECT count(*) FROM claims c WHERE c.file_id = f.file_id) AS claims, rows_out, "
        "(SELECT count(*) FROM claims_quarantine q WHERE q.file_id = f.file_id) AS kept, quarantined "
        "FROM ingest_files f ORDER BY file_id"
    )
    assert counts == [(6, 4, 4, 2, 2), (4, 4, 4, 0, 0)]


def test_the_drop_is_not_needed(etl: Etl) -> None:
    """Rows come from quarantine alone: the files may be gone."""
    etl.load("a.csv", csv_text([CLAIM, _flood(2)]))
    drop(etl.folder, "a.csv", "").unlink()
    _mend(etl)
    assert requeue(etl.job).startswith("1 quarantined rows")
