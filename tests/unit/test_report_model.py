"""The report's part on the judged model: its figures, its errors, its card, and when it was live."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.database import Database
from tests.unit.test_report import HOSTILE, contract, load, page, promote, tell_more


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with Database(database_url, "motor") as database:
        database.prepare(contract())
        yield database


def test_what_the_model_shows_beyond_its_ranking(database: Database, tmp_path: Path) -> None:
    """Curves, money, calibration, bias and errors are told in charts and tables, with intervals and examples."""
    load(database, 120)
    promote(database, tmp_path)
    tell_more(database, "peril is hail")
    text, found = page(database, tmp_path)
    for said in (
        "10 of the 25 judged claims would have been reviewed",
        "95 %: 40\u202f% to 60\u202f%",
        "without an amount (1)",
        "Too small to be judged: peril is hail.",
        "Too few frauds to compare those flagged: few.",
        "C8, C16",
        "+50\u202f%",
    ):
        assert said in found.text, said
    assert text.count("<svg") == 7


def test_a_personal_id_is_not_told_as_an_example(database: Database, tmp_path: Path) -> None:
    """Where the contract calls the claim's number personal, slices have no examples."""
    load(database, 120)
    promote(database, tmp_path)
    tell_more(database, "peril is hail")
    roles = {"id": "number", "event_time": "day", "amount": "amount", "pii": ["surname", "number"]}
    _, found = page(database, tmp_path, roles=roles)
    assert "C16" not in found.text


def test_the_model_card_lies_beside_the_page(database: Database, tmp_path: Path) -> None:
    """The card that evaluate wrote is copied to the report and linked to; without one there is no link."""
    load(database, 120)
    promote(database, tmp_path)
    text, _ = page(database, tmp_path)
    assert "card.html" not in text
    database.rows("INSERT INTO model_cards VALUES (1, 'card', '<p>card</p>', false, 1)")
    text, _ = page(database, tmp_path)
    assert 'href="card.html"' in text
    assert (tmp_path / "new" / "motor" / "card.html").read_text() == "<p>card</p>"


def test_which_model_was_live_when(database: Database, tmp_path: Path) -> None:
    """Each promotion ends the time of the champion before, in the order of the clock, whoever decided."""
    load(database, 120)
    promote(database, tmp_path)
    for days, action, actor in ((3, "rollback", "Ann"), (9, "override", HOSTILE)):
        database.rows(
            "INSERT INTO model_history (model_version, alias, action, actor, reason, threshold, judged_start, "
            "judged_end, metrics, gates, as_of, run_id) SELECT model_version, 'champion', %s, %s, 'why', threshold, "
            "judged_start, judged_end, metrics, gates, as_of - %s * interval '1 day', run_id FROM model_history "
            "WHERE action = 'judged'",
            [action, actor, days],
        )
    text, found = page(database, tmp_path)
    rows = re.findall(r"<td><time>(2024-0\d-\d\d)</time></td><td>(?:<time>)?(2024-0\d-\d\d|now)", text)
    assert rows == [("2024-06-01", "now"), ("2024-05-29", "2024-06-01"), ("2024-05-23", "2024-05-29")]
    assert HOSTILE in found.text
    assert "promoted by a person" in found.text
    assert "gone back to" in found.text
