"""The lift table and the curves against independent ones."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import auc, precision_recall_curve, roc_curve

from shared.metrics import curve, deciles


def ranked(seed: int, claims: int) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes and probabilities, no two alike."""
    random = np.random.default_rng(seed)
    p = random.permutation(np.linspace(0.01, 0.9, claims))
    return (random.random(claims) < p**2).astype(float), p


@pytest.mark.parametrize("seed", range(5))
def test_the_lift_table_in_six_steps(seed: int) -> None:
    """Sorted, cut into ten equal bins, predicted and actual frauds of each, cumulative gains: as by hand."""
    y, p = ranked(seed, 740)
    by_hand = (
        pl.DataFrame({"y": y, "p": p})
        .sort("p", descending=True)
        .with_columns(place=pl.int_range(pl.len()) * 10 // pl.len())
        .group_by("place", maintain_order=True)
        .agg(pl.len(), pl.col("p").sum(), pl.col("y").sum())
        .with_columns(found=pl.col("y").cum_sum() / pl.col("y").sum())
    )
    told = deciles(y, p)
    assert [row.claims for row in told] == by_hand["len"].to_list()
    assert [row.expected for row in told] == pytest.approx(by_hand["p"].to_list())
    assert [row.frauds for row in told] == pytest.approx(by_hand["y"].to_list())
    assert [row.cumulative_recall for row in told] == pytest.approx(by_hand["found"].to_list())


@pytest.mark.parametrize("seed", range(5))
def test_points_of_the_curves_are_the_librarys(seed: int) -> None:
    """Every point that is told lies on scikit-learn's curves, and the thinned ROC curve has their area."""
    y, p = ranked(seed, 600)
    points = curve(y, p)
    precision, recall, _ = precision_recall_curve(y, p)
    alarms, found, _ = roc_curve(y, p, drop_intermediate=False)
    library = set(zip(recall.round(9), precision.round(9), strict=True))
    on_roc = set(zip(alarms.round(9), found.round(9), strict=True))
    for point in points:
        assert (round(point["recall"], 9), round(point["precision"], 9)) in library
        assert (round(point["false_positive_rate"], 9), round(point["recall"], 9)) in on_roc
    thinned = auc([point["false_positive_rate"] for point in points], [point["recall"] for point in points])
    assert thinned == pytest.approx(auc(alarms, found), abs=0.02)
