"""How a champion does, cohort by cohort of the weeks of its life: as its own probabilities say, and as it came true."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any, Literal

import polars as pl

from jobs.drift.concept import LEAST_FRAUDS, Matured, performance
from jobs.drift.performance import Figure, estimated
from jobs.drift.selection import Cells

Kind = Literal["realised", "estimated"]
WEEKS = (1, 4, 8, 13, 26)
"""How many weeks a cohort may hold."""


@dataclass(frozen=True)
class Cohort:
    """Claims of some weeks on end.

    Attributes
    ----------
    week : date
        Its first day, a Monday.
    claims : polars.DataFrame
        As of :class:`jobs.drift.concept.Matured`.
    """

    week: date
    weeks: int
    claims: pl.DataFrame

    @property
    def end(self) -> date:
        """The Monday after it."""
        return self.week + timedelta(weeks=self.weeks)

    @property
    def matured(self) -> float:
        """Share of its claims whose outcome is known."""
        return 1 - self.claims["is_fraud"].null_count() / self.claims.height


@dataclass(frozen=True)
class Row:
    """A figure of a cohort, as table ``cohorts`` keeps it."""

    week: date
    weeks: int
    metric: str
    kind: Kind
    value: float
    low: float
    high: float
    claims: int
    frauds: int
    matured: float


def weeks_pooled(frauds_a_week: float) -> int:
    """Weeks that a cohort holds, so that ten known frauds may be expected; the same for a champion's whole life.

    >>> weeks_pooled(12.0), weeks_pooled(1.5), weeks_pooled(0.0)
    (1, 8, 26)
    """
    return next((weeks for weeks in WEEKS if frauds_a_week * weeks >= LEAST_FRAUDS), WEEKS[-1])


def cut(claims: pl.DataFrame, first: date, weeks: int, until: date) -> Iterator[Cohort]:
    """Cut claims into cohorts that are whole.

    Parameters
    ----------
    claims : polars.DataFrame
        With ``event_time``.
    first : date
        Day of the first week, whichever.
    until : date
        A cohort that ends later is left out.
    """
    monday = first - timedelta(days=first.weekday())
    place = (pl.col("event_time").dt.date() - monday).dt.total_days() // (7 * weeks)
    placed = claims.with_columns(place=place).sort("place", maintain_order=True)
    for (number,), part in placed.group_by("place", maintain_order=True):
        found = Cohort(monday + timedelta(weeks=weeks * int(str(number))), weeks, part)
        if found.end <= until:
            yield found


def rows(cohort: Cohort, kind: Kind, cells: Cells) -> list[Row]:
    """Measure a cohort; empty where nothing can be said of it yet."""
    if kind == "estimated":
        columns = cohort.claims.select(pl.col("probability", "flagged").cast(pl.Float64)).to_numpy().T
        figures = estimated(*columns)
    else:
        figures = performance([Matured(cohort.claims)], cells)
    frauds = int(cohort.claims["is_fraud"].sum() or 0)
    size = {"claims": cohort.claims.height, "frauds": frauds, "matured": cohort.matured}
    return [_row(cohort, kind, name, figure, size) for name, figure in figures.items()]


def as_frame(found: list[Row]) -> pl.DataFrame:
    """Lay rows out for the table."""
    return pl.DataFrame([asdict(row) for row in found]).with_columns(pl.col("week").dt.to_string("iso"))


def _row(cohort: Cohort, kind: Kind, name: str, figure: Figure, size: Mapping[str, Any]) -> Row:
    value, low, high = figure.value, figure.low, figure.high
    if name == "calibration":  # told as how far it is off, whichever the side
        name, value, low, high = "calibration_error", abs(value), max(low, -high, 0.0), max(abs(low), abs(high))
    return Row(cohort.week, cohort.weeks, name, kind, value, low, high, **size)
