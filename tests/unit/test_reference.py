"""Reference tables: files of the drop that claims are joined to as they load."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.etl.__main__ import work
from shared.contract import load as load_contract
from shared.database import Database
from tests.etl_factory import Etl
from tests.factories import CLAIM, claims, contract, csv_text, drop, emptied

AGENTS = {
    "key": "note",
    "id": "agent",
    "columns": {
        "city": {"dtype": "category", "source": "town"},
        "since": {"dtype": "date", "nullable": True},
    },
}
DERIVED = {
    "years": {"dtype": "integer", "sql": "EXTRACT(YEAR FROM lost_on) - EXTRACT(YEAR FROM since)", "nullable": True}
}
MARCH = {"agent": "A1", "town": "Ulm", "since": "2020-03-01"}


def _etl(folder: Path, database: Database, url: str, **reference: Any) -> Etl:
    return Etl(
        folder,
        database,
        contract(reference={"agents": AGENTS | reference}, derived=DERIVED, file={"reject_limit": 0.5}),
        url,
    )


@pytest.fixture
def database_url(postgres: str) -> str:
    """Empty this module's database; its connection string."""
    return emptied(postgres, "test_reference")


@pytest.fixture
def etl(tmp_path: Path, database_url: str) -> Iterator[Etl]:
    """Set up a line whose claims name an agent in their note."""
    with Database(database_url, "motor") as database:
        yield _etl(tmp_path, database, database_url)


def _agents(*rows: dict[str, str]) -> str:
    return csv_text([MARCH | row for row in rows], MARCH)


def _joined(etl: Etl) -> list[tuple[Any, ...]]:
    return etl.rows("SELECT claim_id, city, years FROM claims WHERE superseded_at IS NULL ORDER BY claim_id")


def test_claims_are_joined(etl: Etl) -> None:
    """A claim has what the table tells of its key, derived columns read it, and an unknown key tells nothing."""
    assert (
        etl.load("agents.csv", _agents({}, {"agent": "A2", "town": "Bonn", "since": ""}), "reference/agents").rows_out
        == 2
    )
    rows = [CLAIM | {"claim": f"c{n}", "note": note} for n, note in enumerate(["A1", "A2", "A3", ""])]
    assert etl.load("a.csv", csv_text(rows)).rows_out == 4
    assert _joined(etl) == [("c0", "Ulm", 4), ("c1", "Bonn", None), ("c2", None, None), ("c3", None, None)]


def test_a_required_key(tmp_path: Path, database_url: str) -> None:
    """Where the table must know the key, a claim with another goes to quarantine; one without a key does not."""
    with Database(database_url, "motor") as database:
        etl = _etl(tmp_path, database, database_url, required=True)
        etl.load("agents.csv", _agents({}), "reference/agents")
        rows = [CLAIM | {"claim": f"c{n}", "note": note} for n, note in enumerate(["A1", "A3", ""])]
        assert etl.load("a.csv", csv_text(rows)).quarantined == 1
        assert etl.quarantine() == [(3, "note: not in the reference table 'agents'")]
        assert [row[0] for row in _joined(etl)] == ["c0", "c2"]


def test_the_newest_word_holds(etl: Etl) -> None:
    """A later file's word on a key replaces the earlier's; claims keep what they were told when they were loaded."""
    etl.load("agents.csv", _agents({}), "reference/agents")
    etl.load("a.csv", csv_text([CLAIM | {"claim": "c1", "note": "A1"}]))
    etl.load("more.csv", _agents({"town": "Jena"}), "reference/agents")
    etl.load("b.csv", csv_text([CLAIM | {"claim": "c2", "note": "A1"}]))
    assert [row[:2] for row in _joined(etl)] == [("c1", "Ulm"), ("c2", "Jena")]


def test_a_changed_table(etl: Etl) -> None:
    """What a changed file no longer holds is gone from the table."""
    etl.load("agents.csv", _agents({}, {"agent": "A2"}), "reference/agents")
    etl.load("agents.csv", _agents({"agent": "A2"}), "reference/agents")
    assert etl.rows("SELECT key FROM reference_agents") == [("A2",)]
    assert etl.rows("SELECT status, rows_out FROM ingest_files ORDER BY file_id") == [("replaced", 2), ("loaded", 1)]


def test_bad_rows_of_a_table(etl: Etl) -> None:
    """A row that breaks the contract, or repeats a key, is set aside with its reason."""
    content = _agents(
        {}, {"agent": ""}, {"agent": "A2", "since": "soon"}, {"town": "Bonn"}, {"agent": "A4"}, {"agent": "A5"}
    )
    assert etl.load("agents.csv", content, "reference/agents").quarantined == 3
    assert etl.quarantine() == [
        (3, "note: missing"),
        (4, "since: not a date"),
        (5, "repeats row 2 of the file"),
    ]


def test_tables_come_first(etl: Etl) -> None:
    """Dropped together, the table is loaded before the claims that need it."""
    drop(etl.folder, "z.csv", _agents({}), "reference/agents")
    drop(etl.folder, "a.csv", csv_text(claims(3, note="A1")))
    assert work(etl.job) == "2 files loaded"
    assert {row[1] for row in _joined(etl)} == {"Ulm"}


def test_real_policy_claims(tmp_path: Path, database_url: str, real_claims: Path) -> None:
    """The agents and vendors of a real-looking set are joined; a claim without a vendor has none."""
    text = """
name = "motor"
title = "Policy claims"
[roles]
id = "TRANSACTION_ID"
event_time = "LOSS_DT"
pii = ["SSN", "CUSTOMER_NAME"]
[columns]
TRANSACTION_ID = { dtype = "text" }
LOSS_DT = { dtype = "date" }
SSN = { dtype = "text" }
CUSTOMER_NAME = { dtype = "text" }
AGENT_ID = { dtype = "category" }
VENDOR_ID = { dtype = "category", nullable = true }
[reference.agents]
key = "AGENT_ID"
required = true
[reference.agents.columns]
agent_state = { dtype = "category", source = "STATE" }
agent_since = { dtype = "date", source = "DATE_OF_JOINING" }
[reference.vendors]
key = "VENDOR_ID"
[reference.vendors.columns]
vendor_state = { dtype = "category", source = "STATE" }
"""
    (tmp_path / "policy.toml").write_text(text)
    folder = real_claims / "policy_claims"
    with Database(database_url, "motor") as database:
        etl = Etl(tmp_path, database, load_contract(tmp_path / "policy.toml"), database_url)
        etl.load("agents.csv", (folder / "employee_data.csv").read_bytes(), "reference/agents")
        etl.load("vendors.csv", (folder / "vendor_data.csv").read_bytes(), "reference/vendors")
        assert etl.load("claims.csv", (folder / "insurance_data.csv").read_bytes()).quarantined == 0
        (counts,) = etl.rows(
            "SELECT count(*) AS rows, count(agent_since) AS agents, count(vendor_state) AS vendors, "
            'count("VENDOR_ID") AS named, count(*) FILTER (WHERE "SSN" ~ \'-\' OR "CUSTOMER_NAME" ~ \' \') AS clear '
            "FROM claims"
        )
        assert counts == (10_000, 10_000, 6_755, 6_755, 0)
