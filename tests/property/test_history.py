"""The past of claims in random small books: by SQL what it is by definition, and the same whatever comes later."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.database import Database
from shared.past import past_of
from tests.factories import emptied
from tests.history_factory import Book, Decision, Version, line, plainly

DAYS = st.sampled_from([0.0, 0.25, 1.0, 1.5, 2.0, 30.0, 90.0, 91.0, 200.0, 365.0, 365.25, 366.0, 400.0, 401.0])
VALUES = st.fixed_dictionaries(
    {
        "claimant": st.sampled_from(["p", "q", "r"]),
        "garage": st.sampled_from(["g", "h", None]),
        "phone": st.sampled_from(["1", "2", None]),
        "kind": st.just("hail"),
        "amount": st.sampled_from([0.0, 1.0, 50.0, 400.0]),
    }
)
VERDICTS = st.sampled_from([True, False, None])
DELAYS = st.sampled_from([-1.0, 0.0, 0.25, 1.0, 40.0])


@st.composite
def books(
    draw: st.DrawFn, prefix: str = "c", most: int = 16, after: float = 0.0
) -> tuple[list[Version], list[Decision]]:
    """Claims, each perhaps corrected or decided, from a day on."""
    versions, decisions = [], []
    for number in range(draw(st.integers(0, most))):
        claim, event = f"{prefix}{number:02}", after + draw(DAYS)
        versions.append(Version(claim, 1, event, event, draw(VALUES)))
        if draw(st.integers(0, 4)) == 0:
            known = event + abs(draw(DELAYS)) + 1 / 64
            versions.append(Version(claim, 2, min(known, event + draw(DELAYS)), known, draw(VALUES)))
        for place in range(draw(st.sampled_from([0, 0, 1, 1, 2, 3]))):
            # No two decisions on a claim at one moment: the later row would win, which the definition does not know.
            decisions.append(Decision(claim, event + draw(DELAYS) + place / 8, draw(VERDICTS)))
    return versions, [
        d for n, d in enumerate(decisions) if (d.claim, d.known) not in {(e.claim, e.known) for e in decisions[:n]}
    ]


@pytest.fixture(scope="module", name="database")
def _database(postgres: str) -> Iterator[Database]:
    with Database(emptied(postgres, "test_history_property"), "motor") as database:
        database.prepare(line())
        database.rows("SET synchronous_commit = off")
        yield database


def stored(database: Database, versions: list[Version], decisions: list[Decision]) -> Book:
    """Write a book into empty tables."""
    database.rows("DELETE FROM claims; DELETE FROM outcomes")
    book = Book(database, line())
    add(book, versions, decisions)
    return book


def add(book: Book, versions: list[Version], decisions: list[Decision]) -> None:
    """Write more of it."""
    with book.database.transaction():
        for version in versions:
            if version.revision == 1:
                book.claim(version.claim, version.event, **version.values)
            else:
                book.correct(version.claim, version.event, version.known, **version.values)
        for decision in decisions:
            book.outcome(decision.claim, decision.known, is_fraud=decision.is_fraud)


def told(book: Book, as_of: float) -> dict[str, dict[str, Any]]:
    """The past of every claim, by claim and column."""
    claims = book.read(as_of)
    return {
        row["claim_id"]: {name: row[name] for name in past_of(book.contract)} for row in claims.iter_rows(named=True)
    }


def numbers(past: dict[str, Any]) -> dict[str, float]:
    """The same with NaN for what is unknown."""
    return {name: math.nan if value is None else value for name, value in past.items()}


COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@COMMON
@given(books(), st.sampled_from([30.0, 366.0, 2000.0]))
def test_sql_says_what_the_definition_says(
    database: Database, drawn: tuple[list[Version], list[Decision]], as_of: float
) -> None:
    """On any book and at any clock the SQL tells what a plain loop over all claims does."""
    found, wanted = told(stored(database, *drawn), as_of), plainly(*drawn, as_of)
    assert found.keys() == wanted.keys()
    for claim, past in wanted.items():
        assert numbers(found[claim]) == pytest.approx(numbers(past), rel=1e-5, nan_ok=True), claim


@COMMON
@given(books(), st.sampled_from([30.0, 366.0, 2000.0]))
def test_a_claim_looked_up_has_the_past_that_it_has_in_bulk(
    database: Database, drawn: tuple[list[Version], list[Decision]], as_of: float
) -> None:
    """Point queries tell of a stored claim, corrected or not, to the last bit what the bulk does."""
    book = stored(database, *drawn)
    assert book.looked_up(as_of, book.read(as_of).to_dicts()) == told(book, as_of)


@COMMON
@given(books(), st.sampled_from([30.0, 366.0, 2000.0]), DAYS, VALUES)
def test_a_claim_looked_up_before_it_is_stored(
    database: Database,
    drawn: tuple[list[Version], list[Decision]],
    as_of: float,
    day: float,
    values: dict[str, Any],
) -> None:
    """What point queries tell of a claim that nobody has stored is what the bulk tells once somebody has."""
    book = stored(database, *drawn)
    event = min(day, as_of)
    claim = {"claim_id": "new", "event_time": book.moment(event), **values}
    found = book.looked_up(as_of, [claim])
    add(book, [Version("new", 1, event, event, values)], [])
    assert found["new"] == told(book, as_of)["new"]


@COMMON
@given(books(), books("d", 6, after=402.0), books("c", 16), st.data())
def test_nothing_later_changes_the_past(
    database: Database,
    drawn: tuple[list[Version], list[Decision]],
    later: tuple[list[Version], list[Decision]],
    _others: object,
    data: st.DataObject,
) -> None:
    """Claims that happen later, outcomes known later and corrections loaded later leave each earlier claim's past."""
    clock = 401.5
    versions = [v for v in drawn[0] if v.known <= clock]
    decisions = [d for d in drawn[1] if d.known <= clock]
    book = stored(database, versions, decisions)
    before = told(book, clock)
    corrected = {v.claim for v in versions if v.revision == 2}
    claims = sorted({v.claim for v in versions} - corrected)
    chosen = data.draw(st.lists(st.sampled_from(claims), unique=True, max_size=4)) if claims else []
    known = [(v, data.draw(DAYS)) for v in versions if v.revision == 1 and v.claim in chosen]
    add(book, [Version(v.claim, 2, day, clock + 1, data.draw(VALUES)) for v, day in known], [])
    for claim in sorted({v.claim for v in versions}):
        if data.draw(st.booleans()):
            book.outcome(claim, clock + data.draw(st.sampled_from([1.0, 50.0])), is_fraud=data.draw(st.booleans()))
    add(book, *later)
    after = told(book, 2000.0)
    for claim, past in before.items():
        if claim not in chosen:
            assert after[claim] == past, claim
    assert told(book, clock) == before
