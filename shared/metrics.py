"""How well claims are ranked: precision, recall and lift, each with an interval.

Claims of equal probability form one group. Where a cut falls inside a group, the group's frauds count in expectation,
as if its claims stood in random order; so no figure depends on the order of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 1000
RESAMPLES_LARGE = 200
LARGE = 50_000
"""Rows from which fewer resamples do: an interval's own noise shrinks with its width."""
LEVEL = 0.95
OPTIMISTIC = (
    "optimistic, since the split is random: no column dates the claims, so those that judged the model are of the same "
    "days as those it learnt from, and later ones will be ranked less well"
)
"""Said beside every figure of a model that was not judged by time."""
FIGURES = (
    "average_precision",
    "roc_auc",
    "recall_at_5_percent",
    "recall_at_10_percent",
    "recall_at_20_percent",
    "lift_top_decile",
    "lift_top_two_deciles",
    "prevalence",
)
"""Figures that a model is judged by, in the order in which they are told."""


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval; NaN where the sample cannot tell."""

    value: float
    low: float
    high: float


def average_precision(y: Floats, p: Floats) -> float:
    """Area under the precision-recall curve, as a step function (no interpolation).

    Parameters
    ----------
    y : array of shape (n,)
        1 for fraud, 0 for none.
    p : array of shape (n,)
        Fraud probabilities, or any score of which more is worse.

    Returns
    -------
    float
        From 0 to 1; NaN without a fraud. As ``sklearn.metrics.average_precision_score``.

    >>> round(average_precision(np.array([1.0, 0.0, 1.0]), np.array([0.9, 0.8, 0.7])), 4)
    0.8333
    >>> average_precision(np.array([0.0]), np.array([0.5]))
    nan
    """
    return float(Ranking(y, p).values()["average_precision"][0])


def roc_auc(y: Floats, p: Floats) -> float:
    """Probability that a fraud stands above a claim that is none, ties counted half; NaN where either is missing.

    >>> roc_auc(np.array([1.0, 0.0]), np.array([0.5, 0.5]))
    0.5
    """
    return float(Ranking(y, p).values()["roc_auc"][0])


def recall_at(y: Floats, p: Floats, share: float) -> float:
    """Share of the frauds among the `share` of claims ranked highest; NaN without a fraud.

    >>> recall_at(np.array([1.0, 0.0, 0.0, 1.0]), np.array([0.9, 0.5, 0.5, 0.1]), 0.5)
    0.5
    """
    ranking = Ranking(y, p)
    return float(_recall(*ranking.cumulative(ranking.whole), share)[0])


def ranking_metrics(y: Floats, p: Floats, seed: int = 0) -> dict[str, Estimate]:
    """All figures that a model is judged by, with percentile-bootstrap intervals.

    Parameters
    ----------
    y, p : arrays of shape (n,)
        As for :func:`average_precision`.

    Returns
    -------
    dict
        ``average_precision``, ``roc_auc``, ``recall_at_5_percent``, ``recall_at_10_percent``, ``recall_at_20_percent``,
        ``lift_top_decile``, ``lift_top_two_deciles`` and ``prevalence``.

    Notes
    -----
    Claims are resampled with replacement [1]_; a resample without a fraud tells nothing and is left out.

    .. [1] B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    ranking = Ranking(y, p)
    value = ranking.values()
    blocks = [ranking.values(weights) for weights in ranking.resamples(seed)]
    return {
        name: percentile(float(value[name][0]), np.concatenate([block[name] for block in blocks])) for name in value
    }


def paired_difference(y: Floats, p: Floats, other: Floats, seed: int = 0) -> Estimate:
    """Average precision of `p` less that of `other`, on the same resampled claims."""
    # Both rankings draw the same claims, since the draws depend on the seed and on the number of claims only.
    first, second = Ranking(y, p), Ranking(y, other)
    differences = np.concatenate(
        [
            _average_precision(*first.cumulative(a)) - _average_precision(*second.cumulative(b))
            for a, b in zip(first.resamples(seed), second.resamples(seed), strict=True)
        ]
    )
    return percentile(average_precision(y, p) - average_precision(y, other), differences)


@dataclass(frozen=True)
class Bin:
    """A tenth of the claims, by probability.

    Attributes
    ----------
    claims, expected, frauds : float
        Its claims, the sum of their probabilities, and its frauds; not whole where a group of ties is cut.
    cumulative_recall : float
        Share of all frauds in this bin and those above it.
    """

    claims: float
    expected: float
    frauds: float
    cumulative_recall: float


