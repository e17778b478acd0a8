"""Gather what a champion's windows are judged by: its weeks' counts, brought up to date, and samples of claims."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from jobs.drift import joint, reference
from jobs.drift.due import WEEK, Window, starts, windows
from jobs.drift.measure import WHOLE, Column
from jobs.drift.weeks import Span, bring_up_to_date, edges, grids_of, keep_edges, span, summaries
from shared.champion import Champion
from shared.features import Feature
from shared.job import Job
from shared.parts import laid_out
from shared.profile import PROBABILITY
from shared.summaries import Grid, Summary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shared.model import Model


@dataclass(frozen=True)
class Watch:
    """A champion and the counts of its weeks."""

    job: Job
    found: Champion
    model: Model
    span: Span
    grids: Mapping[str, Grid]
    levels: Mapping[str, Sequence[str]]
    weights: Mapping[str, float]
    places: Sequence[int]
    weekly: Mapping[str, Summary]

    @property
    def length(self) -> int:
        """Weeks of a window."""
        return self.job.contract.drift.window_days // 7

    @property
    def windows(self) -> list[Window]:
        """Those since training, the oldest first; all are over but the last."""
        return windows(self.found.train_end, self.span.later, self.span.latest, self.length)

    @property
    def last_week(self) -> int:
        """Claims of the last week that is over, since training or its own."""
        over = max(0, int((self.span.latest - self.found.train_end) / WEEK))
        return next((week.claims for week in self.span.weeks if week.place == over), 0)

    @cached_property
    def accepted(self) -> set[str]:
        """Columns that are called broken no more: they have changed for good, and a new model may learn them."""
        return reference.accepted(self.job, self.found.version, [feature.name for feature in self.model.features])

    @cached_property
    def judging(self) -> set[int]:
        """Places of the weeks whose probabilities the champion was judged by."""
        if self.found.judged_share is not None:
            return {place for place in self.places if place <= 0}
        span_of = reference.judged(self.job, self.found.version)
        if span_of is None:
            return set()
        first, last = (int(np.ceil((moment - self.found.train_end) / WEEK)) for moment in span_of)
        return {place for place in self.places if max(first, 1) <= place <= last}

    def columns(self, window: Collection[int]) -> list[Column]:
        """What a window's weeks are held against: the weeks learnt from, and for the probability those that judged."""
        learnt = [place for place in self.places if place <= 0]
        found = [Column(f, self.grids[f.name], self._of(f, learnt), self.weights[f.name]) for f in self.model.features]
        judging = sorted(self.judging - set(window))
        if judging and PROBABILITY.name in self.weekly:
            # As weighty as a usual column, so that those that moved it are told first.
            even = 1 / len(self.model.features)
            found.append(Column(PROBABILITY, self.grids[PROBABILITY.name], self._of(PROBABILITY, judging), even))
        return found

    def summed_up(self, columns: Sequence[Column], window: Collection[int]) -> dict[str, Summary]:
        """Counts of some weeks, added up."""
        rows = [row for row, place in enumerate(self.places) if place in window]
        return {column.name: self.weekly[column.name].over(rows) for column in columns}

    def repeated(self, window: Collection[int] | None = None) -> float:
        """Share of repeated claims in some weeks, by default in those learnt from."""
        rows = [row for row, place in enumerate(self.places) if (place <= 0 if window is None else place in window)]
        claims, repeats = self.weekly[WHOLE].counts[rows].sum(axis=0)
        return float(repeats / max(claims, 1))

    def _of(self, feature: Feature, places: Sequence[int]) -> Summary:
        rows = [self.places.index(place) for place in places]
        weekly = self.weekly[feature.name]
        return Summary(weekly.counts[rows], weekly.least[rows], weekly.most[rows], weekly.total[rows])

    @cached_property
    def learnt(self) -> NDArray[np.float32]:
        """A sample of the claims of the weeks learnt from, laid out for trees."""
        return self.laid_out(self.model.known(self._sample))

    @cached_property
    def past_aucs(self) -> list[float]:
        """How well trees tell windows of the weeks learnt from apart from the rest of them."""
        seconds = (self._sample["event_time"] - self.found.train_end).dt.total_seconds(fractional=True)
        week = np.ceil(seconds.to_numpy() / WEEK.total_seconds()).astype(np.int64)
        return joint.past_aucs(self.learnt, week, self.length, self.job.settings.threads).tolist() if week.size else []

    @cached_property
    def _sample(self) -> pl.DataFrame:
        return sample_of(self.job, self.found, self.span)

    def laid_out(self, known: pl.DataFrame) -> NDArray[np.float32]:
        """Lay features out for trees."""
        return laid_out(known, [self.levels.get(name, ()) for name in known.columns])


def watch(job: Job, found: Champion) -> Watch:
    """Bring the counts of a champion's weeks up to date."""
    model, seen = found.model, span(job, found)
    told = reference.levels(found)
    levels = {f.name: told.get(f.name, ()) for f in model.features if f.kind == "category"}
    numbers = edges(job, found.version)
    if len(levels) + len(numbers) < len(model.features):  # drift meets this champion for the first time
        known = model.known(sample_of(job, found, seen))
        numbers = {name: Grid.of_sample(known[name]).edges for name in known.columns if name not in levels}
        keep_edges(job, found.version, numbers)
    grids = grids_of(levels, numbers)
    bring_up_to_date(job, found, model, grids, seen.weeks)
    places, weekly = summaries(job, found, grids, [week.place for week in seen.weeks])
    weights = reference.weights(job, found.version, model.features)
    return Watch(job, found, model, seen, grids, levels, weights, places, weekly)


def sample_of(job: Job, found: Champion, seen: Span) -> pl.DataFrame:
    """Draw claims of the weeks that the champion learnt from."""
    first = seen.learnt[0].place if seen.learnt else 0
    claims = sum(week.claims for week in seen.learnt)
    return reference.sample(job, starts(found.train_end, first), found.train_end, claims)
