"""What senders change: columns, their names and order, and levels never seen."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.etl import levels
from jobs.etl.changes import MOST_CHANGES, header_changes, renamed
from jobs.etl.load import Loaded
from shared.database import Database
from tests.etl_factory import Etl
from tests.factories import CLAIM, claims, contract, csv_text, emptied

OPEN = {"peril": {"dtype": "category"}, "note": {"dtype": "category", "nullable": True}}


@pytest.fixture
def database_url(postgres: str) -> str:
    """Empty this module's database; its connection string."""
    return emptied(postgres, "test_changes")


@pytest.fixture
def etl(tmp_path: Path, database_url: str) -> Iterator[Etl]:
    """Set up a line whose perils and notes may be anything."""
    with Database(database_url, "motor") as database:
        yield Etl(tmp_path, database, contract(file={"reject_limit": 0.5}, columns=OPEN), database_url)


def _changes(etl: Etl) -> list[list[str]]:
    return [row[0] for row in etl.rows("SELECT changes FROM ingest_files ORDER BY file_id")]


def _renamed(**names: str) -> dict[str, str]:
    return {names.get(name, name): cell for name, cell in CLAIM.items()}


def test_columns_come_and_go(etl: Etl, caplog: pytest.LogCaptureFixture) -> None:
    """A new, a missing and a moved column are told in words, in the ledger and in the log; the first file is silent."""
    wide = CLAIM | {"colour": "red", "city": "Ulm"}
    moved = {"city": "Ulm"} | {name: CLAIM[name] for name in reversed(CLAIM)}
    etl.load("a.csv", csv_text([CLAIM]))
    with caplog.at_level("INFO", "claimsight"):
        etl.load("b.csv", csv_text([wide], wide))
    etl.load("c.csv", csv_text([moved], moved))
    etl.load("d.csv", csv_text([moved], moved))
    assert _changes(etl) == [
        [],
        [
            "column 'colour' is new; the contract does not name it",
            "column 'city' is new; the contract does not name it",
        ],
        ["column 'colour' is gone; the contract does not name it", "columns stand in another order"],
        [],
    ]
    (record,) = [record for record in caplog.records if record.message == "the sender changed something"]
    assert vars(record)["facts"]["changes"] == _changes(etl)[1]


@pytest.mark.parametrize(
    ("name", "hint"),
    [("Peril", "; was 'peril' renamed to 'Peril'?"), ("art", "; was 'peril' renamed to 'art'?"), (None, "")],
)
def test_a_column_that_the_contract_needs(etl: Etl, name: str | None, hint: str) -> None:
    """Without it the file is rejected, its rows are kept as rows, and it is said what it may be called now."""
    etl.load("a.csv", csv_text([CLAIM]))
    row = _renamed(peril=name) if name else {key: cell for key, cell in CLAIM.items() if key != "peril"}
    assert etl.load("b.csv", csv_text([row, row], row) + "torn\n") == Loaded(3, 0, 3, f"the header lacks peril{hint}")
    told = f"was it renamed to {name!r}? The contract needs it" if name else "the contract needs it"
    assert _changes(etl)[1] == [f"column 'peril' is gone; {told}"]
    rows = etl.rows("SELECT file_line, reason, raw FROM claims_quarantine ORDER BY file_line")
    assert [row[0] for row in rows] == [2, 3, 4]
    assert rows[0][1] == f"file_rejected: the header lacks peril{hint}"
    assert json.loads(rows[0][2]) == row
    assert rows[2][1:] == (f"1 fields instead of {len(row)}", "torn")


def test_a_rejected_header_is_no_measure(etl: Etl) -> None:
    """Files are compared with the last that was loaded, not with one that was refused."""
    etl.load("a.csv", csv_text([CLAIM]))
    row = _renamed(peril="art")
    etl.load("b.csv", csv_text([row], row))
    etl.load("c.csv", csv_text([CLAIM | {"claim": "c2"}]))
    assert _changes(etl)[2] == []


