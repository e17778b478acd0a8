"""Erasing a person: nothing of them is left, nothing brings them back, and the ledger still adds up."""

from __future__ import annotations

import io
import random
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest

from jobs.etl.forget import expire, forget
from shared.choreography import Stage
from shared.contract import Contract
from shared.database import Database
from shared.errors import ConfigError, TransientError
from shared.job import locks_of
from shared.pseudonyms import Pseudonyms
from tests.etl_factory import Etl
from tests.factories import AS_OF, CLAIM, OUTCOMES, contract, csv_text, emptied

Line = Callable[..., Etl]
WHO = [*CLAIM, "who"]
FINE = "rows_in = rows_out + quarantined + erased"
ANN, BOB = {"who": "Ann O'Neil"}, {"who": "Bob"}


@pytest.fixture
def line(tmp_path: Path, postgres: str) -> Iterator[Line]:
    """Make lines of business whose claims name the claimant."""
    url = emptied(postgres, "test_forget")
    with Database(url, "motor") as database:
        yield lambda **parts: Etl(tmp_path, database, _contract(**parts), url)


@pytest.fixture
def etl(line: Line) -> Etl:
    """Set up one whose label stands in the claims file."""
    return line()


def _contract(**parts: Any) -> Contract:
    roles = {"claimant": "who", "pii": ["who"]} | parts.pop("roles", {})
    columns = {"who": {"dtype": "text", "nullable": True}} | parts.pop("columns", {})
    return contract(roles=roles, columns=columns, file={"reject_limit": 0.5}, **parts)


def _late(line: Line, **parts: Any) -> Etl:
    roles = {"label": None} | parts.pop("roles", {})
    return line(roles=roles, label=None, outcomes=OUTCOMES, columns={"fraud": None} | parts.pop("columns", {}), **parts)


def _claims(*rows: dict[str, str]) -> str:
    numbered = [CLAIM | {"claim": f"c{number}"} | row for number, row in enumerate(rows, 1)]
    return csv_text(numbered, WHO)


def _outcome(claim: str, **cells: str) -> dict[str, str]:
    return {"claim": claim, "verdict": "Y", "decided": "2024-03-01", "known": "2024-03-02", "by": "court"} | cells


def _everything(etl: Etl) -> str:
    """All that stands in the line's tables, as text."""
    names = etl.rows(
        "SELECT nspname || '.' || relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE relkind = 'r' AND nspname IN ('motor', 'claimsight')"
    )
    return "\n".join(str(etl.rows(f"SELECT t::text FROM {name} t")) for (name,) in names)


def _assert_true(etl: Etl) -> None:
    """Hold the ledger of current claims files against the tables."""
    assert etl.rows(f"SELECT 1 FROM ingest_files WHERE NOT ({FINE}) OR least(rows_out, quarantined, erased) < 0") == []
    counted = etl.rows(
        "SELECT uri FROM ingest_files f WHERE status <> 'replaced' AND (quarantined <> "
        "(SELECT count(*) FROM claims_quarantine q WHERE q.file_id = f.file_id) OR (kind = 'claims' AND rows_out <> "
        "(SELECT count(*) FROM claims c WHERE c.file_id = f.file_id)))"
    )
    assert counted == []


def test_all_that_is_held_of_a_person_goes(etl: Etl) -> None:
    """Claims in all versions, outcomes, predictions and quarantined rows of one person go, those of others stay."""
    etl.load("a.csv", _claims(ANN, BOB, ANN, BOB, ANN | {"amount": "dear"}, BOB | {"amount": "dear"}))
    etl.at(datetime(2024, 7, 1, tzinfo=UTC))
    etl.load("b.csv", _claims(ANN | {"amount": "99"}, BOB | {"amount": "99"}))
    etl.rows(
        "INSERT INTO models SELECT 1, 'tree', 's', 0, now(), now(), 'u', 'm', 'h', 'g', 'i', now(), max(run_id) "
        "FROM job_runs"
    )
    etl.rows(
        "INSERT INTO predictions SELECT claim_id, 1, 'champion', 0.5, false, false, NULL, now(), 1 FROM claims "
        "WHERE superseded_at IS NULL"
    )
    told = forget(etl.job, "Ann O'Neil")
    assert told == (
        "the claimant is erased: 1 rows of claims_quarantine, 3 rows of claims, 2 rows of outcomes, "
        "2 rows of predictions"
    )
    assert etl.rows("SELECT claim_id, revision FROM claims ORDER BY 1, 2") == [("c2", 1), ("c2", 2), ("c4", 1)]
    for table in ("outcomes", "predictions"):
        assert etl.rows(f"SELECT DISTINCT claim_id FROM {table} ORDER BY 1") == [("c2",), ("c4",)]
    assert etl.quarantine() == [(7, "amount: not a number")]
    counts = "SELECT rows_in, rows_out, quarantined, erased FROM ingest_files ORDER BY uri"
    assert etl.rows(counts) == [(6, 2, 1, 3), (2, 1, 0, 1)]
    _assert_true(etl)


