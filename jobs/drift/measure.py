"""Decide how far a window of claims has moved from those the model learnt from, column by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from jobs.drift.limits import Past, past_shifts
from shared.contract import Drift
from shared.distances import (
    Counts,
    chance,
    chi_square,
    jensen_shannon,
    kolmogorov_smirnov,
    population_stability_index,
    shift,
    wasserstein,
)
from shared.features import Feature
from shared.levels import FIRST_BIN, MISSING, UNSEEN
from shared.profile import PROBABILITY
from shared.summaries import Grid, Summary, grouped

Verdict = Literal["ok", "watch", "retrain", "stop"]
SEVERITY: tuple[Verdict, ...] = ("ok", "watch", "retrain", "stop")
WHOLE = "*"
"""Stands for the window as a whole where a metric belongs to no single feature."""
SHIFT = "shift"
"""The one metric by which columns are judged; the others tell what kind of shift it is."""
RETRAIN = 2.5
"""Limits' worth of shift that is worth a new model: by custom 0.25 of the population stability index is, and 0.1
is worth a word."""
MIDDLE = 0.99
"""Share of the reference's values that count as its range: one odd claim must not make it wide."""
TOLD = 0.05
"""Change of a share that a reason tells."""
SCALED = 3.0
"""Change of a mean, up or down, that a reason tells."""


@dataclass(frozen=True)
class Measure:
    """One figure of one window.

    Attributes
    ----------
    feature : str
        Or :data:`WHOLE`, or a source such as ``source:claims``.
    limit : float or None
        None where none is set.
    reason : str or None
        A sentence that says what to do, where there is a need.
    low, high : float or None
        95 % interval, where it has one.
    weight : float
        How much the model leans on the feature, 1 for what concerns it as a whole: ranks the reasons; not stored.
    """

    feature: str
    metric: str
    value: float
    limit: float | None
    verdict: Verdict
    reason: str | None = None
    low: float | None = None
    high: float | None = None
    weight: float = 1.0


@dataclass(frozen=True)
class Column:
    """What a feature was like in the weeks that a window is held against.

    Attributes
    ----------
    weight : float
        Share of all features' importance in the model, from 0 to 1.
    """

    feature: Feature
    grid: Grid
    weekly: Summary
    weight: float

    @property
    def name(self) -> str:
        """Of the feature."""
        return self.feature.name

    @property
    def whole(self) -> Counts:
        """Counts of all weeks, shape (size,)."""
        return np.asarray(self.weekly.counts.sum(axis=0))


def compare(columns: Sequence[Column], window: Mapping[str, Summary], length: int, drift: Drift) -> list[Measure]:
    """Compare a window with the reference, column by column.

    Parameters
    ----------
    window : mapping of str to Summary
        One for each column, of the window as one week.
    length : int
        Weeks of a window.
    drift : Drift
        The contract's limits; half of its false alarms are these columns', the other half the outcomes'.

    Returns
    -------
    list of Measure
        ``shift`` of each column with its limit, and without one: ``psi``, ``jensen_shannon``, ``missing``; of a number
        ``ks``, ``wasserstein``, ``outside`` (the middle 99 % of the reference); of a category ``chi_square``,
        ``unseen``.
    """
    measures = []
    for column, limit in zip(columns, _limits(columns, window, length, drift), strict=True):
        counts = window[column.name].counts[0]
        groups = column.grid.groups(column.whole)
        before, after = grouped(column.whole, groups), grouped(counts, groups)
        value = max(float(shift(before, after)), 0.0)
        verdict = judged(value, limit)
        reason = None
        if verdict != "ok":
            told = ", ".join(_changes(column, window[column.name]))
            reason = f"{column.name} has shifted ({value:.2f}, limit {limit:.2f}{told and ': ' + told})"
        measures.append(Measure(column.name, SHIFT, value, limit, verdict, reason, weight=column.weight))
        others = {
            "psi": population_stability_index(before, after),
            "jensen_shannon": jensen_shannon(before, after),
            "missing": missing(counts),
            **_of_kind(column, window[column.name]),
        }
        measures += [Measure(column.name, metric, value, None, "ok") for metric, value in others.items()]
    return measures


