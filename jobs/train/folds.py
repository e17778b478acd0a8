"""Folds that go forward in time, as the model will: learn from the past, be judged by what came after.

Where no column dates the claims they are drawn, and flatter the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shared.features import Bins, Feature, Floats, weights_of_evidence
from shared.metrics import roc_auc

FOLDS = 4
HISTORY = 0.4
"""Share of the claims that is only ever learnt from."""
SCREEN_BINS = 5
SCREEN_PRIOR = 30.0

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Fold:
    """Rows to learn from, and later ones to be judged by; without a course of time, others."""

    past: Rows
    future: Rows


def forward_folds(event_times: Sequence[datetime], known_at: Sequence[datetime]) -> list[Fold]:
    """Cut claims into forward-chaining folds.

    Parameters
    ----------
    event_times : sequence of datetime
        Ascending.
    known_at : sequence of datetime
        When each claim's outcome was known; a fold learns only from what was known when its future began.

    Returns
    -------
    list of Fold
        At most `FOLDS`; claims of one moment stand on one side. Empty where there are too few claims.
    """
    n = len(event_times)
    moments = np.array([moment.timestamp() for moment in event_times])
    known = np.array([moment.timestamp() for moment in known_at])
    cuts = [round(n * (HISTORY + (1 - HISTORY) * step / FOLDS)) for step in range(FOLDS + 1)]
    bounds = [int(np.searchsorted(moments, moments[cut], side="left")) if cut < n else n for cut in cuts]
    folds = []
    for begin, end in pairwise(bounds):
        if end > begin > 0:
            past = np.flatnonzero(known[:begin] < moments[begin])
            folds.append(Fold(past, np.arange(begin, end)))
    return [fold for fold in folds if fold.past.size]


def drawn_folds(draws: Rows) -> list[Fold]:
    """Part claims without a date into folds: each is judged once, by what was learnt from all others.

    Parameters
    ----------
    draws : array of shape (n,)
        Whole numbers, one a claim. The lowest digits choose the fold; the highest chose those that judge the model.
    """
    places = draws % FOLDS
    folds = [Fold(np.flatnonzero(places != place), np.flatnonzero(places == place)) for place in range(FOLDS)]
    return [fold for fold in folds if fold.past.size and fold.future.size]


def mean_by_frauds(scores: Sequence[float], y: Floats, folds: Sequence[Fold]) -> float:
    """Mean over folds, each counting by its frauds: a fold without any can tell nothing."""
    weights = np.array([y[fold.future].sum() for fold in folds])
    told = np.isfinite(scores) & (weights > 0)
    return float(np.average(np.asarray(scores)[told], weights=weights[told])) if told.any() else float("nan")


def forward_auc(feature: Feature, column: pl.Series, y: Floats, folds: Sequence[Fold]) -> float:
    """How well one feature alone ranks later claims, by weights of evidence learnt from earlier ones; 0.5 is chance."""
    bins = Bins.of(feature, column, SCREEN_BINS)
    codes = bins.codes(column)
    scores = []
    for fold in folds:
        evidence = weights_of_evidence(codes[fold.past], y[fold.past], bins.size, SCREEN_PRIOR)
        scores.append(roc_auc(y[fold.future], evidence[codes[fold.future]]))
    mean = mean_by_frauds(scores, y, folds)
    return mean if np.isfinite(mean) else 0.5
