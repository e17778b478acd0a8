"""False alarms on stable books, and planted drifts: on generated books, 1 of them or CLAIMSIGHT_DRIFT_SEEDS."""

from __future__ import annotations

import calendar
import os
from pathlib import Path

import numpy as np
import polars as pl
import polars.selectors as cs
import pytest

from jobs.drift import joint
from jobs.drift.measure import SHIFT, judged
from jobs.drift.quality import broken
from shared.contract import Drift
from shared.distances import shift_of_auc
from shared.features import Feature
from shared.parts import laid_out
from tests.drift_factory import FEATURES, LEARNT, LENGTH, Weeks, book_frame, book_weeks, windows

SEEDS = range(1, 1 + int(os.environ.get("CLAIMSIGHT_DRIFT_SEEDS", "1")))
ANYTHING = Drift(least_shift=1e-6)
"""With no floor under the limits: what the past and chance say is held to the rate by itself."""


def out(seed: int, drift: str, drifted: Drift) -> list[set[str]]:
    """Columns of each window that are beyond their limit."""
    weeks = book_weeks(seed, drift)
    return [{m.feature for m in weeks.measures(w, drifted) if m.verdict != "ok"} for w in windows()]


def joined(seed: int, drift: str) -> list[str]:
    """Verdict of each window on all columns together."""
    known, week = book_frame(seed, drift, 104)
    levels = [
        tuple(known[f.name].drop_nulls().value_counts(sort=True)[:, 0]) if f.kind == "category" else ()
        for f in FEATURES
    ]
    rows, places = laid_out(known, levels), week.to_numpy()
    random = np.random.default_rng(0)
    learnt = np.sort(random.choice(np.flatnonzero(places <= LEARNT), joint.MOST_CLAIMS, replace=False))
    past = joint.past_aucs(rows[learnt], places[learnt], LENGTH, 1).tolist()
    found = []
    for window in windows():
        inside = np.flatnonzero(np.isin(places, list(window)))
        limit = joint.limit(past, (learnt.size, inside.size), 0.05 / 2 / (len(FEATURES) + 1))
        found.append(judged(shift_of_auc(joint.auc(rows[learnt], rows[inside], 1)), max(limit, 0.05)))
    return found


def test_stable_books_keep_the_rate_of_false_alarms() -> None:
    """Over all seeds, no more windows are called shifted than the contract's rate, and what chance adds to that."""
    found = [bool(columns) for seed in SEEDS for columns in out(seed, "", ANYTHING)]
    rate = ANYTHING.false_alarm_rate / 2
    assert sum(found) <= rate * len(found) + 2 * np.sqrt(rate * len(found))
    assert not any(columns for seed in SEEDS for columns in out(seed, "", Drift()))


def test_stable_books_are_not_told_apart() -> None:
    """All columns together raise no alarm on stable books, with their seasons and storms."""
    found = [verdict != "ok" for seed in SEEDS for verdict in joined(seed, "")]
    assert sum(found) <= max(1, 0.025 * len(found))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_portfolio_that_is_taken_over_is_caught_in_its_first_window(seed: int) -> None:
    """Within 4 weeks of the end of the window in which it begins: its columns are named, and a new model is wanted."""
    weeks = book_weeks(seed, "covariate@81", 84)
    (first,) = (window for window in windows(84) if 81 in window)
    measures = {m.feature: m for m in weeks.measures(first) if m.metric == SHIFT}
    assert {name for name, m in measures.items() if m.verdict == "retrain"} == {"channel", "driver_age"}
    assert first[-1] - 81 < LENGTH


@pytest.mark.parametrize("seed", SEEDS)
def test_broken_input_is_caught_in_its_first_week(seed: int) -> None:
    """Nulls and units stop score within a week, on each book, and no week before."""
    weeks = book_weeks(seed, "nulls@81,units@81", 82)
    stops = {week: broken(weeks.columns, weeks.window([week])) for week in range(LEARNT + 1, 83)}
    assert {week for week, found in stops.items() if found} == {81, 82}
    assert {measure.feature for measure in stops[81]} == {"garage_id", "police_report", "amount"}


def test_a_year_of_real_claims_is_like_the_year_before(real_claims: Path) -> None:
    """Month by month, the vehicle claims of 1995 look like those of 1994: no column tells that a model fails."""
    book = pl.read_csv(real_claims / "vehicle_claims_1994_1995.csv", infer_schema_length=None)
    months = {name: place for place, name in enumerate(calendar.month_abbr[1:])}
    # A month has four weeks here, the days from the 29th on in the last.
    month = (book["Year"] - 1994) * 12 + book["Month"].replace_strict(months)
    week = (month * LENGTH + book["WeekOfMonth"].clip(1, LENGTH)).cast(pl.Int64)
    known = book.drop(
        "PolicyNumber", "Year", "Month", "WeekOfMonth", "MonthClaimed", "WeekOfMonthClaimed", "FraudFound_P"
    )
    features = tuple(Feature(c.name, (c.name,), "category" if c.dtype == pl.String else "number") for c in known)
    known = known.with_columns(cs.numeric().cast(pl.Float64))
    weeks = Weeks.of(known, week, 12 * LENGTH, features)
    found = {}
    for place in range(12, 24):
        measures = weeks.measures(range(place * LENGTH + 1, (place + 1) * LENGTH + 1))
        found[place - 11] = {m.feature: (round(m.value, 3), m.limit) for m in measures if m.verdict != "ok"}
    assert {month: columns for month, columns in found.items() if columns} == {}
