"""Figures of a ranking, against scikit-learn, brute force and known intervals."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from shared import metrics
from shared.metrics import (
    Floats,
    average_precision,
    calibration_error,
    curve,
    deciles,
    distance,
    paired_difference,
    ranking_metrics,
    recall_at,
    roc_auc,
    tenths,
    wilson,
)

NOTHING = np.array([])


def _sample(seed: int, n: int, levels: int, prevalence: float = 0.1) -> tuple[Floats, Floats]:
    """Draw outcomes and related scores; few levels make many ties."""
    random = np.random.default_rng(seed)
    y = (random.random(n) < prevalence).astype(float)
    y[:2] = 0, 1  # both kinds, always
    return y, np.floor((0.7 * random.random(n) + 0.3 * y) * levels) / levels


samples = pytest.mark.parametrize(
    ("n", "levels"), list(itertools.product([2, 3, 40, 2000], [1, 2, 7, 10**9])), ids=lambda value: f"{value}"
)


@samples
def test_average_precision_is_scikit_learns(n: int, levels: int) -> None:
    """Average precision is scikit-learn's, ties included."""
    for seed in range(5):
        y, p = _sample(seed, n, levels)
        assert average_precision(y, p) == pytest.approx(average_precision_score(y, p))


@samples
def test_roc_auc_is_scikit_learns(n: int, levels: int) -> None:
    """The area under the ROC curve is scikit-learn's, ties counted half."""
    for seed in range(5):
        y, p = _sample(seed, n, levels)
        assert roc_auc(y, p) == pytest.approx(roc_auc_score(y, p))


@pytest.mark.parametrize("share", [0.0, 0.1, 1 / 3, 0.5, 0.8, 1.0])
@pytest.mark.parametrize(
    ("y", "p"),
    [
        ([1, 0, 0, 1, 0, 1], [0.9, 0.5, 0.5, 0.5, 0.5, 0.1]),
        ([1, 0, 0, 1, 0, 1], [0.5] * 6),
        ([0, 0, 1, 1, 0, 1], [0.9, 0.9, 0.9, 0.2, 0.2, 0.2]),
        ([1, 1, 0, 0, 0, 1], [0.6, 0.5, 0.4, 0.3, 0.2, 0.1]),
    ],
    ids=["tie across the cut", "all tied", "two groups", "no ties"],
)
def test_recall_counts_ties_in_expectation(y: list[int], p: list[float], share: float) -> None:
    """Recall at a share is its mean over all orders of the tied claims, with a cut within a claim counting in part."""
    orders = [order for order in itertools.permutations(range(6)) if _descends([p[i] for i in order])]
    expected = np.mean([_recall_in_order(np.array(y)[list(order)], share) for order in orders])
    assert recall_at(np.array(y, float), np.array(p), share) == pytest.approx(expected)


def _descends(values: list[float]) -> bool:
    return all(first >= second for first, second in itertools.pairwise(values))


def _recall_in_order(y: Floats, share: float) -> float:
    cut = share * len(y)
    return float(sum(y[i] * min(1.0, max(0.0, cut - i)) for i in range(len(y))) / y.sum())


def test_lift_is_recall_by_share() -> None:
    """A lift is how many times more frauds than chance a share of the claims holds."""
    y, p = _sample(1, 500, 10**9)
    found = ranking_metrics(y, p)
    assert found["lift_top_decile"].value == pytest.approx(recall_at(y, p, 0.1) / 0.1)
    assert found["lift_top_two_deciles"].value == pytest.approx(recall_at(y, p, 0.2) / 0.2)
    assert found["recall_at_5_percent"].value == pytest.approx(recall_at(y, p, 0.05))
    assert found["prevalence"].value == pytest.approx(y.mean())


def test_intervals_hold_their_figure() -> None:
    """Each interval holds its figure, is ordered, and has some width."""
    y, p = _sample(2, 1500, 10**9)
    for name, estimate in ranking_metrics(y, p).items():
        assert estimate.low < estimate.value < estimate.high, name


