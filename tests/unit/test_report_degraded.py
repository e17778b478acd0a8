"""The report of lines of business that lack something: a date, outcomes; or that are not alone."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from deploy.local.report.write import write_report
from deploy.local.summary import collect, show
from shared.anomaly import Anomaly
from shared.database import Database
from shared.features import Feature
from tests.unit.test_report import AS_OF, HOSTILE, Page, contract, load, page, promote, score
from tests.unit.test_summary_schema import VALIDATOR

UNDATED: dict[str, Any] = {"roles": {"id": "number", "amount": "amount", "pii": ["surname"]}}
UNLABELLED: dict[str, Any] = {"outcomes": None}


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with Database(database_url, "motor") as database:
        database.prepare(contract())
        yield database


def rank(database: Database, folder: Path) -> None:
    """A model that ranks claims, and its ranking of them all."""
    feature = Feature("amount", ("amount",), "number")
    known = database.frame("SELECT amount FROM claims", {"amount": "number"})
    Anomaly.of(known, [feature]).save(folder)
    (folder / "training.json").write_text('{"findings": [], "left_out": [], "constant": ["peril"]}')
    database.rows(
        "INSERT INTO models VALUES (1, 'anomaly', 's', 0, %(at)s, %(at)s, %(uri)s, 'run', 'hash', 'sha', 'digest', "
        "%(at)s, 1, NULL, 120)",
        {"at": AS_OF, "uri": folder.as_uri()},
    )
    reasons = '[{"feature": "amount", "value": 9e9, "group": "8e9 and over", "share": 0.01, "surprisal": 4}]'
    database.rows("INSERT INTO anomalies SELECT claim_id, 1, file_line, 0.5, %s, %s, 1 FROM claims", [reasons, AS_OF])


def shown(summary: dict[str, Any]) -> str:
    """What the terminal says."""
    console = Console(width=300, file=StringIO())
    show(console, summary, idle=False)
    return console.file.getvalue()


def test_figures_of_a_random_split_are_called_optimistic(database: Database, tmp_path: Path) -> None:
    """Where no column dates the claims, every part of the page that has figures says that they are optimistic."""
    load(database, 120)
    promote(database, tmp_path)
    score(database)
    database.rows("UPDATE models SET judged_share = 0.25")
    _, found = page(database, tmp_path, **UNDATED)
    assert found.text.count("Optimistic figures.") == 5
    assert "later ones of" not in found.text
    assert "all later than" not in found.text
    summary = collect(database, contract(**UNDATED), AS_OF, None)
    VALIDATOR.validate(summary)
    assert summary["split"] == "random"
    assert "optimistic, since the split is random" in shown(summary)


def test_figures_of_a_split_by_time_are_not(database: Database, tmp_path: Path) -> None:
    """With a date, nothing is called optimistic."""
    load(database, 120)
    promote(database, tmp_path)
    text, _ = page(database, tmp_path)
    summary = collect(database, contract(), AS_OF, None)
    assert "ptimistic" not in text
    assert (summary["split"], summary["caveat"]) == ("time", None)


def test_claims_without_outcomes_are_ranked_and_nothing_is_said_of_fraud(database: Database, tmp_path: Path) -> None:
    """Without outcomes the page ranks claims with reasons, says what is missing, and knows no probability."""
    load(database, 120)
    rank(database, tmp_path)
    text, found = page(database, tmp_path, **UNLABELLED)
    assert found.headings == ["Headline", "Pages", "Unusual claims", "The book", "Quarantine", "What waits", "Runs"]
    assert "robabilit" not in text
    assert "120 claims are ranked by how unusual they are" in found.text
    assert "[outcomes]" in found.text
    assert "amount is 9000000000 (8e9 and over), as in 1\u202f% of claims" in found.text
    assert "the same in every claim: peril" in found.text
    summary = collect(database, contract(**UNLABELLED), AS_OF, None)
    VALIDATOR.validate(summary)
    assert summary["ranking"]["claims"] == 120
    assert "([outcomes], or roles.label" in shown(summary)


def test_claims_without_outcomes_or_ranking_have_a_page(database: Database, tmp_path: Path) -> None:
    """Before anything was ranked the page says so, and what train said last."""
    load(database, 1)
    text, found = page(database, tmp_path, **UNLABELLED)
    assert "No claim is ranked yet." in found.text
    assert "robabilit" not in text
    VALIDATOR.validate(collect(database, contract(**UNLABELLED), AS_OF, None))


def test_unknown_values_are_counted(database: Database, tmp_path: Path) -> None:
    """Columns with unknown values are listed with their share, a hostile name as text."""
    load(database, 120)
    database.rows("UPDATE claims SET peril = NULL WHERE file_line <= 30")
    _, found = page(database, tmp_path)
    assert "25\u202f%" in found.text
    assert HOSTILE in found.text


def test_lines_of_business_have_a_page_each(database: Database, database_url: str, tmp_path: Path) -> None:
    """A second line leaves the first one's page as it is, leads to it, and is the last run's page."""
    page(database, tmp_path)
    first = (tmp_path / "new" / "motor.html").read_bytes()
    assert first == (tmp_path / "new" / "index.html").read_bytes()
    assert b'href="home.html"' not in first
    home = contract(name="home")
    with Database(database_url, "home") as other:
        other.prepare(home)
        last = write_report(tmp_path / "new", other, home, collect(other, home, AS_OF, None), AS_OF)
    assert (tmp_path / "new" / "motor.html").read_bytes() == first
    assert last.read_bytes() == (tmp_path / "new" / "home.html").read_bytes()
    links = {attributes.get("href") for _, attributes in Page(last.read_text()).tags}
    assert "motor.html" in links
    assert "home.html" not in links