def test_the_note(etl: Etl) -> None:
    """An erasure is noted with run, counts and pseudonyms; neither the name nor a claim's id stands anywhere."""
    etl.load("a.csv", _claims({"claim": "claim-7"} | ANN, BOB))
    forget(etl.job, " Ann O'Neil ")
    keyed = Pseudonyms(b"for tests only")
    (who, claims, rows, run_id) = etl.rows("SELECT claimant, claims, rows, run_id FROM erasures")[0]
    assert [who, *claims] == keyed.of(pl.Series(["Ann O'Neil", "claim-7"])).to_list()
    assert (rows, run_id) == ({"claims": 1, "outcomes": 1}, etl.job.run_id)
    held = _everything(etl)
    assert "Neil" not in held
    assert "claim-7" not in held


def test_decisions_of_the_console(etl: Etl) -> None:
    """What was decided about their claims goes with its notes, one that was taken back too; others' stays."""
    etl.load("a.csv", _claims(ANN, BOB))
    etl.database.rows("INSERT INTO people (login, name, roles) VALUES ('eve', 'Eve', '{investigator}')")
    for claim in ("c1", "c2"):
        etl.database.rows("SELECT console_take('eve', %s)", [claim])
        decide = "SELECT console_decide('eve', %s, 'fraud', 'spoke with Ann O''Neil', %s)"
        etl.database.rows(decide, [claim, etl.job.as_of])
        etl.database.rows("SELECT console_undo('eve', %s, %s)", [claim, etl.job.as_of])
    assert "2 rows of decisions" in forget(etl.job, "Ann O'Neil")
    for table in ("decisions", "outcomes"):
        assert etl.rows(f"SELECT DISTINCT claim_id FROM {table}") == [("c2",)]


def test_nothing_comes_back(etl: Etl) -> None:
    """Rows in another file, a changed or a rejected one are set aside without content, and break nothing."""
    content = _claims(ANN, BOB)
    etl.load("a.csv", content)
    forget(etl.job, "Ann O'Neil")
    again = etl.load("b.csv", _claims(ANN, ANN | {"amount": "dear"}, BOB | {"claim": "c9"}))
    assert (again.rows_in, again.rows_out, again.quarantined, again.reason) == (3, 1, 2, None)
    assert etl.load("a.csv", _claims(ANN, BOB, ANN)).rows_out == 1
    assert etl.load("c.csv", _claims(ANN, BOB | {"amount": "-1"}, BOB | {"amount": "-1"})).reason is not None
    assert etl.load("d.csv", "claim,who\nc1,Ann O'Neil\nc1,\nc2,Bob\n").reason is not None
    erased = (
        "SELECT f.uri, q.file_line, q.raw, q.column_name FROM claims_quarantine q JOIN ingest_files f USING (file_id) "
    )
    found = etl.rows(erased + "WHERE q.reason = 'the claimant was erased' ORDER BY 1, 2")
    assert [row[1] for row in found] == [2, 4, 2, 3, 2, 2, 3]
    assert {row[2:] for row in found} == {(None, None)}
    assert "Neil" not in _everything(etl)
    _assert_true(etl)
    assert forget(etl.job, "Ann O'Neil") == "nothing is held of that claimant; nothing to erase"
    assert len(etl.rows("SELECT 1 FROM erasures")) == 1


def test_rows_that_name_a_claim_only(line: Line) -> None:
    """Outcomes of an erased person's claims go, whether stored or quarantined, and later ones are set aside."""
    etl = _late(line)
    etl.load("a.csv", _claims(ANN, BOB, ANN | {"claim": "c8", "amount": "dear"}))
    rows = [_outcome("c1"), _outcome("c2"), _outcome("c8"), _outcome("c1", verdict="?"), _outcome("c2", verdict="?")]
    etl.load("o.csv", csv_text(rows, OUTCOMES.values()), "outcomes")
    forget(etl.job, "Ann O'Neil")
    assert etl.rows("SELECT claim_id FROM outcomes") == [("c2",)]
    assert etl.quarantine() == [(6, "label: neither fraud nor not fraud")]
    later = etl.load(
        "p.csv", csv_text([_outcome("c1", by="us"), _outcome("c2", by="us")], OUTCOMES.values()), "outcomes"
    )
    assert (later.rows_out, later.quarantined) == (1, 1)
    _assert_true(etl)


