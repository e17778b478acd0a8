"""What claims look like as counts that add up: of batches to weeks, of weeks to windows; free of claimant data.

Mergeable summaries in the sense of P. K. Agarwal and others, Mergeable Summaries, ACM Transactions on Database Systems
38 (2013): what two parts say together is what the whole would have said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl

from shared.distances import Counts
from shared.features import Bins, Floats
from shared.levels import FIRST_BIN, MISSING, UNSEEN

MOST_EDGES = 256
"""Values of a number that are counted one by one: up to so many distinct ones nothing is lost."""
SPREAD_EDGES = 64
"""Of the edges of a number that has more values; the others are quantiles, so that a stretch between two holds at most
some 1 / 192 of the claims."""
MOST_LEVELS = 256
"""Levels of a category that are counted one by one; the rarer ones together."""
GROUPS = 10
"""Groups that an effect size is taken over, of about as many claims each; by custom so many."""
RARE = 0.01
"""Share of the claims below which a level is counted with the other rare ones."""


@dataclass(frozen=True)
class Grid:
    """Where the values of a feature are counted.

    Code 0 is a level never seen in training, 1 a missing value. A number then has a code below the first edge, at it,
    between it and the next, and so on; a category one a level, and one for all that are rarer.

    Attributes
    ----------
    edges : tuple of float
        For a number or an ordered level, ascending.
    levels : tuple of str or None
        For a category, the most frequent first; None for a number.
    """

    edges: tuple[float, ...] = ()
    levels: tuple[str, ...] | None = None

    @classmethod
    def of_sample(cls, column: pl.Series) -> Self:
        """Make the grid of a number: each value an edge, quantiles where there are more than 256."""
        known = column.drop_nulls()
        distinct = known.unique().sort().to_numpy()
        if distinct.size > MOST_EDGES:
            # Values that came, and no means of two of them, so that what comes often is counted by itself; and some
            # evenly spread ones for the tails, where areas are won or lost.
            by_rank = np.quantile(known.to_numpy(), np.linspace(0, 1, MOST_EDGES - SPREAD_EDGES), method="nearest")
            distinct = np.unique(np.r_[by_rank, np.linspace(distinct[0], distinct[-1], SPREAD_EDGES)])
        return cls(tuple(map(float, distinct)))

    @classmethod
    def of_probability(cls) -> Self:
        """Make the grid of probabilities: evenly spread log odds, so that it needs no sample."""
        return cls(tuple(map(float, 1 / (1 + np.exp(-np.linspace(-9.0, 6.0, MOST_EDGES))))))

    @property
    def size(self) -> int:
        """Number of codes."""
        if self.levels is not None:
            return FIRST_BIN + min(len(self.levels), MOST_LEVELS) + 1
        return FIRST_BIN + 2 * len(self.edges) + 1

    def count(self, column: pl.Series, ends: Sequence[int]) -> Summary:
        """Count a column's values.

        Parameters
        ----------
        column : polars.Series
            Values as :func:`shared.features.values` makes them, the weeks one after the other.
        ends : sequence of int
            Where each week ends.
        """
        starts = [0, *ends[:-1]]
        if self.levels is not None:
            codes = np.minimum(Bins(levels=self.levels).codes(column), self.size - 1)
            # Codes of a week by themselves: shifted by the sizes of those before it.
            week = np.repeat(np.arange(len(ends)), np.diff([0, *ends]))
            counts = np.bincount(week * self.size + codes, minlength=len(ends) * self.size)
            return Summary.of_counts(counts.reshape(len(ends), self.size))
        numbers = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
        edges = np.asarray(self.edges)
        found = Summary.of_counts(np.zeros((len(ends), self.size), dtype=np.int64))
        for place, (start, end) in enumerate(zip(starts, ends, strict=True)):
            # Sorting a stretch and finding the edges in it costs an eighth of finding each value among the edges.
            values = np.sort(numbers[start:end])  # what is missing comes last
            known = int(np.searchsorted(values, np.inf, side="right"))
            sides = [np.searchsorted(values[:known], edges, side=side) for side in ("left", "right")]
            found.counts[place, MISSING] = values.size - known
            found.counts[place, FIRST_BIN:] = np.diff(np.r_[0, np.column_stack(sides).ravel(), known])
            if known:
                found.least[place], found.most[place] = values[0], values[known - 1]
                found.total[place] = values[:known].sum()
        return found

    def groups(self, counts: Counts) -> Counts:
        """Say which group each code belongs to, for effect sizes; shape (size,).

        Parameters
        ----------
        counts : array of shape (size,)
            Of the reference. Never seen and missing are groups of their own; a number is cut into ten of about as many
            claims, one value never into two; of a category, rare levels are one group.
        """
        known = counts[FIRST_BIN:]
        if self.levels is not None:
            often = known >= RARE * max(counts.sum(), 1)
            often[-1] = False  # all those that are not counted one by one
            places = np.where(often, np.cumsum(often), 0)
        else:
            middle = (np.cumsum(known) - known / 2) / max(known.sum(), 1)
            places = np.minimum((GROUPS * middle).astype(np.int64), GROUPS - 1)
        return np.asarray(np.r_[UNSEEN, MISSING, FIRST_BIN + places])


@dataclass(frozen=True)
class Summary:
    """A feature's values in some weeks.

    Attributes
    ----------
    counts : array of shape (weeks, size)
        By the code of its :class:`Grid`.
    least, most, total : arrays of shape (weeks,)
        Of a number: smallest, largest, sum; infinite and 0 where there is none.
    """

    counts: Counts
    least: Floats
    most: Floats
    total: Floats

    @classmethod
    def of_counts(cls, counts: Counts) -> Self:
        """Make the summary of what is no number, or is not yet counted."""
        weeks = len(counts)
        return cls(counts, np.full(weeks, np.inf), np.full(weeks, -np.inf), np.zeros(weeks))

    def __add__(self, other: Summary) -> Summary:
        """Add up the same weeks of other claims."""
        return Summary(
            self.counts + other.counts,
            np.minimum(self.least, other.least),
            np.maximum(self.most, other.most),
            self.total + other.total,
        )

    def over(self, weeks: Sequence[int]) -> Summary:
        """Add some weeks up to one."""
        return Summary(
            self.counts[weeks].sum(axis=0, keepdims=True),
            self.least[weeks].min(initial=np.inf, keepdims=True),
            self.most[weeks].max(initial=-np.inf, keepdims=True),
            self.total[weeks].sum(keepdims=True),
        )


def grouped(counts: Counts, groups: Counts) -> Counts:
    """Add counts up by group.

    >>> grouped(np.array([[1, 2, 3]]), np.array([0, 1, 1]))
    array([[1, 5]])
    """
    belongs = np.zeros((groups.size, int(groups.max()) + 1), dtype=np.int64)
    belongs[np.arange(groups.size), groups] = 1
    return np.asarray(counts @ belongs)