def deciles(y: Floats, p: Floats) -> list[Bin]:
    """Sort claims by probability and cut them into ten equal bins, the highest first; empty without claims.

    >>> [round(bin.frauds, 2) for bin in deciles(np.array([1.0] + [0.0] * 9), np.linspace(1, 0, 10))][:2]
    [1.0, 0.0]
    """
    if y.size == 0:
        return []
    share = tenths(p)
    expected, frauds = p @ share, y @ share
    total = y.sum() if y.sum() else float("nan")
    return [
        Bin(y.size / 10, float(expected[i]), float(frauds[i]), float(frauds[: i + 1].sum() / total)) for i in range(10)
    ]


def tenths(p: Floats) -> Floats:
    """Share of each claim that lies in each of ten equal bins by probability, the highest first.

    Returns
    -------
    array of shape (n, 10)
        Rows sum to 1, columns to n / 10. Claims of equal probability share alike in the bins that they lie across.

    >>> tenths(np.array([0.9, 0.2, 0.2])).round(2)[:, [0, 3, 9]].tolist()
    [[0.3, 0.1, 0.0], [0.0, 0.1, 0.15], [0.0, 0.1, 0.15]]
    """
    if p.size == 0:
        return np.empty((0, 10))
    _, group, size = np.unique(-p, return_inverse=True, return_counts=True)
    ends = np.cumsum(size)
    cuts = p.size * np.arange(11) / 10
    inside = np.minimum(ends[:, None], cuts[1:]) - np.maximum((ends - size)[:, None], cuts[:-1])
    return np.asarray((np.maximum(inside, 0) / size[:, None])[group])


def calibration_error(y: Floats, p: Floats) -> float:
    """How far the expected number of frauds is from the actual one: ``|log(sum(p) / sum(y))|``.

    Infinite without a fraud.

    >>> calibration_error(np.array([1.0, 0.0]), np.array([0.5, 0.5]))
    0.0
    """
    with np.errstate(divide="ignore"):
        return float(abs(np.log(p.sum() / y.sum()))) if y.sum() else float("inf")


def curve(y: Floats, p: Floats, most: int = 100) -> list[dict[str, float]]:
    """Points of the ROC and the precision-recall curve, from the highest probability down.

    Parameters
    ----------
    most : int
        Points at most: those that lie nearest to even steps of recall and of the false-positive rate.

    Returns
    -------
    list of dict
        ``claims`` (share of them down to here), ``recall``, ``precision`` and ``false_positive_rate``; empty where a
        fraud or an honest claim is missing. Claims of equal probability are one point.
    """
    if y.size == 0 or y.min() == y.max():
        return []
    ranking = Ranking(y, p)
    claims, frauds = (sums[0] for sums in ranking.cumulative(ranking.whole))
    recall, alarms = frauds / frauds[-1], (claims - frauds) / (claims - frauds)[-1]
    steps = np.linspace(0, 1, most // 2)
    places = np.unique(np.r_[np.searchsorted(recall, steps), np.searchsorted(alarms, steps)])
    return [
        {
            "claims": float(claims[i] / y.size),
            "recall": float(recall[i]),
            "precision": float(frauds[i] / claims[i]),
            "false_positive_rate": float(alarms[i]),
        }
        for i in places
    ]


def resampled_sums(columns: Floats, seed: int = 0) -> Floats:
    """Sums of columns over claims resampled with replacement.

    Parameters
    ----------
    columns : array of shape (n, k)

    Returns
    -------
    array of shape (resamples, k)
    """
    return np.concatenate([weights @ columns for weights in resamples(len(columns), seed)])


def percentile(value: float, resampled: Floats) -> Estimate:
    """Interval between percentiles of the resampled figure, those that are not finite left out."""
    told = resampled[np.isfinite(resampled)]
    if told.size == 0:
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.quantile(told, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))


def distance(value: float, resampled: Floats) -> Estimate:
    """Interval of a figure that is never negative, and that chance alone makes positive.

    Such is a largest difference between groups, or a sum of absolute errors. Resampling adds to it what chance had
    added already, so percentiles would lie too high; the basic bootstrap takes that off again: from
    ``2 * value - high percentile`` to ``2 * value - low percentile``, no less than 0.

    Notes
    -----
    A. C. Davison and D. V. Hinkley, Bootstrap Methods and their Application, 1997, section 5.2.1.
    """
    found = percentile(value, resampled)
    return Estimate(value, float(np.maximum(2 * value - found.high, 0)), float(np.maximum(2 * value - found.low, 0)))