def test_lines_that_are_no_rows(etl: Etl) -> None:
    """A line that is no row goes if it holds the name or a claim's id as a word, however a sender quotes it."""
    etl.load("a.csv", _claims({"who": "K1"}, {"who": "K12"}))
    header = ",".join(WHO)
    etl.load("b.csv", f"{header}\n" + "\n".join(["torn,K1", "torn,K12", 'torn,"K1"', "torn,c1;", *["torn"] * 2]) + "\n")
    forget(etl.job, "K1")
    assert [row[0] for row in etl.rows("SELECT raw FROM claims_quarantine ORDER BY file_line")] == [
        "torn,K12",
        "torn",
        "torn",
    ]
    _assert_true(etl)


def test_a_claim_that_was_put_right(etl: Etl) -> None:
    """Where a correction named another claimant, only the versions that name the person go."""
    etl.load("a.csv", _claims(ANN, BOB))
    etl.at(datetime(2024, 7, 1, tzinfo=UTC))
    etl.load("b.csv", _claims(BOB, ANN))
    forget(etl.job, "Ann O'Neil")
    assert etl.rows("SELECT claim_id, revision FROM claims") == [("c1", 2)]
    assert etl.rows("SELECT claim_id FROM outcomes") == [("c1",)]
    _assert_true(etl)
    forget(etl.job, "Bob")
    assert etl.rows("SELECT 1 FROM claims UNION ALL SELECT 1 FROM outcomes") == []
    _assert_true(etl)


def test_whole_numbers_and_personal_ids(line: Line) -> None:
    """A claimant is the same however the number is written, and a personal id is found by its pseudonym."""
    etl = _late(line, roles={"pii": ["who", "claim"]}, columns={"who": {"dtype": "integer"}})
    etl.load("a.csv", _claims({"who": "007"}, {"who": "8"}, {"who": "+7", "amount": "dear"}))
    etl.load("o.csv", csv_text([_outcome("c1", verdict="?"), _outcome("c2")], OUTCOMES.values()), "outcomes")
    forget(etl.job, "07")
    assert etl.quarantine() == []
    assert len(etl.rows("SELECT 1 FROM claims")) == len(etl.rows("SELECT 1 FROM outcomes")) == 1
    assert etl.load("b.csv", _claims({"who": "7.0"}, {"who": " 7 "}, {"claim": "c9", "who": "9"})).rows_out == 1
    _assert_true(etl)


def test_a_reference_table_of_claimants(line: Line) -> None:
    """What a reference table holds of the person goes, too, and does not come back."""
    reference = {"people": {"key": "who", "columns": {"born": {"dtype": "integer"}}}}
    etl = line(reference=reference)
    people = csv_text([ANN | {"born": "1970"}, BOB | {"born": "1980"}], ["who", "born"])
    etl.load("people.csv", people, "reference/people")
    etl.load("a.csv", _claims(ANN, BOB))
    forget(etl.job, "Ann O'Neil")
    assert etl.rows("SELECT born FROM reference_people") == [(1980,)]
    assert etl.load("more.csv", people, "reference/people").quarantined == 2
    assert etl.rows("SELECT born FROM reference_people") == [(1980,)]
    _assert_true(etl)


def test_a_table_that_nobody_thought_of(etl: Etl) -> None:
    """Any table of the line with a claim's id is erased from."""
    etl.rows("CREATE TABLE motor.opinions (claim_id text, opinion text)")
    etl.rows("INSERT INTO opinions VALUES ('c1', 'odd'), ('c2', 'fine')")
    etl.load("a.csv", _claims(ANN, BOB))
    forget(etl.job, "Ann O'Neil")
    assert etl.rows("SELECT opinion FROM opinions") == [("fine",)]


def test_what_was_done_with_the_cases(etl: Etl) -> None:
    """Who worked a claim, and what they noted, goes with it; else nobody changes it."""
    etl.load("a.csv", _claims(ANN, BOB))
    etl.rows(
        "INSERT INTO case_events (claim_id, action, person, note) SELECT claim_id, 'taken', 'x', 'odd' FROM claims"
    )
    etl.rows("INSERT INTO case_locks SELECT claim_id, 'x', now() FROM claims")
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        etl.rows("UPDATE case_events SET note = NULL")
    with psycopg.connect(etl.url, autocommit=True, options="-c search_path=motor -c role=claimsight_etl") as connection:
        assert connection.execute("DELETE FROM case_locks WHERE claim_id = 'c9'").rowcount == 0
    assert "1 rows of case_events, 1 rows of case_locks, 1 rows of cases" in forget(etl.job, "Ann O'Neil")
    for table in ("case_events", "case_locks", "cases"):
        assert etl.rows(f"SELECT claim_id FROM {table}") == [("c2",)]


