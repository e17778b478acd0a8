"""Counts that add up: grids of numbers and categories, and the groups that effect sizes are taken over."""

from __future__ import annotations

import numpy as np
import polars as pl

from shared.levels import FIRST_BIN, MISSING, UNSEEN
from shared.summaries import GROUPS, MOST_LEVELS, Grid, grouped


def test_each_value_of_few_is_counted_by_itself() -> None:
    """A number of few values has a code at each and between each two."""
    grid = Grid.of_sample(pl.Series([1.0, 2.0, 2.0, 5.0, None]))
    assert grid.edges == (1.0, 2.0, 5.0)
    counts = grid.count(pl.Series([0.0, 1.0, 1.5, 2.0, 2.0, 5.0, 9.0, None]), [8]).counts[0]
    assert counts.tolist() == [0, 1, *(1, 1, 1, 2, 0, 1, 1)]


def test_weeks_are_counted_apart() -> None:
    """Stretches of a column are weeks, an empty one among them, with their least, greatest and sum."""
    found = Grid((2.0,)).count(pl.Series([3.0, 1.0, None, 2.0]), [2, 2, 4])
    assert found.counts.tolist() == [[0, 0, 1, 0, 1], [0, 0, 0, 0, 0], [0, 1, 0, 1, 0]]
    assert found.least.tolist() == [1.0, np.inf, 2.0]
    assert found.most.tolist() == [3.0, -np.inf, 2.0]
    assert found.total.tolist() == [4.0, 0.0, 2.0]


def test_levels_are_counted_by_name_and_new_ones_together() -> None:
    """A level that training saw has a code, one that it never saw is 0, and what is missing 1; in each week."""
    found = Grid(levels=("red", "blue")).count(pl.Series(["blue", "green", None, "red", "red"]), [3, 5])
    assert found.counts.tolist() == [[1, 1, 0, 1, 0], [0, 0, 2, 0, 0]]


def test_many_levels_share_the_last_code() -> None:
    """A category of thousands of levels keeps the most frequent apart; the others are known all the same."""
    names = [f"level {place}" for place in range(3000)]
    grid = Grid(levels=tuple(names))
    counts = grid.count(pl.Series([*names, "new"]), [3001]).counts[0]
    assert counts.size == grid.size == FIRST_BIN + MOST_LEVELS + 1
    assert (counts[UNSEEN], counts[-1]) == (1, 3000 - MOST_LEVELS)


def test_a_column_without_values_can_be_counted() -> None:
    """A number that was never known has a grid of one stretch."""
    grid = Grid.of_sample(pl.Series([None, None], dtype=pl.Float64))
    assert grid.count(pl.Series([None, 4.0]), [2]).counts.tolist() == [[0, 1, 1]]


def test_groups_hold_as_many_claims_each() -> None:
    """Ten groups of a number hold about a tenth each, what comes often stands alone, what is missing apart."""
    values = pl.Series(np.r_[np.random.default_rng(0).random(6000), np.full(4000, 2.0), [np.nan] * 500]).fill_nan(None)
    grid = Grid.of_sample(values)
    counts = grid.count(values, [values.len()]).counts[0]
    found = grouped(counts, grid.groups(counts))
    assert (found[UNSEEN], found[MISSING]) == (0, 500)
    known = found[FIRST_BIN:]
    assert sorted(known[known > 0])[-1] == 4000  # the one value, which takes the place of four groups
    assert ((known[known > 0] > 900).sum(), (known == 0).sum()) == (GROUPS - 3, 3)


def test_rare_levels_are_one_group() -> None:
    """Levels below a hundredth of the claims are told apart from no other rare one, so that they make no noise."""
    grid = Grid(levels=("a", "b", "c", "d"))
    groups = grid.groups(np.array([0, 3, 500, 490, 5, 5, 0]))
    assert groups.tolist() == [0, 1, 3, 4, 2, 2, 2]