def test_intervals_cover(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over many samples of one population, an interval holds the truth about 95 times of 100.

    For normal scores one standard deviation apart, the truth is the normal distribution at the square root of a half.
    """
    monkeypatch.setattr(metrics, "RESAMPLES", 200)
    truth = 0.5 * (1 + math.erf(0.5))
    random = np.random.default_rng(3)
    held = 0
    for seed in range(200):
        y = (random.random(400) < 0.3).astype(float)
        estimate = ranking_metrics(y, random.normal(size=400) + y, seed)["roc_auc"]
        held += estimate.low <= truth <= estimate.high
    assert 0.88 <= held / 200 <= 0.99


def test_the_same_seed_gives_the_same_interval() -> None:
    """Intervals are reproducible, and another seed draws other samples."""
    y, p = _sample(4, 300, 10**9)
    assert ranking_metrics(y, p, seed=1) == ranking_metrics(y, p, seed=1)
    assert ranking_metrics(y, p, seed=1) != ranking_metrics(y, p, seed=2)


def test_large_samples_are_resampled_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the size called large on, fewer resamples are drawn, and their number does not depend on the blocks."""
    monkeypatch.setattr(metrics, "LARGE", 10)
    y, p = _sample(5, 50, 10**9)
    blocks = list(metrics.Ranking(y, p).resamples(0))
    assert sum(len(block) for block in blocks) == metrics.RESAMPLES_LARGE
    assert all(block.sum(axis=1).tolist() == [50] * len(block) for block in blocks)


def test_a_model_does_not_differ_from_itself() -> None:
    """The paired difference of a ranking and itself is nil, without an interval around it."""
    y, p = _sample(6, 400, 10**9)
    difference = paired_difference(y, p, p)
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)


def test_a_better_model_is_told_from_a_worse_one() -> None:
    """The paired difference is that of the two figures, and its interval is clear of nil for a much better ranking."""
    y, p = _sample(7, 2000, 10**9)
    noise = np.random.default_rng(8).random(2000)
    difference = paired_difference(y, p, noise)
    assert difference.value == pytest.approx(average_precision(y, p) - average_precision(y, noise))
    assert 0 < difference.low < difference.value < difference.high
    opposite = paired_difference(y, noise, p)
    assert opposite.value == pytest.approx(-difference.value)


def test_pairing_narrows_the_interval() -> None:
    """Two rankings that are nearly alike have a narrower interval for their difference than each by itself."""
    y, p = _sample(9, 1000, 10**9)
    near = p + np.random.default_rng(10).normal(scale=0.005, size=1000)
    difference, alone = paired_difference(y, p, near), ranking_metrics(y, p)["average_precision"]
    assert difference.high - difference.low < (alone.high - alone.low) / 3


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (1, 10), (5, 10), (10, 10), (3, 1000)])
def test_wilson_is_scipys(successes: int, trials: int) -> None:
    """Wilson's interval is SciPy's."""
    theirs = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    assert wilson(successes, trials, 1.959963984540054) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_calibration_error() -> None:
    """Twice as many frauds expected as found is as far off as half as many."""
    y = np.array([1.0, 0, 0, 0])
    assert calibration_error(y, np.full(4, 0.5)) == pytest.approx(math.log(2))
    assert calibration_error(y, np.full(4, 0.125)) == pytest.approx(math.log(2))
    assert calibration_error(y, np.zeros(4)) == math.inf
    assert calibration_error(np.zeros(4), np.full(4, 0.5)) == math.inf


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "y",
    [pytest.param(NOTHING, id="no claims"), pytest.param(np.zeros(3), id="no fraud")],
)
def test_nothing_to_find(y: Floats) -> None:
    """Without a fraud no ranking can be judged: NaN, and no warning."""
    p = np.linspace(0, 1, len(y))
    assert math.isnan(average_precision(y, p))
    assert math.isnan(roc_auc(y, p))
    assert math.isnan(recall_at(y, p, 0.1))
    found = ranking_metrics(y, p)
    judged = [estimate for name, estimate in found.items() if name != "prevalence"]
    assert all(math.isnan(number) for e in judged for number in (e.value, e.low, e.high))
    assert all(math.isnan(number) for number in vars(paired_difference(y, p, p)).values())


