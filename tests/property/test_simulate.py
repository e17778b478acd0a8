"""What holds for every generated book."""

from __future__ import annotations

import csv
from datetime import date, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.local.simulate.book import draw_week, weekly_counts
from deploy.local.simulate.claims import COLUMNS
from deploy.local.simulate.dirt import csv_bytes
from deploy.local.simulate.world import create_world

mondays = st.integers(0, 3000).map(lambda weeks: date(2000, 1, 3) + timedelta(days=7 * weeks))
seeds = st.integers(0, 2**64)


@given(st.integers(1, 600), st.integers(0, 10**7), mondays)
def test_counts_add_up_and_leave_no_week_empty(weeks: int, more: int, start: date) -> None:
    """The counts add up to the claims asked for, and every week has a claim."""
    counts = weekly_counts(weeks + more, weeks, start)
    assert len(counts) == weeks
    assert counts.sum() == weeks + more
    assert counts.min() >= 1


@given(st.integers(2, 300), st.integers(0, 10**6), mondays, st.data())
def test_counts_of_a_longer_book_begin_like_the_shorter(
    weeks: int, more: int, start: date, data: st.DataObject
) -> None:
    """The first weeks of a book have the counts of a book that ends with them."""
    counts = weekly_counts(weeks + more, weeks, start)
    shorter = data.draw(st.integers(1, weeks))
    assert (weekly_counts(int(counts[:shorter].sum()), shorter, start) == counts[:shorter]).all()


@settings(max_examples=25, deadline=None)
@given(seeds, mondays, st.integers(0, 500), st.integers(1, 60), st.floats(0, 1))
def test_week_depends_on_its_arguments_alone(seed: int, start: date, week: int, count: int, dirty: float) -> None:
    """Drawing a week again gives the same bytes, truth and outcomes."""
    first, second = (draw_week(create_world(seed, start, 40), week, count, 1000, dirty) for _ in range(2))
    assert csv_bytes(first.rows) == csv_bytes(second.rows)
    assert first.truth.equals(second.truth)
    assert first.outcomes.equals(second.outcomes)


@settings(max_examples=25, deadline=None)
@given(seeds, mondays, st.integers(0, 500), st.integers(1, 60), st.floats(0, 1))
def test_every_claim_has_its_line(seed: int, start: date, week: int, count: int, dirty: float) -> None:
    """A file has a line for each claim and each repeated row, with as many cells as its dirt lets it have."""
    rows = draw_week(create_world(seed, start, 40), week, count, 1000, dirty).rows
    header, *lines = csv.reader(csv_bytes(rows).decode("latin-1").splitlines())
    assert tuple(header) == COLUMNS
    assert len(lines) == count + (rows["kind"] == "duplicate").sum()
    more = {"field_too_few": -1, "field_too_many": 1}
    assert [len(line) for line in lines] == [len(COLUMNS) + more.get(kind, 0) for kind in rows["kind"]]


@settings(max_examples=25, deadline=None)
@given(seeds, mondays, st.integers(0, 500), st.integers(1, 60))
def test_cells_are_in_their_ranges(seed: int, start: date, week: int, count: int) -> None:
    """Every clean claim keeps the order of its dates and the ranges of its numbers."""
    drawn = draw_week(create_world(seed, start, 40), week, count, 1000, dirty=0.0)
    claims = pl.read_csv(csv_bytes(drawn.rows), try_parse_dates=True)
    ranges = {"witnesses": 3, "injuries": 3, "prior_claims": 6, "photos": 6, "hour": 23, "vehicle_age": 40}
    monday = start + timedelta(days=7 * week)
    assert claims["reported_on"].is_between(monday, monday + timedelta(days=6)).all()
    assert (claims["policy_start"] <= claims["loss_on"]).all()
    assert (claims["loss_on"] <= claims["reported_on"]).all()
    assert all(claims[name].is_between(0, most).all() for name, most in ranges.items())
    assert claims["driver_age"].is_between(18, 90).all()
    assert claims["deductible"].is_in([0, 150, 300, 500, 1000]).all()
    assert (claims["amount"] > 0).all()
    assert (claims["vehicle_value"] > 0).all()
    assert drawn.truth["fraud_probability"].is_between(0, 1).all()


@settings(max_examples=25, deadline=None)
@given(seeds, mondays, st.integers(1, 60), st.floats(0, 1))
def test_outcomes_follow_their_claims(seed: int, start: date, count: int, dirty: float) -> None:
    """Every outcome belongs to one claim of the truth and comes 2 to 16 weeks after the week of its report."""
    drawn = draw_week(create_world(seed, start, 40), 0, count, 1000, dirty)
    assert drawn.outcomes["claim_id"].is_unique().all()
    assert drawn.outcomes["claim_id"].is_in(drawn.truth["claim_id"].implode()).all()
    assert len(drawn.outcomes) <= 0.3 * count + 1
    assert (drawn.outcomes["decided_at"] >= start + timedelta(days=14)).all()
    assert (drawn.outcomes["decided_at"] <= start + timedelta(days=6 + 112)).all()
