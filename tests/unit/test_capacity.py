"""What is found at the review capacity, and from which probability claims are flagged."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import precision_score, recall_score

from jobs.evaluate.capacity import at_capacity, flag_threshold
from shared import metrics

RANDOM = np.random.default_rng(0)
Y = (RANDOM.random(1000) < 0.2).astype(float)
FLAGGED = (RANDOM.random(1000) < 0.1 + 0.3 * Y).astype(float)
AMOUNT = RANDOM.lognormal(7, 1, 1000)


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "RESAMPLES", 200)


def test_figures_are_scikit_learns_and_sums() -> None:
    """Recall and precision are scikit-learn's, lift is precision by the fraud rate, money a plain sum."""
    found = at_capacity(Y, FLAGGED, AMOUNT, 300.0)
    precision = precision_score(Y, FLAGGED)
    assert found.recall.value == pytest.approx(recall_score(Y, FLAGGED))
    assert found.precision.value == pytest.approx(precision)
    assert found.lift.value == pytest.approx(precision / Y.mean())
    caught = sum(amount for y, flag, amount in zip(Y, FLAGGED, AMOUNT, strict=True) if y and flag)
    assert found.caught is not None
    assert found.net is not None
    assert found.caught.value == pytest.approx(caught)
    assert found.net.value == pytest.approx(caught - 300 * FLAGGED.sum())
    assert (found.claims, found.flagged, found.frauds) == (1000, FLAGGED.sum(), Y.sum())


def test_intervals_hold_their_figure() -> None:
    """Each figure lies within its interval, which has some width."""
    found = at_capacity(Y, FLAGGED, AMOUNT, 300.0)
    for estimate in (found.recall, found.precision, found.lift, found.caught, found.cost, found.net):
        assert estimate is not None
        assert estimate.low < estimate.value < estimate.high


def test_recall_covers() -> None:
    """Over many samples of one population, recall's interval holds the truth about 95 times of 100."""
    held = 0
    for seed in range(100):
        random = np.random.default_rng(seed)
        y = (random.random(400) < 0.3).astype(float)
        flagged = (random.random(400) < np.where(y, 0.6, 0.1)).astype(float)
        found = at_capacity(y, flagged, None, 0.0, seed)
        held += found.recall.low <= 0.6 <= found.recall.high
    assert 0.9 <= held / 100 <= 0.99


def test_amounts_that_are_unknown_count_as_nothing_and_are_counted() -> None:
    """A fraud caught whose amount is not known brings nothing, and is told; without amounts there is no money."""
    amount = np.array([100.0, np.nan, np.nan])
    found = at_capacity(np.array([1.0, 1.0, 0.0]), np.ones(3), amount, 10.0)
    assert found.net is not None
    assert (found.net.value, found.amounts_unknown) == (70, 1)
    assert at_capacity(np.ones(1), np.ones(1), None, 10.0).net is None


@pytest.mark.filterwarnings("error")
def test_none_flagged() -> None:
    """Where nothing is flagged nothing is found or spent, and precision says nothing."""
    found = at_capacity(np.array([1.0, 0.0]), np.zeros(2), np.ones(2), 10.0)
    assert found.net is not None
    assert (found.recall.value, found.net.value) == (0, 0)
    assert math.isnan(found.precision.value)


@pytest.mark.parametrize("seed", range(20))
def test_threshold_never_flags_more_than_there_is_room_for(seed: int) -> None:
    """Ties or not, no more claims are flagged than investigators can review; and no lower value would do."""
    random = np.random.default_rng(seed)
    probability = random.choice(np.round(random.random(random.integers(1, 30)), 2), 200)
    weeks, capacity = float(random.uniform(0.1, 12)), int(random.integers(1, 30))
    threshold = flag_threshold(probability, weeks, capacity)
    assert (probability >= threshold).sum() <= capacity * weeks
    lower = probability[probability < threshold]
    assert lower.size == 0 or (probability >= lower.max()).sum() > int(capacity * weeks)


def test_threshold_of_claims_that_are_all_alike() -> None:
    """Where all claims tie and there is no room for all, none is flagged; where there is, all are."""
    same = np.ones(10)
    assert (same >= flag_threshold(same, 1.0, 9)).sum() == 0
    assert (same >= flag_threshold(same, 1.0, 10)).sum() == 10
    assert flag_threshold(np.zeros(0), 1.0, 1) == 0