def test_all_or_nothing(etl: Etl) -> None:
    """What fails at the last step has erased nothing."""
    etl.load("a.csv", _claims(ANN, BOB, ANN | {"amount": "dear"}))
    etl.rows("ALTER TABLE erasures ADD CHECK (claimant IS NULL)")
    before = _everything(etl)
    with pytest.raises(psycopg.errors.CheckViolation):
        forget(etl.job, "Ann O'Neil")
    assert _everything(etl) == before


@pytest.mark.parametrize("stage", ["evaluate", "score"])
def test_not_while_a_stage_may_write_of_claims(etl: Etl, stage: Stage) -> None:
    """A stage may have read the claims already, and would write of them: until it ended nobody is erased."""
    etl.load("a.csv", _claims(ANN))
    with Database(etl.url, "motor") as other:
        assert other.try_lock(locks_of(stage, "motor")[-1])
        with pytest.raises(TransientError, match=f"{stage} is at work"):
            forget(etl.job, "Ann O'Neil")
    assert len(etl.current()) == 1


def test_unknown_to_us(etl: Etl) -> None:
    """Of whom nothing is held there is nothing to erase and nothing to note."""
    etl.load("a.csv", _claims(BOB))
    assert "nothing to erase" in forget(etl.job, "Ann O'Neil")
    assert etl.rows("SELECT 1 FROM erasures") == []


def test_from_standard_input(etl: Etl, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that must not stand in the list of processes is read from the standard input."""
    etl.load("a.csv", _claims(ANN))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Ann O'Neil\n")))
    assert "is erased" in forget(etl.job, "-")


@pytest.mark.parametrize("claimant", ["", "  ", "\udcff"])
def test_no_name(etl: Etl, claimant: str) -> None:
    """What is no name erases nobody, and says what to give."""
    etl.load("a.csv", _claims({"who": ""}))
    with pytest.raises(ConfigError, match="that is no claimant"):
        forget(etl.job, claimant)


def test_no_claimant_in_the_contract(line: Line) -> None:
    """Without a claimant's column nobody can be erased; and once somebody was, it must not be taken away."""
    etl = line()
    etl.load("a.csv", _claims(ANN))
    forget(etl.job, "Ann O'Neil")
    other = line(roles={"claimant": None})
    with pytest.raises(ConfigError, match=r"no roles\.claimant"):
        forget(other.job, "Bob")
    with pytest.raises(ConfigError, match=r"without roles\.claimant their rows would come back"):
        other.load("b.csv", _claims(ANN))


def test_raw_rows_expire(etl: Etl) -> None:
    """After its days in quarantine a row loses its content and nothing else; a younger one keeps it."""
    etl.load("a.csv", _claims(BOB, BOB | {"amount": "dear"}))
    etl.at(AS_OF + timedelta(days=89))
    etl.load("b.csv", _claims(BOB | {"claim": "c9"}, BOB | {"amount": "dear"}))
    before = etl.quarantine()
    for days, left in ((90, 2), (91, 1)):
        etl.at(AS_OF + timedelta(days=days))
        expire(etl.job)
        assert etl.rows("SELECT count(raw) FROM claims_quarantine") == [(left,)]
    assert etl.quarantine() == before
    _assert_true(etl)


@pytest.mark.parametrize("seed", range(2))
def test_whatever_comes(etl: Etl, seed: int) -> None:
    """Files of all kinds with erasures among them: names stay away, and the ledger stays true."""
    draw = random.Random(seed)
    people = [f"person-{number}" for number in range(6)]
    gone: set[str] = set()
    for day in range(25):
        etl.at(AS_OF + timedelta(days=day))
        if day % 5 == 4:
            person = draw.choice(people)
            gone |= {person} if "is erased" in forget(etl.job, person) else set()
        rows = [
            {
                "claim": f"c{draw.randrange(12)}",
                "who": draw.choice([*people, ""]),
                "amount": draw.choice(["1", "2", "-"]),
            }
            for _ in range(draw.randrange(1, 8))
        ]
        torn = "".join(f"torn,{draw.choice(people)}\n" for _ in range(draw.randrange(2)))
        etl.load(f"{draw.choice('abc')}.csv", _claims(*rows) + torn)
        _assert_true(etl)
        held = _everything(etl)
        assert not [person for person in gone if person in held]
    assert gone
    assert etl.rows("SELECT 1 FROM ingest_files WHERE erased > 0")
