"""Windows of claims as drift sees them, without a database: from frames to counts a week, columns and verdicts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import polars as pl

from jobs.drift.measure import Column, Measure, compare
from jobs.drift.weeks import count
from shared.contract import Drift
from shared.features import Feature
from shared.summaries import Grid, Summary
from tests.book_factory import START, read_book

LENGTH = 4
LEARNT = 60
"""Weeks of the book that are learnt from."""
NUMBERS = (
    "amount", "deductible", "vehicle_value", "vehicle_age", "driver_age", "witnesses", "injuries", "prior_claims",
    "photos", "hour",
)  # fmt: skip
CATEGORIES = ("peril", "sex", "region", "channel", "police_report", "agent_id", "garage_id")
FEATURES = tuple(Feature(name, (name,), "number") for name in NUMBERS) + tuple(
    Feature(name, (name,), "category") for name in CATEGORIES
)

LIKE = tuple(Feature(f"x{place}", (f"x{place}",), "number") for place in range(10)) + tuple(
    Feature(f"c{place}", (f"c{place}",), "category") for place in range(5)
)
"""Features of `claims_like`."""


@dataclass(frozen=True)
class Weeks:
    """Counts of weeks from 1 on, the first of them learnt from."""

    features: tuple[Feature, ...]
    grids: Mapping[str, Grid]
    summaries: Mapping[str, Summary]
    learnt: int

    @classmethod
    def of(cls, known: pl.DataFrame, week: pl.Series, learnt: int, features: tuple[Feature, ...] = FEATURES) -> Weeks:
        """Count claims whose weeks begin at 1."""
        reference = known.filter(week <= learnt)
        grids = {
            feature.name: Grid(levels=tuple(reference[feature.name].drop_nulls().value_counts(sort=True)[:, 0]))
            if feature.kind == "category"
            else Grid.of_sample(reference[feature.name])
            for feature in features
        }
        due = range(1, int(week.max()) + 1)  # type: ignore[arg-type]
        return cls(features, grids, count(known, None, week, due, grids), learnt)

    @property
    def columns(self) -> list[Column]:
        """The weeks learnt from, each column as weighty as the others."""
        even = 1 / len(self.features)
        return [
            Column(feature, self.grids[feature.name], part(self.summaries[feature.name], range(self.learnt)), even)
            for feature in self.features
        ]

    def window(self, weeks: Collection[int]) -> dict[str, Summary]:
        """Some weeks as one."""
        return {name: summary.over([week - 1 for week in weeks]) for name, summary in self.summaries.items()}

    def measures(self, weeks: Sequence[int], drift: Drift | None = None) -> list[Measure]:
        """Compare a window with what was learnt from."""
        return compare(self.columns, self.window(weeks), len(weeks), drift or Drift())


def part(summary: Summary, rows: Sequence[int]) -> Summary:
    """Some weeks of a summary, each by itself."""
    return Summary(summary.counts[rows], summary.least[rows], summary.most[rows], summary.total[rows])


@cache
def book_weeks(seed: int = 7, drift: str = "", last: int = 104) -> Weeks:
    """Weeks of a generated book, the first 60 of them learnt from."""
    known, week = book_frame(seed, drift, last)
    return Weeks.of(known, week, LEARNT)


def book_frame(seed: int, drift: str, last: int) -> tuple[pl.DataFrame, pl.Series]:
    """Features of a generated book's claims, and their weeks."""
    book = read_book(seed, drift, last)
    known = book.select(
        *(pl.col(name).cast(pl.Float64) for name in NUMBERS), *(pl.col(name).cast(pl.String) for name in CATEGORIES)
    )
    return known, ((book["reported_on"] - START).dt.total_days() // 7 + 1).cast(pl.Int64)


def windows(last: int = 104) -> list[range]:
    """Windows after what was learnt from."""
    return [range(first, first + LENGTH) for first in range(LEARNT + 1, last - LENGTH + 2, LENGTH)]


def claims_like(seed: int, size: int, weeks: int, shift: float = 0.0) -> tuple[pl.DataFrame, pl.Series]:
    """Claims of ten numbers and five categories, as many a week; some moved by so many standard deviations."""
    random = np.random.default_rng(seed)
    numbers = {f"x{place}": random.normal(shift if place < 2 else 0.0, 1.0, size) for place in range(10)}
    letters = np.array(list("abcdefgh"))
    categories = {f"c{place}": letters[random.integers(0, len(letters), size)] for place in range(5)}
    return pl.DataFrame(numbers | categories), pl.Series(np.arange(size) * weeks // size + 1)
