"""How much features weigh, and whether two models lean on the same ones."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from shared import importance as module
from shared.features import Bins, Feature
from shared.importance import importance, rank_correlation
from shared.model import Logistic, Model

FEATURES = (Feature("a", ("a",), "number"), Feature("b", ("b",), "number"))
MODEL = Model(
    "logistic",
    FEATURES,
    (Logistic((Bins((0.5,)), Bins()), ((0.0, 0.0, -1.0, 3.0), (0.0, 0.0, 0.0)), (2.0, 1.0), 0.0),),
)


def test_importance_is_the_mean_size_of_a_share() -> None:
    """A feature weighs as much as it moves the log odds of a claim on average, up or down."""
    claims = pl.DataFrame({"a": [0.0, 0.0, 0.0, 1.0], "b": [0.0, 1.0, 2.0, 3.0]})
    assert importance(MODEL, claims, 1) == {"a": (3 * 2.0 + 6.0) / 4, "b": 0.0}
    assert importance(MODEL, claims.head(0), 1) == {}


def test_many_claims_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many claims some are drawn, the same each time."""
    monkeypatch.setattr(module, "WEIGHED", 50)
    claims = pl.DataFrame({"a": np.random.default_rng(0).random(1000), "b": np.zeros(1000)})
    first = importance(MODEL, claims, 1)
    assert first == importance(MODEL, claims, 1)
    assert first["a"] != 4.0


def test_correlation_is_scipys() -> None:
    """The rank correlation is SciPy's, ties included, over the features of either model."""
    random = np.random.default_rng(1)
    for _ in range(20):
        first, second = random.integers(0, 5, (2, 8)).astype(float)
        names = [f"f{n}" for n in range(8)]
        ours = rank_correlation(dict(zip(names, first, strict=True)), dict(zip(names, second, strict=True)))
        assert ours == pytest.approx(spearmanr(first, second).statistic)


def test_new_features_do_not_make_a_model_unstable() -> None:
    """Features of one model only are left out: the ranks of the others among themselves are compared."""
    champion = {"a": 3.0, "b": 2.0, "c": 1.0, "gone": 9.0}
    assert rank_correlation({"new": 9.0, "a": 0.3, "b": 0.2, "c": 0.1}, champion) == 1.0


@pytest.mark.parametrize(
    ("first", "second"),
    [({}, {}), ({"a": 1.0, "b": 2.0}, {"a": 2.0}), ({"a": 1.0, "b": 1.0, "c": 1.0}, {"a": 3.0, "b": 2.0, "c": 1.0})],
)
def test_too_little_to_correlate(first: dict[str, float], second: dict[str, float]) -> None:
    """With fewer than three features, or where all weigh the same, nothing is said."""
    assert rank_correlation(first, second) is None
