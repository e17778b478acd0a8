"""What holds for the bins of any column."""

from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from shared.features import Bins, Feature
from shared.levels import FIRST_BIN, MISSING, UNSEEN

NUMBER, CATEGORY = Feature("x", ("x",), "number"), Feature("x", ("x",), "category")
numbers = st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False, width=32), max_size=40)
levels = st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=40)


@given(numbers, numbers, st.integers(1, 12))
def test_each_number_has_one_bin(seen: list[float | None], later: list[float | None], most: int) -> None:
    """A number, seen or not, falls into the one bin whose edges hold it; a missing one into that for missing."""
    bins = Bins.of(NUMBER, pl.Series("x", seen, dtype=pl.Float64), most)
    edges = [-np.inf, *bins.edges, np.inf]
    for value, code in zip(later, bins.codes(pl.Series("x", later, dtype=pl.Float64)), strict=True):
        if value is None:
            assert code == MISSING
        else:
            assert FIRST_BIN <= code < bins.size
            assert edges[code - FIRST_BIN] <= value < edges[code - FIRST_BIN + 1]
            assert bins.label(code)


@given(levels, levels)
def test_each_level_has_one_bin(seen: list[str | None], later: list[str | None]) -> None:
    """A level that was seen has the bin of its name, one that was not is unseen, a missing one is missing."""
    bins = Bins.of(CATEGORY, pl.Series("x", seen, dtype=pl.String), 5)
    for value, code in zip(later, bins.codes(pl.Series("x", later, dtype=pl.String)), strict=True):
        if value is None:
            assert code == MISSING
        elif value in seen:
            assert bins.label(code) == value
        else:
            assert code == UNSEEN


@given(numbers, levels, st.randoms(use_true_random=False))
def test_order_of_rows_never_matters(some: list[float | None], others: list[str | None], random: object) -> None:
    """Bins of the same values in another order are the same bins."""
    for feature, column in (
        (NUMBER, pl.Series("x", some, dtype=pl.Float64)),
        (CATEGORY, pl.Series("x", others, dtype=pl.String)),
    ):
        shuffled = column.to_list()
        random.shuffle(shuffled)  # type: ignore[attr-defined]
        assert Bins.of(feature, pl.Series("x", shuffled, dtype=column.dtype), 5) == Bins.of(feature, column, 5)