def wilson(successes: float, trials: float, z: float) -> tuple[float, float]:
    """Interval of a proportion.

    Parameters
    ----------
    z : float
        Quantile of the normal distribution; 1.96 for 95 %.

    Notes
    -----
    E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927), 209-212.

    >>> tuple(round(bound, 3) for bound in wilson(0, 0, 1.96))
    (0.0, 1.0)
    """
    if trials == 0:
        return 0.0, 1.0
    share, spread = successes / trials, z * z / trials
    middle = (share + spread / 2) / (1 + spread)
    half = np.sqrt(share * (1 - share) * spread + spread * spread / 4) / (1 + spread)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


class Ranking:
    """Claims from the highest probability to the lowest, those of equal probability in groups.

    Weights, of shape (resamples, n), say how often each claim was drawn, or for how many it stands, in the order of the
    ranking; so do outcomes `y` that take the place of its own.

    Attributes
    ----------
    order : array of shape (n,)
        Place of each claim of the ranking in what it was made from.
    """

    def __init__(self, y: Floats, p: Floats) -> None:
        # By probability alone, and stable: resamples of two rankings of the same claims stay paired through `order`.
        self.order = np.argsort(-p, kind="stable")
        self._y = np.asarray(y, dtype=float)[self.order]
        sorted_p = np.asarray(p, dtype=float)[self.order]
        self._starts = np.flatnonzero(np.r_[True, sorted_p[1:] != sorted_p[:-1]]) if p.size else np.empty(0, int)
        self.whole = np.ones((1, self._y.size))

    def resamples(self, seed: int) -> Iterator[Floats]:
        """Draw all resamples, some at a time."""
        return (weights[:, self.order] for weights in resamples(self._y.size, seed))

    def cumulative(self, weights: Floats, y: Floats | None = None) -> tuple[Floats, Floats]:
        """Claims and frauds down to the end of each group, both of shape (resamples, groups)."""
        claims = np.add.reduceat(weights, self._starts, axis=1).cumsum(axis=1)
        frauds = np.add.reduceat(weights * (self._y if y is None else y), self._starts, axis=1).cumsum(axis=1)
        return claims, frauds

    def values(self, weights: Floats | None = None, y: Floats | None = None) -> dict[str, Floats]:
        """Every figure, each of shape (resamples,)."""
        if self._y.size == 0:
            return dict.fromkeys(FIGURES, np.array([np.nan]))
        claims, frauds = self.cumulative(self.whole if weights is None else weights, y)
        total = frauds[:, -1:]
        caught = np.diff(frauds, axis=1, prepend=0)
        clean = np.diff(claims - frauds, axis=1, prepend=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            above = ((frauds - caught / 2) * clean).sum(axis=1)
            auc = above / (total[:, 0] * clean.sum(axis=1))
            prevalence = total[:, 0] / claims[:, -1]
        recalls = {share: _recall(claims, frauds, share) for share in (0.05, 0.1, 0.2)}
        figures = (
            _average_precision(claims, frauds),
            auc,
            *recalls.values(),
            recalls[0.1] / 0.1,
            recalls[0.2] / 0.2,
            prevalence,
        )
        return dict(zip(FIGURES, figures, strict=True))


def resamples(n: int, seed: int) -> Iterator[Floats]:
    """How often each of n claims is drawn, in blocks of shape (resamples, n)."""
    if n == 0:
        yield np.ones((1, 0))
        return
    random = np.random.default_rng(seed)
    left, most = (RESAMPLES if n <= LARGE else RESAMPLES_LARGE), max(1, 4_000_000 // n)
    while left > 0:
        rows = min(left, most)
        drawn = random.integers(0, n, size=(rows, n)) + np.arange(rows)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(float)
        left -= rows


def _average_precision(claims: Floats, frauds: Floats) -> Floats:
    if claims.shape[1] == 0:
        return np.array([np.nan])
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(claims > 0, frauds / claims, 0.0)
        return np.asarray((np.diff(frauds, axis=1, prepend=0) * precision).sum(axis=1) / frauds[:, -1])


def _recall(claims: Floats, frauds: Floats, share: float) -> Floats:
    if claims.shape[1] == 0:
        return np.array([np.nan])
    found = [np.interp(share * c[-1], np.r_[0, c], np.r_[0, f]) for c, f in zip(claims, frauds, strict=True)]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(found / frauds[:, -1])