def judged(value: float, limit: float) -> Verdict:
    """Judge an effect size.

    >>> judged(0.0, 0.1), judged(0.1, 0.1), judged(0.25, 0.1)
    ('ok', 'watch', 'retrain')
    """
    return "ok" if value < limit else "watch" if value < RETRAIN * limit else "retrain"


def missing(counts: Counts) -> float:
    """Share of claims in which the value is missing."""
    return float(counts[MISSING] / max(counts.sum(), 1))


def unseen(counts: Counts) -> float:
    """Share of claims with a level that training never saw."""
    return float(counts[UNSEEN] / max(counts.sum(), 1))


def outside(reference: Counts, counts: Counts) -> float:
    """Share of a number's values outside the middle 99 % of the reference's.

    >>> outside(np.array([0, 0, 0, 500, 0, 500, 0]), np.array([0, 0, 1, 1, 0, 1, 1]))
    0.5
    """
    until = np.cumsum(reference[FIRST_BIN:]) / max(reference[FIRST_BIN:].sum(), 1)
    least, most = np.searchsorted(until, [(1 - MIDDLE) / 2, (1 + MIDDLE) / 2])
    known = counts[FIRST_BIN:]
    return float(1 - known[least : most + 1].sum() / known.sum()) if known.sum() else 0.0


def scale(before: Summary, after: Summary) -> float | None:
    """How many times as large a number has become in the mean; None where that says nothing."""
    means = [float(part.total.sum() / max(part.counts[:, FIRST_BIN:].sum(), 1)) for part in (before, after)]
    return means[1] / means[0] if min(means) > 0 else None


def _limits(columns: Sequence[Column], window: Mapping[str, Summary], length: int, drift: Drift) -> list[float]:
    """Of each column: what matters, chance and the past, whichever is the most."""
    share = drift.false_alarm_rate / 2 / (len(columns) + 1)  # all columns together are one more
    weekly = [grouped(column.weekly.counts, column.grid.groups(column.whole)) for column in columns]
    limits = []
    for column, counts in zip(columns, weekly, strict=True):
        current = grouped(window[column.name].counts[0], column.grid.groups(column.whole))
        limits.append(max(drift.least_shift, chance(counts.sum(axis=0), current, share)))
    # Probabilities are known in other weeks than the columns, so they are a family of their own.
    for weeks in {len(counts) for counts in weekly}:
        family = [place for place, counts in enumerate(weekly) if len(counts) == weeks]
        shifts = np.column_stack([past_shifts(weekly[place], length) for place in family])
        for place, limit in zip(family, Past(shifts, length).limits(share * len(family)), strict=True):
            limits[place] = max(limits[place], float(limit))
    return limits


def _of_kind(column: Column, window: Summary) -> dict[str, float]:
    before, after = (counts[FIRST_BIN:] for counts in (column.whole, window.counts[0]))
    if column.grid.levels is not None:
        before, after = (np.r_[counts[UNSEEN], counts[FIRST_BIN:]] for counts in (column.whole, window.counts[0]))
        return {"chi_square": chi_square(before, after), "unseen": unseen(window.counts[0])}
    if not before.sum() or not after.sum():
        return {"outside": outside(column.whole, window.counts[0])}
    edges = np.asarray(column.grid.edges)
    least = min(column.weekly.least.min(), window.least.min(), *edges[:1])
    most = max(column.weekly.most.max(), window.most.max(), *edges[-1:])
    return {
        "ks": kolmogorov_smirnov(before, after),
        "wasserstein": wasserstein(before, after, np.r_[least, edges, most]),
        "outside": outside(column.whole, window.counts[0]),
    }


def _changes(column: Column, window: Summary) -> list[str]:
    """Say in words what has moved, as shares and multiples: no value of a claim."""
    before, after = column.whole, window.counts[0]
    told = []
    if abs(missing(after) - missing(before)) >= TOLD:
        told.append(f"empty in {missing(after):.0%} of the claims, {missing(before):.0%} before")
    if unseen(after) >= TOLD:
        told.append(f"{unseen(after):.0%} have a level that training never saw")
    if column.grid.levels is None and column.feature != PROBABILITY:
        times = scale(column.weekly, window)
        if times is not None and max(times, 1 / times) >= SCALED:
            told.append(f"{times:.3g} times as large in the mean")
        elif outside(before, after) >= 2 * TOLD:
            told.append(f"{outside(before, after):.0%} lie outside the usual range")
    return told
