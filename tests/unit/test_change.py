"""Whether shares by group have moved apart, and which of many findings stand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.stats import false_discovery_control

from jobs.drift.change import association_changes, change, discoveries, leaning
from shared.features import Feature, values
from shared.profile import Profile

FEATURES = (Feature("a", ("a",), "number"), Feature("b", ("b",), "category"))


def drawn(random: np.random.Generator, claims: float, log_odds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    every = np.full(log_odds.size, claims)
    return random.binomial(int(claims), 1 / (1 + np.exp(-log_odds))).astype(float), every


def test_groups_that_moved_alike_are_found_changed_as_often_as_chance_says() -> None:
    """Where all shares fall alike, one test in twenty is below 0.05, and the change is small."""
    random, log_odds = np.random.default_rng(0), np.linspace(-3, -0.5, 8)
    found = [change(*drawn(random, 800, log_odds), *drawn(random, 500, log_odds - 0.4)) for _ in range(1000)]
    assert np.mean([each.p_value < 0.05 for each in found]) == pytest.approx(0.05, abs=0.02)
    assert np.mean([each.tau for each in found]) < 0.1


@pytest.mark.parametrize("claims", [400, 40_000])
def test_change_does_not_grow_with_the_claims(claims: int) -> None:
    """Groups whose log odds moved by 1 and by -1 have changed by 1, however many claims show it."""
    random, log_odds = np.random.default_rng(1), np.full(20, -1.0)
    moved = log_odds + np.tile([1.0, -1.0], 10)
    found = [change(*drawn(random, claims, log_odds), *drawn(random, claims, moved)).tau for _ in range(20)]
    assert np.mean(found) == pytest.approx(1.0, abs=0.1)


def test_groups_on_one_side_only_tell_nothing() -> None:
    """A group without claims before or after is left out; fewer than two leave nothing to compare."""
    found = change(np.array([5.0, 0.0]), np.array([50.0, 0.0]), np.array([45.0, 3.0]), np.array([50.0, 9.0]))
    assert (found.tau, found.p_value) == (0.0, 1.0)


def test_discoveries_are_those_of_scipy() -> None:
    """Benjamini and Hochberg's procedure, held against scipy's adjusted p-values."""
    random = np.random.default_rng(2)
    for _ in range(50):
        p = random.random(12) ** random.integers(1, 5)
        assert discoveries(p.tolist(), 0.05) == (false_discovery_control(p) <= 0.05).tolist()
    assert discoveries([], 0.05) == []


def test_feature_that_goes_with_fraud_otherwise_is_named() -> None:
    """Of two features the one whose frauds moved to other values is told, though no value comes more often."""
    random = np.random.default_rng(3)
    claims = pl.DataFrame({"a": random.random(4000), "b": random.choice(["x", "y", "z"], 4000)})
    high, y = claims["a"].to_numpy() > 0.7, random.random(4000)
    known = values(claims, FEATURES)
    before, after = (np.where(where, y < 0.3, y < 0.05).astype(float) for where in (high, ~high))
    profile = Profile.of(known, FEATURES)
    found = association_changes(known, before, known, after, profile, 0.01)
    assert {measure.feature: measure.verdict for measure in found} == {"a": "watch", "b": "ok"}
    assert not any(each.reason for each in association_changes(known, before, known, before, profile, 0.01))


def test_leaning_on_other_features_is_worth_a_word() -> None:
    """The limit is that of the contract's gate."""
    assert leaning(0.4, 0.0).verdict == "ok"
    assert leaning(-0.1, 0.0).verdict == "watch"
