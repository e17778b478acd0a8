"""Whether a window still looks like training, and whether the model still ranks it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from jobs.drift.measure import WHOLE, Measure, compare, overall, performance
from shared.contract import Drift
from shared.features import features_of, values
from shared.profile import PROBABILITY, Profile
from tests import claims_factory
from tests.claims_factory import ODD

FEATURES = features_of(claims_factory.contract())
RANDOM = np.random.default_rng(0)
PROFILE = Profile.of(values(claims_factory.claims(3000), FEATURES), FEATURES) + Profile.of(
    pl.DataFrame({PROBABILITY.name: RANDOM.random(1000)}), [PROBABILITY]
)


def verdicts(claims: pl.DataFrame, probability: np.ndarray) -> dict[str, str]:
    measures = compare(PROFILE, values(claims, FEATURES), probability, Drift())
    return {measure.feature: measure.verdict for measure in measures if measure.metric == "psi"}


@pytest.mark.parametrize("seed", range(1, 11))
def test_claims_like_those_of_training_raise_no_alarm(seed: int) -> None:
    """A small window drawn like the training claims is ok in each column, those of many levels too."""
    claims = claims_factory.claims(120, seed=seed)
    assert set(verdicts(claims, np.random.default_rng(seed).random(120)).values()) == {"ok"}


def test_shifted_column_asks_for_a_new_model() -> None:
    """A column whose values moved is named, and the others are not."""
    claims = claims_factory.claims(400, seed=1).with_columns(pl.col("amount") * 3, pl.lit("new").alias(ODD))
    found = verdicts(claims, RANDOM.random(400))
    assert {feature for feature, verdict in found.items() if verdict == "retrain"} == {"amount", ODD}


def test_shifted_probabilities_ask_for_a_new_model() -> None:
    """Probabilities that left the range of the judged window are a shift of their own."""
    assert verdicts(claims_factory.claims(400, seed=1), np.full(400, 0.99))[PROBABILITY.name] == "retrain"


def test_performance_waits_for_outcomes() -> None:
    """Fewer than ten frauds, or nothing but frauds, tell nothing of the ranking."""
    probability = RANDOM.random(50)
    assert performance(np.r_[np.ones(9), np.zeros(41)], probability, 0.7) == []
    assert performance(np.ones(50), probability, 0.7) == []
    assert performance(np.zeros(0), np.zeros(0), 0.7) == []


def test_ranking_surely_worse_than_judged_asks_for_a_new_model() -> None:
    """Only a window whose upper bound lies below what was judged is worse; without such a bound none is."""
    y = np.repeat([1.0, 0.0], [40, 360])
    noise = RANDOM.random(400)
    assert overall(performance(y, noise, 0.8)).verdict == "retrain"
    assert overall(performance(y, noise, None)).verdict == "ok"
    assert overall(performance(y, y + noise, 0.8)).verdict == "ok"


def test_overall_verdict_is_the_gravest_with_its_reasons_first() -> None:
    """The summary takes the gravest verdict, and tells the reasons by weight."""
    measures = [
        Measure("a", "psi", 0.2, 0.1, "watch", "a moved"),
        Measure("b", "psi", 0.3, 0.1, "retrain", "b moved"),
        Measure("c", "psi", 0.0, 0.1, "ok"),
    ]
    assert overall(measures) == Measure(WHOLE, "verdict", 2.0, None, "retrain", "b moved; a moved")
    assert overall([]).verdict == "ok"
