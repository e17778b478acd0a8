"""Figures of late outcomes, with weights and intervals, and what a model's own probabilities say of them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from jobs.drift.performance import METRICS, estimated, realised
from shared.metrics import Floats


def drawn(n: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Calibrated probabilities and their outcomes."""
    random = np.random.default_rng(seed)
    p = 1 / (1 + np.exp(2.5 - random.normal(0, 1.3, n)))
    return p, (random.random(n) < p).astype(float)


def test_figures_are_those_of_scikit_learn() -> None:
    """With weights, the areas under both curves are those of scikit-learn, and the rest are plain shares."""
    p, y = drawn(1000)
    weight, flagged = np.random.default_rng(1).choice([1.0, 40.0], 1000), (p > 0.2).astype(float)
    found = realised(p, y, weight, flagged)
    assert list(found) == list(METRICS)
    assert found["roc_auc"].value == pytest.approx(roc_auc_score(y, p, sample_weight=weight))
    assert found["average_precision"].value == pytest.approx(average_precision_score(y, p, sample_weight=weight))
    caught = weight @ (y * flagged)
    assert found["precision"].value == pytest.approx(caught / (weight @ flagged))
    assert found["recall_at_capacity"].value == pytest.approx(caught / (weight @ y))
    assert found["prevalence"].value == pytest.approx(weight @ y / weight.sum())
    assert found["calibration"].value == pytest.approx(np.log(weight @ p / (weight @ y)))
    assert all(figure.low <= figure.value <= figure.high for figure in found.values())


def test_many_claims_in_groups_give_nearly_the_same() -> None:
    """More claims than are ranked one by one are told in groups, at no visible cost, flagged ones exactly."""
    p, y = drawn(60_000)
    found = realised(p, y, np.ones(p.size), (p > 0.2).astype(float))
    assert found["roc_auc"].value == pytest.approx(roc_auc_score(y, p), abs=5e-4)
    assert found["average_precision"].value == pytest.approx(average_precision_score(y, p), rel=0.01)
    assert found["precision"].value == pytest.approx(y[p > 0.2].mean())


def test_standard_errors_are_those_of_repeated_draws() -> None:
    """The bootstrap's error is about the spread of the figure over samples, weighted ones too."""
    weight = np.tile([1.0, 1.0, 1.0, 10.0], 200)
    runs = [realised(p, y, weight, (p > 0.2).astype(float), seed) for seed in range(60) for p, y in [drawn(800, seed)]]
    for name in ("roc_auc", "lift_top_decile", "precision", "calibration"):
        spread = np.std([run[name].value for run in runs])
        assert np.mean([run[name].error for run in runs]) == pytest.approx(spread, rel=0.3), name


def test_estimate_comes_true_where_probabilities_are_right() -> None:
    """Of calibrated probabilities the estimate's interval holds what comes true, for nearly all of many samples."""
    held = dict.fromkeys(("roc_auc", "average_precision", "precision", "recall_at_capacity", "prevalence"), 0)
    for seed in range(40):
        p, y = drawn(1000, seed)
        flagged = (p > 0.2).astype(float)
        expected, true = estimated(p, flagged), realised(p, y, np.ones(p.size), flagged)
        for name in held:
            held[name] += expected[name].low <= true[name].value <= expected[name].high
    assert min(held.values()) >= 34, held


def test_what_cannot_be_told_is_left_out() -> None:
    """Without frauds there is no ranking; without flagged claims no precision."""
    p = np.linspace(0.01, 0.1, 50)
    assert "roc_auc" not in realised(p, np.zeros(50), np.ones(50), np.zeros(50))
    found = realised(p, np.r_[1.0, np.zeros(49)], np.ones(50), np.zeros(50))
    assert "precision" not in found
    assert "roc_auc" in found
    assert "calibration" not in estimated(p, np.zeros(50))
