"""What is told of a claim's past: nothing that came later, nothing of itself, nothing of another line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
from psycopg.conninfo import make_conninfo

from shared.claims import Extra, claim_batches, read_claims
from shared.database import Database
from shared.errors import ConfigError
from shared.grants import role
from tests.factories import emptied
from tests.history_factory import Book, line

HOME = line("home")
SHARE = "garage: share of fraud known before, times the usual"


@pytest.fixture(name="book")
def _book(postgres: str) -> Iterator[Book]:
    with Database(emptied(postgres, "test_history"), "motor") as database:
        database.prepare(line())
        yield Book(database, line())


def test_claims_of_the_same_garage(book: Book) -> None:
    """Claims of the 90 days before are counted, by moments strictly earlier; the days are those since the last."""
    for claim, day in (("a", 0), ("b", 10), ("c", 10), ("d", 10.5), ("e", 91)):
        book.claim(claim, day, garage="g")
    book.claim("other", 5, garage="h")
    told = book.past("garage: claims in the 90 days before, up to 5", "garage: days since the claim before, up to 90")
    assert told == {
        "a": (0, None),
        "b": (1, 10.0),
        "c": (1, 10.0),
        "d": (3, 0.5),
        "e": (3, 80.5),
        "other": (0, None),
    }


def test_an_unknown_garage_has_no_past(book: Book) -> None:
    """Where no garage is named, nothing is told of it; it is no garage that many claims share."""
    book.claim("a", 0, garage=None)
    book.claim("b", 1, garage=None)
    assert book.past("garage: claims in the 90 days before, up to 5", SHARE) == {
        "a": (None, None),
        "b": (None, None),
    }


def test_outcomes_count_once_they_are_known(book: Book) -> None:
    """A fraud is seen by claims after it was known, and the share is one of the usual: unknown before any outcome."""
    book.claim("a", 0, garage="g")
    book.outcome("a", 20, is_fraud=True)
    book.claim("b", 1, garage="h")
    book.outcome("b", 20, is_fraud=False)
    for claim, day, garage in (("early", 20, "g"), ("late", 22, "g"), ("clean", 22, "h"), ("new", 22, "i")):
        book.claim(claim, day, garage=garage)
    told = book.past(SHARE)
    assert told["early"] == (1.0,)
    assert told["late"] == (pytest.approx((1 + 10 * 0.5) / 11 / 0.5),)
    assert told["clean"] == (pytest.approx((0 + 10 * 0.5) / 11 / 0.5),)
    assert told["new"] == (1.0,)


def test_a_decision_that_is_taken_back(book: Book) -> None:
    """It counts as it stood when a claim happened."""
    book.claim("a", 0, garage="g")
    book.outcome("a", 10, is_fraud=True)
    book.outcome("a", 20, is_fraud=False)
    book.claim("b", 15, garage="g")
    book.claim("c", 25, garage="g")
    book.claim("d", 1, garage="h")
    book.outcome("d", 2, is_fraud=False)
    assert book.past(SHARE) == {"a": (1.0,), "d": (1.0,), "b": ((1 * 2 + 10) / 11,), "c": (10 / 11,)}


def test_a_decision_taken_back_for_none(book: Book) -> None:
    """Claims that happened in between saw it; later ones see no outcome, as if it had not been made."""
    book.claim("a", 0, garage="g")
    book.outcome("a", 10, is_fraud=True)
    book.outcome("a", 20, is_fraud=None)
    book.claim("b", 15, garage="g")
    book.claim("c", 25, garage="g")
    book.claim("d", 1, garage="h")
    book.outcome("d", 2, is_fraud=False)
    assert book.past(SHARE) == {"a": (1.0,), "d": (1.0,), "b": ((1 * 2 + 10) / 11,), "c": (1.0,)}


@pytest.mark.parametrize("known", [-5, 0, 5])
def test_a_claim_never_sees_its_own_outcome(book: Book, known: float) -> None:
    """Not though it was known before the claim's event, as where a day was mistyped; nor if that is moved later."""
    book.claim("a", 10, garage="g")
    book.outcome("a", 10 + known, is_fraud=True)
    book.correct("a", 30, known=12, garage="g")
    book.claim("b", 0, garage="h")
    book.outcome("b", 1, is_fraud=True)
    told = book.past(SHARE, "garage: claims in the 90 days before, up to 5")
    assert told["a"] == (1.0, 0)


def test_other_claimants(book: Book) -> None:
    """Claimants seen with a phone before are counted once each, without the claim's own, and ten at most."""
    for number in range(13):
        book.claim(f"a{number:02}", number, phone="1", claimant=f"p{number}")
        book.claim(f"b{number:02}", number + 0.5, phone="1", claimant=f"p{number}")
    told = book.past("phone: other claimants before")
    assert [told[f"b{number:02}"][0] for number in range(13)] == [*range(10), 10, 10, 10]
    assert told["a00"] == (0,)
    assert not {"claimant: other claimants before", "garage: other claimants before"} & {*book.read().columns}


