"""Folds go forward in time, or are drawn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from jobs.train.folds import FOLDS, drawn_folds, forward_auc, forward_folds, mean_by_frauds
from shared.features import Feature

DAY = datetime(2024, 1, 1, tzinfo=UTC)
NUMBER = Feature("x", ("x",), "number")


def times(days: list[int]) -> list[datetime]:
    return [DAY + timedelta(days=day) for day in days]


def test_no_fold_knows_its_future() -> None:
    """Each fold's past was over and its outcomes known before its future began; no moment stands on both sides."""
    random = np.random.default_rng(0)
    events = times(sorted(random.integers(0, 60, 500).tolist()))
    known = [
        event + timedelta(days=int(delay)) for event, delay in zip(events, random.integers(0, 30, 500), strict=True)
    ]
    folds = forward_folds(events, known)
    assert len(folds) == FOLDS
    for fold in folds:
        begins = events[fold.future[0]]
        assert all(known[row] < begins and events[row] < begins for row in fold.past)
    judged = np.concatenate([fold.future for fold in folds])
    assert judged.tolist() == list(range(judged[0], 500))


def test_drawn_folds_judge_each_claim_once() -> None:
    """Where no column dates the claims, each is judged once by what was learnt from others; the lot decides."""
    draws = np.random.default_rng(0).integers(0, 2**32, 500)
    folds = drawn_folds(draws)
    assert len(folds) == FOLDS
    assert sorted(np.concatenate([fold.future for fold in folds]).tolist()) == list(range(500))
    assert all(not set(fold.past) & set(fold.future) for fold in folds)
    again = drawn_folds(draws[::-1])
    assert [sorted(499 - fold.future) for fold in again] == [fold.future.tolist() for fold in folds]
    assert drawn_folds(draws[:1]) == drawn_folds(draws[:0]) == []


@pytest.mark.parametrize("days", [[], [0], [0, 0, 0, 0], [0, 1]])
def test_too_little_makes_no_fold_or_a_sound_one(days: list[int]) -> None:
    """A handful of claims, or claims of one moment, raise nothing."""
    for fold in forward_folds(times(days), times(days)):
        assert fold.past.size
        assert fold.past.max() < fold.future.min()


def test_outcomes_known_late_leave_no_fold() -> None:
    """Where every outcome came after the last claim, there is nothing to learn from."""
    events = times(list(range(100)))
    assert forward_folds(events, times([200] * 100)) == []


def test_mean_weighs_folds_by_frauds() -> None:
    """A fold counts by its frauds, and one that could not be judged not at all."""
    folds = forward_folds(times(list(range(100))), times(list(range(100))))
    y = np.zeros(100)
    y[[45, 46, 47, 60]] = 1
    assert mean_by_frauds([0.4, 0.8, float("nan"), 0.0], y, folds) == pytest.approx(0.5)
    assert np.isnan(mean_by_frauds([0.5] * 4, np.zeros(100), folds))


def test_forward_auc_tells_signal_from_noise() -> None:
    """A feature that follows the label ranks later claims, one that is constant or noise does not."""
    random = np.random.default_rng(0)
    folds = forward_folds(times(list(range(2000))), times(list(range(2000))))
    y = (random.random(2000) < 0.2).astype(float)
    assert forward_auc(NUMBER, pl.Series("x", y + random.normal(0, 1, 2000)), y, folds) > 0.65
    assert forward_auc(NUMBER, pl.Series("x", random.random(2000)), y, folds) == pytest.approx(0.5, abs=0.06)
    assert forward_auc(NUMBER, pl.Series("x", np.ones(2000)), y, folds) == 0.5
