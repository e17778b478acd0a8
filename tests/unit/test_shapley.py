"""Shapley values from tables: those of the definition, and XGBoost's own."""

from __future__ import annotations

import json
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import pytest
import xgboost
from numpy.typing import NDArray

from shared.parts import UNKNOWN
from shared.shapley import MOST, TOGETHER, Shapley

FEATURES = 9
Rows = NDArray[np.float32]


def rows_of(count: int, seed: int = 0) -> Rows:
    """Numbers of few values, so that claims lie on the edges of splits, and unknown ones."""
    random = np.random.default_rng(seed)
    rows = random.integers(0, 8, (count, FEATURES)).astype(np.float32)
    rows[random.random(rows.shape) < 0.05] = UNKNOWN
    return rows


def grown(rounds: int = 5, **parameters: Any) -> xgboost.Booster:
    """Trees on claims whose outcome depends on features together."""
    rows = rows_of(3000)
    seen = np.maximum(rows, -1)
    odds = seen[:, 0] * seen[:, 1] / 8 + np.sin(seen).sum(axis=1) - 2
    y = np.random.default_rng(1).random(len(rows)) < 1 / (1 + np.exp(-odds))
    settings = {"objective": "binary:logistic", "tree_method": "hist", "nthread": 1, **parameters}
    return xgboost.train(settings, xgboost.DMatrix(rows, y), rounds)


def trees_of(booster: xgboost.Booster) -> list[dict[str, Any]]:
    """What XGBoost writes of its trees."""
    return json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]  # type: ignore[no-any-return]


def tables(booster: xgboost.Booster) -> Shapley:
    """Make the tables of trees that are shallow enough."""
    made = Shapley.of(trees_of(booster), FEATURES)
    assert made is not None
    return made


def expected(tree: dict[str, Any], row: Rows, known: frozenset[int], node: int = 0) -> float:
    """What a tree gives a claim of which only some features are known; by the shares of training claims otherwise."""
    left, right = tree["left_children"][node], tree["right_children"][node]
    limit = np.float32(tree["split_conditions"][node])
    if left < 0:
        return float(limit)
    if (feature := tree["split_indices"][node]) in known:
        return expected(tree, row, known, left if row[feature] < limit else right)
    cover = tree["sum_hessian"]
    both = [cover[child] / cover[node] * expected(tree, row, known, child) for child in (left, right)]
    return sum(both)


def by_definition(tree: dict[str, Any], row: Rows) -> list[float]:
    """What each feature adds to those known before it, over all orders in which they could become known."""
    found = []
    for feature in range(FEATURES):
        others = [other for other in range(FEATURES) if other != feature]
        added = 0.0
        for size in range(FEATURES):
            weight = factorial(size) * factorial(FEATURES - size - 1) / factorial(FEATURES)
            for before in map(frozenset, combinations(others, size)):
                added += weight * (expected(tree, row, before | {feature}) - expected(tree, row, before))
        found.append(added)
    return found


def test_they_are_those_of_the_definition() -> None:
    """To the last digits, where a feature is asked for more than once on a path, too."""
    booster = grown(rounds=1, max_depth=6)
    (tree,) = trees_of(booster)
    rows = rows_of(3, seed=2)
    assert tables(booster).values(rows) == pytest.approx(
        np.array([by_definition(tree, row) for row in rows]), abs=1e-12
    )


@pytest.mark.parametrize(
    "parameters",
    [
        *({"max_depth": depth} for depth in range(1, MOST + 1)),
        {"max_depth": 4, "rounds": 1, "num_parallel_tree": 20, "subsample": 0.6, "colsample_bynode": 0.4},
        {"max_depth": 0, "max_leaves": 12, "grow_policy": "lossguide", "interaction_constraints": "[[0,1,2],[3,4,5]]"},
    ],
    ids=str,
)
def test_they_are_those_of_xgboost(parameters: dict[str, Any]) -> None:
    """To single precision, of boosted trees and forests, balanced or not."""
    booster, rows = grown(**parameters), rows_of(2 * TOGETHER + 1, seed=3)
    own = booster.predict(xgboost.DMatrix(rows), pred_contribs=True)[:, :-1]
    assert np.abs(own).max() > 0.01
    assert tables(booster).values(rows) == pytest.approx(own, abs=1e-5)


def test_a_claim_has_the_same_alone_and_among_others() -> None:
    """How many claims are looked up together, and by how many threads, changes nothing."""
    made, rows = tables(grown(max_depth=5)), rows_of(TOGETHER + 7)
    alone = np.concatenate([made.values(row[None, :]) for row in rows])
    assert made.values(rows) == pytest.approx(alone, abs=1e-14)
    assert np.array_equal(made.values(rows, threads=2), made.values(rows))
    assert made.values(rows[:0]).shape == made.values(rows[:0], threads=2).shape == (0, FEATURES)


def test_paths_of_too_many_features_have_no_tables() -> None:
    """One feature more would double them."""
    booster = grown(max_depth=MOST + 2)
    assert Shapley.of(trees_of(booster), FEATURES) is None


def test_trees_without_a_split_add_nothing() -> None:
    """A tree that is one leaf gives every claim the same."""
    booster = grown(rounds=2, max_depth=3, gamma=1e9)
    assert not tables(booster).values(rows_of(4)).any()