@pytest.mark.filterwarnings("error")
def test_nothing_but_fraud() -> None:
    """Where every claim is a fraud, precision is full and the area under the curve says nothing."""
    y, p = np.ones(4), np.array([0.1, 0.1, 0.5, 0.9])
    assert average_precision(y, p) == 1
    assert math.isnan(roc_auc(y, p))
    assert recall_at(y, p, 0.5) == 0.5


@pytest.mark.filterwarnings("error")
def test_one_fraud() -> None:
    """A single claim can be judged; its interval is a point."""
    found = ranking_metrics(np.array([1.0]), np.array([0.3]))
    assert (found["average_precision"].value, found["average_precision"].low) == (1, 1)


@samples
def test_points_lie_on_scikit_learns_curves(n: int, levels: int) -> None:
    """Each point of the curves is one of scikit-learn's, the last is all claims, and there are at most a hundred."""
    y, p = _sample(11, n, levels)
    found = curve(y, p)
    precision, recall, _ = precision_recall_curve(y, p)
    alarms, hits, _ = roc_curve(y, p, drop_intermediate=False)
    theirs = {(round(r, 9), round(q, 9)) for r, q in zip(recall, precision, strict=True)}
    assert {(round(point["recall"], 9), round(point["precision"], 9)) for point in found} <= theirs
    theirs = {(round(a, 9), round(h, 9)) for a, h in zip(alarms, hits, strict=True)}
    assert {(round(point["false_positive_rate"], 9), round(point["recall"], 9)) for point in found} <= theirs
    assert (found[-1]["claims"], found[-1]["recall"], found[-1]["false_positive_rate"]) == (1, 1, 1)
    assert len(found) <= 100


def test_deciles_are_those_of_a_spreadsheet() -> None:
    """Sorted, cut into ten, counted: expected and actual frauds per bin, cumulative share; as by pandas' own means."""
    import pandas as pd

    y, p = _sample(12, 1000, 10**9)
    table = pd.DataFrame({"y": y, "p": p}).sort_values("p", ascending=False, ignore_index=True)
    bins = table.groupby(table.index // 100)
    found = deciles(y, p)
    assert [decile.frauds for decile in found] == pytest.approx(bins["y"].sum().tolist())
    assert [decile.expected for decile in found] == pytest.approx(bins["p"].sum().tolist())
    assert [decile.cumulative_recall for decile in found] == pytest.approx(
        (bins["y"].sum().cumsum() / y.sum()).tolist()
    )


@pytest.mark.parametrize(("n", "levels"), [(1, 1), (7, 2), (10, 10**9), (95, 5), (1000, 3)])
def test_tenths_share_out_every_claim(n: int, levels: int) -> None:
    """Each claim is shared out whole, each bin holds a tenth, and ties share alike."""
    p = np.floor(np.random.default_rng(13).random(n) * levels) / levels
    found = tenths(p)
    assert found.sum(axis=1) == pytest.approx(np.ones(n))
    assert found.sum(axis=0) == pytest.approx(np.full(10, n / 10))
    assert all(np.ptp(found[p == value], axis=0).max() == 0 for value in np.unique(p))


def test_distance_takes_off_what_chance_adds() -> None:
    """Where resampling adds as much as chance had, the lower bound is none; it is never negative."""
    resampled = np.linspace(0.1, 0.3, 1001)
    found = distance(0.2, resampled)
    assert (found.low, found.high) == pytest.approx((0.105, 0.295))
    assert distance(0.1, resampled).low == 0
