"""Associations with the outcome: the libraries' own values, month by month."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest
from scipy.stats import chi2_contingency, spearmanr

from shared.associations import associations, dependence
from shared.features import Feature
from shared.profile import Profile

FEATURES = [Feature("amount", (), "number"), Feature("peril", (), "category"), Feature("fixed", (), "number")]


def book(claims: int) -> tuple[pl.DataFrame, np.ndarray, pl.Series]:
    random = np.random.default_rng(claims)
    known = pl.DataFrame(
        {
            "amount": [None if random.random() < 0.1 else random.normal() for _ in range(claims)],
            "peril": random.choice(["a", "b", "c"], claims),
            "fixed": np.ones(claims),
            "beside": np.ones(claims),
        }
    )
    y = (random.random(claims) < 0.2 + 0.3 * (known["peril"] == "a").to_numpy()).astype(float)
    days = [datetime(2024, 1 + place % 3, 1 + place % 28, 23, tzinfo=UTC) for place in range(claims)]
    return known, y, pl.Series(days, dtype=pl.Datetime("us", "UTC"))


@pytest.mark.parametrize("seed", range(5))
def test_chi_square_as_scipy_has_it(seed: int) -> None:
    """Statistic, degrees of freedom and p-value are scipy's for the same table."""
    random = np.random.default_rng(seed)
    codes, y = random.integers(0, 5, 300).astype(np.int32), random.integers(0, 2, 300).astype(float)
    table = [[((codes == code) & (y == side)).sum() for side in (0, 1)] for code in range(5)]
    expected = chi2_contingency(table, correction=False)
    found = dependence(codes, y)
    assert (found.chi_square, found.freedom, found.p_value) == pytest.approx(
        (expected.statistic, expected.dof, expected.pvalue)
    )


def test_strength_is_zero_by_chance_and_one_where_the_group_tells_all() -> None:
    """Many groups of few claims are not taken for dependence, and a full one has strength 1."""
    random = np.random.default_rng(0)
    y = (random.random(400) < 0.5).astype(float)
    by_chance = [dependence(random.integers(0, 40, 400).astype(np.int32), y).cramers_v for _ in range(20)]
    assert np.mean(by_chance) < 0.1
    assert dependence(y.astype(np.int32), y).cramers_v == pytest.approx(1)


@pytest.mark.parametrize("y", [np.zeros(0), np.zeros(5), np.ones(5), np.array([1.0])])
def test_claims_that_tell_nothing(y: np.ndarray) -> None:
    """Without claims, frauds or honest claims nothing depends on anything."""
    found = dependence(np.arange(y.size, dtype=np.int32), y)
    assert (found.freedom, found.p_value, found.cramers_v) == (0, 1.0, 0.0)


def test_each_feature_and_month_once() -> None:
    """Every feature of the profile has a row a month, which counts the month's claims and frauds."""
    known, y, days = book(300)
    profile = Profile.of(known, FEATURES)
    found = list(associations(known, y, days, profile))
    assert [(row.feature, row.month) for row in found] == [
        (feature.name, date(2024, month, 1)) for feature in FEATURES for month in (1, 2, 3)
    ]
    for row in found:
        here = (days.dt.month() == row.month.month).to_numpy()
        assert (row.claims, row.frauds) == (here.sum(), y[here].sum())
        if row.feature == "amount":
            amount = known["amount"].to_numpy()
            told = here & ~np.isnan(amount)
            assert row.correlation == pytest.approx(spearmanr(amount[told], y[told]).statistic)
        else:
            assert row.correlation is None
    fixed = [row.dependence for row in found if row.feature == "fixed"]
    assert {(each.freedom, each.p_value) for each in fixed} == {(0, 1.0)}


def test_no_claims_have_no_associations() -> None:
    """An empty window has no rows."""
    known, y, days = book(300)
    profile = Profile.of(known, FEATURES)
    assert list(associations(known[:0], y[:0], days[:0], profile)) == []