def test_damage_behind_a_header_that_lacks_a_column(etl: Etl) -> None:
    """Where such a file cannot be read to its end either, its lines are kept as lines."""
    row = _renamed(peril="art")
    content = gzip.compress(csv_text([row] * 3000, row).encode())
    loaded = etl.load("a.csv.gz", content[:-20])
    assert loaded.reason is not None
    assert "lacks" not in loaded.reason
    assert etl.rows("SELECT columns FROM ingest_files") == [(None,)]
    assert etl.rows("SELECT count(*) FROM claims_quarantine WHERE starts_with(raw, '{')") == [(0,)]
    assert etl.rows("SELECT count(*) FROM claims_quarantine") == [(loaded.rows_in,)]


def test_another_feed_is_no_measure(tmp_path: Path, database_url: str) -> None:
    """Each reference table has a header of its own."""
    table = {"key": "note", "columns": {"city": {"dtype": "category"}}}
    other = {"key": "note", "columns": {"size": {"dtype": "category"}}}
    with Database(database_url, "motor") as database:
        etl = Etl(tmp_path, database, contract(reference={"agents": table, "vendors": other}), database_url)
        for name, column in (("agents", "city"), ("vendors", "size")):
            row = {"note": "A1", column: "x"}
            etl.load("a.csv", csv_text([row], row), f"reference/{name}")
        row = {"note": "A2", "city": "y"}
        etl.load("b.csv", csv_text([row], row), "reference/agents")
        assert _changes(etl) == [[], [], ["column 'city' has a level never seen: 'y'"]]


def test_json_keys(etl: Etl) -> None:
    """Keys of JSON lines are columns in no order; one that the contract wants may be left out at any time."""
    etl.load("a.jsonl", json.dumps(CLAIM | {"b": 1, "a": 2}))
    short = {name: cell for name, cell in CLAIM.items() if name != "hurt"}
    etl.load("b.jsonl", json.dumps({"a": 2, "c": 3} | short | {"claim": "c2"}))
    assert _changes(etl)[1] == ["column 'b' is gone; was it renamed to 'c'? The contract does not name it"]


def test_odd_keys(etl: Etl) -> None:
    """A key that Postgres could not store as it is stops nothing, and is told once."""
    for name in "abc":
        etl.load(f"{name}.jsonl", json.dumps(CLAIM | {"claim": name, "x\x00": 1} | ({"\x00": 1} if name > "a" else {})))
    assert _changes(etl) == [[], ["column '\\\\x00' is new; the contract does not name it"], []]


def test_levels_never_seen(etl: Etl, caplog: pytest.LogCaptureFixture) -> None:
    """What no earlier file brought is told with a count and some examples, and only once."""
    etl.load("a.csv", csv_text([*claims(2), CLAIM | {"claim": "c3", "peril": "hail"}]))
    assert _changes(etl) == [[]]
    rows = [CLAIM | {"claim": f"d{n}", "peril": f"peril {n}", "note": ["", " at night "][n % 2]} for n in range(7)]
    with caplog.at_level("INFO", "claimsight"):
        etl.load("b.csv", csv_text(rows))
    etl.load("c.csv", csv_text([rows[0] | {"claim": "e"}, CLAIM | {"claim": "f", "peril": "fire"}]))
    told = "'peril 0', 'peril 1', 'peril 2', 'peril 3', 'peril 4'"
    assert _changes(etl)[1:] == [
        [f"column 'peril' has 7 levels never seen: such as {told}"],
        ["column 'peril' has a level never seen: 'fire'"],
    ]
    assert any("such as" in str(vars(record).get("facts")) for record in caplog.records)


