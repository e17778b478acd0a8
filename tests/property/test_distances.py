"""Distances from counts are scipy's, and within the error that is told where values share a bin."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from shared.distances import (
    chi_square,
    jensen_shannon,
    kolmogorov_smirnov,
    kolmogorov_smirnov_error,
    population_stability_index,
    shift,
    wasserstein,
    wasserstein_error,
)
from shared.levels import FIRST_BIN, MISSING
from shared.summaries import Grid

tables = (
    st.integers(1, 12)
    .flatmap(lambda bins: st.tuples(*[st.lists(st.integers(0, 50), min_size=bins, max_size=bins)] * 2))
    .filter(lambda table: min(map(sum, table)) > 0)
)
few = st.lists(st.integers(-40, 40).map(float), min_size=1, max_size=80)
many = st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=80)


def both(grid: Grid, first: list[float], second: list[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts of two samples, and the places of a grid's stretches."""
    counts = [grid.count(pl.Series(sample), [len(sample)]).counts[0, FIRST_BIN:] for sample in (first, second)]
    places = np.r_[min(*first, *second, *grid.edges), grid.edges, max(*first, *second, *grid.edges)]
    return counts[0], counts[1], places


@given(tables)
def test_table_distances_are_scipys(table: tuple[list[int], list[int]]) -> None:
    """Jensen-Shannon distance and Pearson's statistic are those of scipy; the index is that of its definition."""
    p, q = map(np.array, table)
    assert jensen_shannon(p, q) == pytest.approx(jensenshannon(p / p.sum(), q / q.sum(), 2), abs=1e-7)
    taken = (p + q) > 0
    expected = stats.chi2_contingency([p[taken], q[taken]], correction=False).statistic if taken.sum() > 1 else 0.0
    assert chi_square(p, q) == pytest.approx(expected, abs=1e-9)
    x, y = (np.maximum(counts[taken], 0.5) / np.maximum(counts[taken], 0.5).sum() for counts in (p, q))
    both_ways = stats.entropy(x, y) + stats.entropy(y, x)
    assert population_stability_index(p, q) == pytest.approx(both_ways, abs=1e-9)


@given(few, few)
def test_number_distances_are_scipys_where_each_value_is_counted(first: list[float], second: list[float]) -> None:
    """Of few distinct values nothing is lost: both distances are scipy's to the last digits."""
    p, q, places = both(Grid(tuple(sorted({*first, *second}))), first, second)
    assert kolmogorov_smirnov(p, q) == pytest.approx(stats.ks_2samp(first, second).statistic)
    assert wasserstein(p, q, places) == pytest.approx(stats.wasserstein_distance(first, second), abs=1e-9)
    assert kolmogorov_smirnov_error(p, q) == wasserstein_error(p, q, places) == 0


@given(few, few)
def test_the_largest_distance_is_exact_for_values_that_the_reference_never_had(
    first: list[float], second: list[float]
) -> None:
    """Where the edges are all of the reference's values, a window may bring any others."""
    p, q, _ = both(Grid(tuple(sorted(set(first)))), first, [value + 0.5 for value in second])
    assert kolmogorov_smirnov(p, q) == pytest.approx(stats.ks_2samp(first, [v + 0.5 for v in second]).statistic)


@settings(max_examples=200)
@given(many, many, st.lists(st.floats(-1e6, 1e6), max_size=6, unique=True))
def test_number_distances_are_within_their_error(first: list[float], second: list[float], edges: list[float]) -> None:
    """With however few edges, scipy's distances are as near as is told."""
    p, q, places = both(Grid(tuple(sorted(edges))), first, second)
    ks, emd = stats.ks_2samp(first, second).statistic, stats.wasserstein_distance(first, second)
    told = kolmogorov_smirnov(p, q)
    assert told - 1e-9 <= ks <= told + kolmogorov_smirnov_error(p, q) + 1e-9
    assert abs(wasserstein(p, q, places) - emd) <= wasserstein_error(p, q, places) + 1e-6


@given(st.lists(st.one_of(st.none(), st.integers(-5, 5).map(float)), min_size=1, max_size=60), st.data())
def test_summaries_of_parts_add_up(values: list[float | None], data: st.DataObject) -> None:
    """However claims are cut into batches, weeks say the same; each claim counts once."""
    grid = Grid((-4.0, 0.0, 3.0))
    cut = data.draw(st.integers(0, len(values)))
    whole = grid.count(pl.Series(values, dtype=pl.Float64), [len(values)])
    parts = [pl.Series(part, dtype=pl.Float64) for part in (values[:cut], values[cut:])]
    added = grid.count(parts[0], [cut]) + grid.count(parts[1], [len(values) - cut])
    weeks = grid.count(pl.Series(values, dtype=pl.Float64), [cut, len(values)])
    for other in (added, weeks.over([0, 1])):
        assert np.array_equal(other.counts, whole.counts)
        assert (other.least, other.most, other.total) == (whole.least, whole.most, whole.total)
    assert whole.counts.sum() == len(values)
    assert whole.counts[0, MISSING] == values.count(None)


@given(tables, st.integers(2, 1000))
def test_shift_of_the_same_shares_is_none(table: tuple[list[int], list[int]], times: int) -> None:
    """It is the same both ways, bounded, and never above 0 for the same shares at any size."""
    p, q = map(np.array, table)
    assert shift(p, q) == pytest.approx(float(shift(q, p)))
    assert float(shift(p, q)) <= 8 * np.log(2) + 1e-9
    assert float(shift(p, times * p)) <= 1e-9
