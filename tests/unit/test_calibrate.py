"""Calibration: probabilities that come true, in an order that stays."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.train.calibrate import platt
from shared.features import Floats
from shared.model import Calibration

RANDOM = np.random.default_rng(0)
TRUE = RANDOM.normal(-2, 1.2, 20_000)
Y = (RANDOM.random(TRUE.size) < 1 / (1 + np.exp(-TRUE))).astype(float)


def calibrated(found: Calibration, score: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-(found.slope * score + found.intercept))))


@pytest.mark.parametrize(("scale", "moved"), [(1, 0), (3, 5), (0.01, -300), (1e6, 0)])
def test_log_odds_are_found_again(scale: float, moved: float) -> None:
    """However the score was stretched and moved, the log odds are found again."""
    probability = calibrated(platt(scale * TRUE + moved, Y), scale * TRUE + moved)
    assert probability.sum() == pytest.approx(Y.sum(), rel=0.001)
    assert np.abs(probability - 1 / (1 + np.exp(-TRUE))).max() < 0.03


def test_a_shift_is_not_foretold() -> None:
    """What the level of fraud rose by while the claims happened is not made part of the calibration."""
    shift = np.where(np.arange(TRUE.size) < 10_000, 0.0, 1.0)
    risen = (RANDOM.random(TRUE.size) < 1 / (1 + np.exp(-TRUE - shift))).astype(float)
    assert platt(TRUE, risen, shift).intercept == pytest.approx(0, abs=0.1)
    assert platt(TRUE, risen).intercept > 0.3


@pytest.mark.parametrize(
    ("score", "y"),
    [
        (-TRUE, Y),
        (np.zeros(10), np.r_[1.0, np.zeros(9)]),
        (np.arange(10.0), (np.arange(10) > 6).astype(float)),
        (np.arange(4.0), np.zeros(4)),
        (np.arange(4.0), np.ones(4)),
        (np.zeros(1), np.ones(1)),
    ],
    ids=["reversed", "constant", "parted", "no fraud", "all fraud", "one claim"],
)
def test_odd_scores_keep_their_order_and_give_probabilities(score: Floats, y: Floats) -> None:
    """Whatever the score, the slope is above 0 and no probability is 0 or 1."""
    found = platt(score, y)
    assert found.slope > 0
    probability = calibrated(found, score)
    assert ((probability > 0) & (probability < 1)).all()