def test_amounts_of_the_same_kind(book: Book) -> None:
    """The usual amount is the geometric mean of a kind's earlier days, unknown below ten claims."""
    for number in range(10):
        book.claim(f"a{number}", number, kind="hail", amount=100.0 if number % 2 else 400.0)
    book.claim("zero", 9, kind="hail", amount=0.0)
    book.claim("same day", 9.5, kind="hail", amount=200.0)
    book.claim("next day", 10, kind="hail", amount=1.0)
    book.claim("other", 10, kind="fire", amount=1.0)
    told = book.past("kind: usual amount")
    assert told["same day"] == told["other"] == (None,)
    assert told["next day"] == (pytest.approx(200.0, rel=1e-6),)


def test_corrections_change_no_ones_past(book: Book) -> None:
    """Others count as they were first sent; a corrected claim is asked about by what it is now, at its first event."""
    book.claim("a", 0, garage="g")
    book.claim("b", 10, garage="g")
    before = book.past("garage: claims in the 90 days before, up to 5")
    book.correct("a", 5, known=7, garage="h")
    after = book.past("garage: claims in the 90 days before, up to 5")
    assert before == {"a": (0,), "b": (1,)}
    assert after == {"a": (0,), "b": (1,)}
    assert book.read(as_of=6)["garage"].to_list() == ["g"]


def test_the_clock(book: Book) -> None:
    """What happened or was known after the clock is not there."""
    book.claim("a", 0, garage="g")
    book.outcome("a", 10, is_fraud=True)
    book.claim("b", 15, garage="g")
    assert book.read(as_of=12)["claim_id"].to_list() == ["a"]
    assert book.past(SHARE, as_of=20)["b"] == (pytest.approx(1.0),)


def test_batches_read_what_a_whole_read_does(book: Book, postgres: str) -> None:
    """Some at a time, claims have the same past, and those that come meanwhile wait for the next round."""
    for number in range(25):
        book.claim(f"c{number:02}", number, garage=f"g{number % 3}", claimant=f"p{number % 4}")
    whole = book.read()
    batches: list[pl.DataFrame] = []
    with Database(make_conninfo(postgres, dbname="test_history"), "motor") as reader:
        for batch in claim_batches(reader, book.contract, "WHERE true", {"as_of": book.moment(99)}, {}, 10):
            batches.append(batch)
            book.claim(f"z{len(batches)}", 90, garage="g0")
    assert [batch.height for batch in batches] == [10, 10, 5]
    assert pl.concat(batches).sort("claim_id").equals(whole)


def test_batches_of_some_columns(book: Book) -> None:
    """Of claims only what is asked for and there is is read; their past is made if any of it is."""
    for number in range(5):
        book.claim(f"c{number}", number, garage="g")
    past = "garage: claims in the 90 days before, up to 5"

    def read(*columns: str) -> pl.DataFrame:
        parameters = {"as_of": book.moment(99)}
        extra: Extra = {"place": ("c.file_line", "integer")}
        return pl.concat(claim_batches(book.database, book.contract, "WHERE true", parameters, extra, 10, columns))

    whole = book.read()
    for columns in (("garage",), ("event_time", past)):
        some = read(*columns, "colour").sort("claim_id")
        assert some.columns == ["claim_id", "place", *columns]
        assert some.drop("place").equals(whole.select("claim_id", *columns))
    book.database.rows("DROP TABLE pg_temp.history")
    read("garage")
    assert book.database.rows("SELECT to_regclass('pg_temp.history') AS made") == [{"made": None}]


def test_two_lines_do_not_mix(book: Book, postgres: str) -> None:
    """Each line of business has a past of its own, though they share a database and the names of garages."""
    book.claim("a", 0, garage="g")
    with Database(make_conninfo(postgres, dbname="test_history"), "home") as database:
        database.prepare(HOME)
        other = Book(database, HOME)
        other.claim("b", 1, garage="g")
        assert other.past("garage: claims in the 90 days before, up to 5") == {"b": (0,)}


def test_a_line_without_dates_has_no_past(book: Book) -> None:
    """Where no column dates claims, nothing is before another; entities and kind are left alone."""
    undated = line(dated=False)
    book.claim("a", 0, garage="g")
    claims = read_claims(book.database, undated, "", {"as_of": book.moment(9)})
    assert not [name for name in claims.columns if ":" in name]


@pytest.mark.parametrize("stage", ["train", "evaluate", "score", "drift"])
def test_a_stage_may_make_its_history(book: Book, stage: Any) -> None:
    """The role of each stage that reads claims may compute their past."""
    book.claim("a", 0, garage="g")
    assert book.database.act_as(role(stage))
    assert book.past("garage: claims in the 90 days before, up to 5") == {"a": (0,)}


def test_without_the_right(book: Book) -> None:
    """A login that may make no temporary tables is told what it lacks."""
    database: str = book.database.rows("SELECT current_database() AS name")[0]["name"]
    book.database.rows(f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC, claimsight_score")
    assert book.database.act_as(role("score"))
    with pytest.raises(ConfigError, match="temporary"):
        book.read()
