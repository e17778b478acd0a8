"""Distances of distributions, against published values, and the effect size that goes by no sample size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from shared.distances import (
    chance,
    jensen_shannon,
    kolmogorov_smirnov,
    kolmogorov_smirnov_error,
    population_stability_index,
    shift,
    wasserstein,
    wasserstein_error,
)
from shared.levels import FIRST_BIN
from shared.summaries import MOST_EDGES, Grid

FIXTURES = Path(__file__).parents[3] / "shared" / "reference" / "drift_fixtures.json"
CLAIMS = FIXTURES.parents[1] / "data" / "vehicle_claims_1994_1995.csv"


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    """Values of scipy for the scenarios of NannyML's unit tests (Apache-2.0), and closed forms of the index."""
    if not FIXTURES.is_file():
        pytest.skip("no ../shared/reference/drift_fixtures.json beside this clone")
    found: dict[str, Any] = json.loads(FIXTURES.read_text())
    return found


def counted(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts on the grid that the first sample makes."""
    grid = Grid.of_sample(pl.Series(first.astype(float)))
    counts = [grid.count(pl.Series(x.astype(float)), [x.size]).counts[0, FIRST_BIN:] for x in (first, second)]
    ends = min(first.min(), second.min()), max(first.max(), second.max())
    return counts[0], counts[1], np.r_[ends[0], grid.edges, ends[1]]


def test_index_of_closed_form_cases(published: dict[str, Any]) -> None:
    """The index is that of the cases worked out by hand."""
    for case in published["psi_hand"]:
        expected, actual = (np.round(np.array(case[side]) * 10_000).astype(np.int64) for side in ("expected", "actual"))
        assert population_stability_index(expected, actual) == pytest.approx(case["psi"])


def test_largest_difference_of_levels(published: dict[str, Any]) -> None:
    """Shares of levels differ by as much as is published."""
    for name in ("linf_newcat", "linf_total"):
        case = published[name]
        shares = [np.array([case[side].count(level) for level in "abcd"]) / len(case[side]) for side in ("ref", "cur")]
        assert round(float(np.abs(shares[0] - shares[1]).max()), 2) == case["expected_2dp"]


def test_area_of_published_samples(published: dict[str, Any]) -> None:
    """The area between two published samples of ten thousand and of a thousand numbers is as far off as is told."""
    random = np.random.RandomState(published["wasserstein_shift1"]["seed"])
    p, q, places = counted(random.normal(0, 1, 10_000), random.normal(1, 1, 1000))
    expected = published["wasserstein_shift1"]["scipy"]
    assert abs(wasserstein(p, q, places) - expected) <= wasserstein_error(p, q, places)
    assert round(wasserstein(p, q, places), 2) == published["wasserstein_shift1"]["expected_2dp"]


def test_ages_of_real_claims() -> None:
    """Ages of two years of real claims are as far apart as scipy has them: each age is counted by itself."""
    if not CLAIMS.is_file():
        pytest.skip("no ../shared/data beside this clone")
    ages = pl.read_csv(CLAIMS, infer_schema_length=None)
    first, second = (ages.filter(pl.col("Year") == year)["Age"].to_numpy() for year in (1994, 1995))
    p, q, places = counted(first, second)
    assert kolmogorov_smirnov(p, q) == pytest.approx(stats.ks_2samp(first, second).statistic, abs=1e-12)
    assert wasserstein(p, q, places) == pytest.approx(stats.wasserstein_distance(first, second), abs=1e-9)


@pytest.mark.parametrize("moved", [0.0, 0.1, 1.0, -4.0])
def test_numbers_of_many_values_are_within_half_a_percent(moved: float) -> None:
    """Thousands of distinct values on 256 edges: the largest distance is off by less than 0.01, the area by 0.01."""
    random = np.random.default_rng(1)
    first, second = random.normal(0, 1, 20_000), random.normal(moved, 1, 5_000)
    p, q, places = counted(first, second)
    assert len(places) <= MOST_EDGES + 2
    off = stats.ks_2samp(first, second).statistic - kolmogorov_smirnov(p, q)
    assert 0 <= off + 1e-12 <= kolmogorov_smirnov_error(p, q) + 1e-12
    assert kolmogorov_smirnov_error(p, q) < 0.01
    area = stats.wasserstein_distance(first, second)
    assert abs(wasserstein(p, q, places) - area) <= wasserstein_error(p, q, places)
    if abs(moved) <= 1:
        assert wasserstein(p, q, places) == pytest.approx(area, abs=0.01)


def test_index_is_symmetric_and_finite() -> None:
    """A level that is new or gone makes no infinite index; it is the same both ways, and 0 for the same shares."""
    first, second = np.array([100, 0, 50, 0]), np.array([10, 40, 0, 0])
    assert 0 < population_stability_index(first, second) < 10
    assert population_stability_index(first, second) == pytest.approx(population_stability_index(second, first))
    assert population_stability_index(first, 3 * first) == pytest.approx(0, abs=1e-12)
    assert jensen_shannon(np.array([1, 0]), np.array([0, 1])) == 1


@pytest.mark.parametrize("size", [500, 5_000, 500_000])
@pytest.mark.parametrize("shares", [(0.3, 0.4, 0.3, 0.0), (0.2, 0.4, 0.4, 0.0), (0.3, 0.4, 0.29, 0.01)])
def test_shift_does_not_go_by_the_sample_size(size: int, shares: tuple[float, ...]) -> None:
    """On average it is the same at 500 claims and at half a million: no shift, a shift, and a level that is new."""
    random = np.random.default_rng(0)
    before = (0.3, 0.4, 0.3, 0.0)
    found = [float(shift(random.multinomial(size, before), random.multinomial(size, shares))) for _ in range(400)]
    assert np.mean(found) == pytest.approx(8 * np.log(2) * jensenshannon(before, shares, 2) ** 2, abs=0.004)


@pytest.mark.parametrize(
    ("shares", "claims"),
    [
        (np.full(12, 1 / 12), 100),
        (np.full(12, 1 / 12), 1000),
        (np.array([0.995, 0.005]), 1000),
        (1 / np.arange(1, 15), 200),
    ],
)
def test_chance_keeps_the_false_alarm_rate(shares: np.ndarray, claims: int) -> None:
    """Two samples of one distribution exceed what chance makes of them about as seldom as is asked for."""
    random = np.random.default_rng(0)
    pairs = [random.multinomial([5000, claims], shares / shares.sum()) for _ in range(2000)]
    beyond = [float(shift(*pair)) > chance(pair[0], pair[1], 0.01) for pair in pairs]
    assert np.mean(beyond) <= 0.02