def test_levels_of_bad_rows(etl: Etl) -> None:
    """A level of a row that breaks the contract is none yet; it is one as soon as a sound row has it."""
    etl.load("a.csv", csv_text(claims(3)))
    bad = CLAIM | {"claim": "b1", "peril": "Mr Smith", "amount": "dear"}
    etl.load("b.csv", csv_text([bad, CLAIM | {"claim": "b2"}]))
    assert _changes(etl)[1] == []
    assert etl.rows("SELECT 1 FROM levels WHERE level = 'Mr Smith'") == []
    etl.load("c.csv", csv_text([bad | {"claim": "d1"}, bad | {"claim": "d2", "amount": "1"}]))
    assert _changes(etl)[2] == ["column 'peril' has a level never seen: 'Mr Smith'"]


def test_columns_of_many_levels(etl: Etl, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column that has held many different values has no levels; what it holds is neither told nor kept."""
    monkeypatch.setattr(levels, "MOST_LEVELS", 5)
    etl.load("a.csv", csv_text([CLAIM | {"claim": f"a{n}", "note": f"note {n % 4}"} for n in range(20)]))
    etl.load("b.csv", csv_text([CLAIM | {"claim": f"b{n}", "note": f"note {n % 9}"} for n in range(40)]))
    etl.load("c.csv", csv_text([CLAIM | {"claim": f"c{n}", "note": f"more {n % 9}"} for n in range(40)]))
    assert _changes(etl) == [[], [], []]
    assert etl.rows("SELECT count(*) FROM levels WHERE column_name = 'note'") == [(6,)]


def test_long_levels(etl: Etl) -> None:
    """Text that no index takes is no level."""
    etl.load("a.csv", csv_text(claims(3)))
    assert etl.load("b.csv", csv_text([CLAIM | {"claim": "d", "note": "x" * 9000}])).rows_out == 1
    assert _changes(etl)[1] == []


@pytest.mark.parametrize("roles", [{"pii": ["peril"]}, {"id": "peril"}])
def test_personal_values_are_no_levels(tmp_path: Path, database_url: str, roles: dict[str, Any]) -> None:
    """Neither a personal column nor one that names claims is watched; nor is one with levels in the contract."""
    with Database(database_url, "motor") as database:
        etl = Etl(tmp_path, database, contract(roles=roles, columns={"peril": {"dtype": "category"}}), database_url)
        etl.load("a.csv", csv_text(claims(1)))
        etl.load("b.csv", csv_text([CLAIM | {"claim": "c9", "peril": "Mr Smith"}]))
        assert etl.rows("SELECT * FROM levels") == []


def test_a_rejected_file_teaches_nothing(etl: Etl) -> None:
    """Levels of a file that was refused are still new in the next."""
    etl.load("a.csv", csv_text(claims(3)))
    etl.load("b.csv", csv_text([CLAIM | {"claim": "b", "peril": "fire"}, *claims(3, amount="dear")]))
    etl.load("c.csv", csv_text([CLAIM | {"claim": "c", "peril": "fire"}]))
    assert _changes(etl)[1:] == [[], ["column 'peril' has a level never seen: 'fire'"]]


def test_many_changes() -> None:
    """A header of other columns altogether is told in a bounded list."""
    told = header_changes(["id"], ["id", *(f"x{n}" for n in range(500))], ["id"])
    assert len(told) == MOST_CHANGES + 1
    assert told[-1] == "and 480 more changes of its columns"
    wide = [[f"{kind}{n}" for n in range(5000)] for kind in ("old", "new")]
    assert len(header_changes(*wide, [])) == MOST_CHANGES + 1
    assert max(map(len, header_changes(["a"], ["a", "x" * 10_000], []))) < 200


def test_each_new_name_is_guessed_once() -> None:
    """Two columns do not become the same one, and unequal gaps allow no guess."""
    assert renamed(["date1", "date2"], ["date1", "date2"], ["date"]) == {"date1": "date"}
    assert renamed(["a", "b"], ["id", "a", "b"], ["id", "x"]) == {}
