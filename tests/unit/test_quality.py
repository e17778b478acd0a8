"""Whether what comes in is broken, judged on the newest claims; volume, repeats and sources."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import polars as pl

from jobs.drift.due import Week
from jobs.drift.quality import Source, broken, hardly_any, repeated, sources, volume
from jobs.drift.weeks import Span
from tests.drift_factory import LIKE, Weeks, claims_like


def test_a_unit_that_changed_is_told_as_such() -> None:
    """Claims a hundred times as large lie outside the usual range, and by how much is told; no claim's value is."""
    known, week = claims_like(1, 4000, 20)
    frame = known.with_columns(x0=(pl.col("x0") + 5) * pl.when(pl.Series(week > 16)).then(100).otherwise(1))
    weeks = Weeks.of(frame, week, 16, LIKE)
    (found,) = broken(weeks.columns, weeks.window([20]))
    assert (found.feature, found.metric, found.verdict) == ("x0", "outside", "stop")
    assert "times as large in the mean: ask the sender whether its unit changed" in str(found.reason)


def test_new_levels_for_most_claims_are_a_fault() -> None:
    """A category whose levels are renamed is broken; one new level of eight is not."""
    known, week = claims_like(0, 4000, 20)
    for renamed, faults in (("[a-f]", {"c0"}), ("a", set())):
        new = known["c0"].str.replace(renamed, "new")
        frame = known.with_columns(c0=new.zip_with(week > 16, known["c0"]))
        weeks = Weeks.of(frame, week, 16, LIKE)
        assert {measure.feature for measure in broken(weeks.columns, weeks.window([20]))} == faults


def test_what_the_model_does_not_lean_on_is_no_fault() -> None:
    """A column of hardly any weight may be empty; one that always was mostly empty is no news."""
    known, week = claims_like(0, 4000, 20)
    empty = pl.lit(None, dtype=pl.Float64)
    late = pl.Series(week > 16)
    frame = known.with_columns(
        x0=pl.when(~late).then("x0").otherwise(empty), x1=pl.when(pl.int_range(pl.len()) % 3 == 0).then("x1")
    )
    weeks = Weeks.of(frame, week, 16, LIKE)
    columns = weeks.columns
    assert {measure.feature for measure in broken(columns, weeks.window([20]))} == {"x0"}
    columns[0] = replace(columns[0], weight=0.01)
    assert broken(columns, weeks.window([20])) == []


def test_volume_goes_by_what_is_usual() -> None:
    """Twice or half the usual claims are worth a word, hardly any stop; where few are usual, nothing is said."""
    usual = [100] * 50
    assert volume(usual, [90, 110]).verdict == "ok"
    assert volume(usual, [250, 250]).verdict == volume(usual, [40, 40]).verdict == "watch"
    assert volume([], [5]).verdict == volume([10], [90]).verdict == volume(usual, [50, 51]).verdict == "ok"
    assert [measure.verdict for measure in hardly_any(usual, 9)] == ["stop"]
    assert hardly_any(usual, 10) == hardly_any([40] * 9, 0) == hardly_any([], 0) == []


def test_weeks_without_claims_are_usual_where_claims_bear_firsts_of_months() -> None:
    """A week without any is no fault where most weeks learnt from had none."""
    at = datetime(2025, 1, 1, tzinfo=UTC)
    monthly = Span([Week(place, 900, at) for place in (-12, -8, -4, 0, 3)], at)
    assert monthly.usual == [900, 0, 0, 0] * 3 + [900]
    assert hardly_any(monthly.usual, 0) == []
    assert volume(monthly.usual, [900, 0, 0, 0]).verdict == "ok"
    assert Span([], at).usual == []


def test_repeated_claims_are_told() -> None:
    """Claims that repeat others are worth a word where they are more than usual."""
    assert repeated(0.3, 0.34).verdict == "ok"
    assert repeated(0.0, 0.06).verdict == "watch"


def test_sources_are_judged_by_the_ledger() -> None:
    """Rejects beyond the contract's limit are watched, most of them stop; a source is late by its own habit."""

    def verdicts(*source: Source) -> list[tuple[str, str, str]]:
        return [(m.feature, m.metric, m.verdict) for m in sources(source, 0.1, 100)]

    assert verdicts(Source("claims", 1000, 50, 3.0, 7.0)) == [
        ("source:claims", "rejected", "ok"),
        ("source:claims", "silent_days", "ok"),
    ]
    assert verdicts(Source("claims", 1000, 200, 0.0, None)) == [("source:claims", "rejected", "watch")]
    assert verdicts(Source("claims", 1000, 500, 0.0, None)) == [("source:claims", "rejected", "stop")]
    assert verdicts(Source("outcomes", 1000, 500, 15.0, 7.0)) == [
        ("source:outcomes", "rejected", "watch"),
        ("source:outcomes", "silent_days", "watch"),
    ]
    assert verdicts(Source("claims", 99, 99, 0.0, None)) == [("source:claims", "rejected", "ok")]
