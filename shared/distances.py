"""How far two distributions are apart, from counts over the same bins; the values are scipy's where it has the measure.

Counts add up over weeks and forget who they came from. Where a bin is one value they lose nothing; where it is a
stretch of values, :func:`kolmogorov_smirnov_error` and :func:`wasserstein_error` say at most how much.
"""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from shared.features import Floats

Counts = NDArray[np.int64]
NORMAL = NormalDist()


def population_stability_index(reference: Counts, current: Counts) -> float:
    """How far two distributions over the same bins are apart.

    Parameters
    ----------
    reference, current : arrays of shape (bins,)
        Counts. An empty bin counts as half a claim, so that one new level does not make the index infinite.

    Returns
    -------
    float
        From 0; by custom up to 0.1 is no shift and from 0.25 a large one.

    Notes
    -----
    ``sum((q - p) * log(q / p))``, the symmetrised Kullback-Leibler divergence: S. Kullback and R. A. Leibler, On
    information and sufficiency, Annals of Mathematical Statistics 22 (1951), 79-86. Bins empty on both sides take no
    part.

    >>> round(population_stability_index(np.array([50, 50]), np.array([60, 40])), 4)
    0.0405
    """
    taken = (reference + current) > 0
    p, q = (_shares(np.maximum(counts[taken], 0.5)) for counts in (reference, current))
    return float(((q - p) * np.log(q / p)).sum())


def jensen_shannon(reference: Counts, current: Counts) -> float:
    """Jensen-Shannon distance, from 0 to 1: the square root of the divergence in bits.

    Notes
    -----
    D. M. Endres and J. E. Schindelin, A new metric for probability distributions, IEEE Transactions on Information
    Theory 49 (2003), 1858-1860. `scipy.spatial.distance.jensenshannon` with base 2.

    >>> jensen_shannon(np.array([5, 0]), np.array([0, 7]))
    1.0
    """
    return sqrt(max(float(_divergence(reference, current)), 0.0) / np.log(2))


def shift(reference: Counts, current: Counts) -> Floats:
    """Effect size of a shift, on the scale of the population stability index, less what chance adds to it.

    Parameters
    ----------
    reference, current : arrays of shape (..., bins)
        Counts; the leading axes are broadcast.

    Returns
    -------
    array of shape (...)
        Around 0 for two samples of one distribution, whatever their size, and so also below; at most 8 log 2 = 5.5.

    Notes
    -----
    8 times the Jensen-Shannon divergence in nats: for small shifts that is the index, as both tend to
    ``sum((q - p) ** 2 / p)`` (I. Csiszár and P. C. Shields, Information Theory and Statistics: A Tutorial, 2004,
    section 4), but a bin that is empty on one side adds a bounded amount that no sample size enters. Two samples of
    sizes m and n make it ``(bins - 1) * (1 / m + 1 / n)`` on average, as the index (B. Yurdakul and J. Naranjo,
    Statistical properties of the population stability index, Journal of Risk Model Validation 14, 2020); that is taken
    off.
    """
    m, n = (np.maximum(counts.sum(axis=-1), 1) for counts in (reference, current))
    return np.asarray(8 * _divergence(reference, current) - _freedom(reference, current) * (1 / m + 1 / n))


def chance(reference: Counts, current: Counts, rate: float) -> float:
    """:func:`shift` that two samples of one distribution stay below but for a share `rate` of the cases.

    Notes
    -----
    The index of such samples is distributed as ``1 / m + 1 / n`` times a chi-square of ``bins - 1`` degrees of freedom
    (Yurdakul and Naranjo). Its quantile by E. B. Wilson and M. M. Hilferty, The distribution of chi-square, PNAS 17
    (1931), 684-688.

    >>> round(chance(np.array([500, 500]), np.array([500, 500]), 0.001), 4)
    0.0203
    """
    freedom = max(int(_freedom(reference, current)), 1)
    spread = 2 / (9 * freedom)
    chi_square = freedom * (1 - spread + NORMAL.inv_cdf(1 - rate) * sqrt(spread)) ** 3
    return float((chi_square - freedom) * (1 / max(int(reference.sum()), 1) + 1 / max(int(current.sum()), 1)))


def shift_of_auc(auc: float) -> float:
    """Effect size on the scale of :func:`shift` of a classifier that tells two samples apart with this AUC.

    Two normal distributions of equal spread whose means are d standard deviations apart have an index of d squared,
    and the best classifier's AUC is Φ(d / √2).

    >>> shift_of_auc(0.5), round(shift_of_auc(0.6), 2), round(shift_of_auc(0.4), 2)
    (0.0, 0.13, -0.13)
    """
    distance = sqrt(2) * NORMAL.inv_cdf(min(max(auc, 1e-6), 1 - 1e-6))
    return distance * abs(distance)


def chi_square(reference: Counts, current: Counts) -> float:
    """Pearson's statistic of the table of the two samples; `scipy.stats.chi2_contingency` without correction.

    >>> chi_square(np.array([10, 10]), np.array([10, 10]))
    0.0
    """
    table = np.array([reference, current], dtype=float)[:, (reference + current) > 0]
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / max(table.sum(), 1.0)
    return float(((table - expected) ** 2 / np.maximum(expected, 1e-300)).sum())


def kolmogorov_smirnov(reference: Counts, current: Counts) -> float:
    """Largest distance of the two distribution functions, from 0 to 1, over bins in the order of their values.

    `scipy.stats.ks_2samp` where each bin is one value.

    >>> kolmogorov_smirnov(np.array([1, 1, 0]), np.array([0, 1, 1]))
    0.5
    """
    return float(np.abs(_distribution(reference) - _distribution(current)).max(initial=0.0))


def kolmogorov_smirnov_error(reference: Counts, current: Counts) -> float:
    """How far at most the distance lies above what :func:`kolmogorov_smirnov` says, from :class:`Grid`'s counts.

    Within a stretch one function may rise before the other does, by no more than the smaller of their shares in it.
    """
    p, q = (counts[::2] / max(counts.sum(), 1) for counts in (reference, current))
    return float(np.minimum(p, q).max(initial=0.0))


def wasserstein(reference: Counts, current: Counts, places: Floats) -> float:
    """Area between the two distribution functions, in the unit of the values; `scipy.stats.wasserstein_distance`.

    Parameters
    ----------
    reference, current : arrays of shape (2 * edges + 1,)
        Counts below the first edge, at it, between it and the next, and so on, as :class:`Grid` has them.
    places : array of shape (edges + 2,)
        Least value, edges, greatest value. Within a stretch values are taken as spread evenly.
    """
    difference = _distribution(reference) - _distribution(current)
    # Of a stretch: the difference where it begins, after the edge before it, and where it ends.
    begin, end = np.r_[0.0, difference[1::2]], difference[::2]
    size = np.abs(begin) + np.abs(end)
    crossing = begin * end < 0
    area = np.where(crossing, (begin**2 + end**2) / (2 * np.maximum(size, 1e-300)), size / 2)
    return float((area * np.diff(places)).sum())


def wasserstein_error(reference: Counts, current: Counts, places: Floats) -> float:
    """How far at most :func:`wasserstein` is off: all values of a stretch may lie at one of its ends."""
    p, q = (counts[::2] / max(counts.sum(), 1) for counts in (reference, current))
    return float(((p + q) / 2 * np.diff(places)).sum())


def _shares(counts: NDArray[np.generic]) -> Floats:
    return np.asarray(counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1))


def _distribution(counts: Counts) -> Floats:
    return np.asarray(np.cumsum(counts) / max(counts.sum(), 1))


def _freedom(reference: Counts, current: Counts) -> Counts:
    return np.asarray(((reference + current) > 0).sum(axis=-1) - 1)


def _divergence(reference: Counts, current: Counts) -> Floats:
    p, q = _shares(reference), _shares(current)
    middle = (p + q) / 2
    return np.asarray((_entropy_terms(p, middle) + _entropy_terms(q, middle)).sum(axis=-1) / 2)


def _entropy_terms(shares: Floats, middle: Floats) -> Floats:
    ratio = np.divide(shares, middle, out=np.ones(np.broadcast_shapes(shares.shape, middle.shape)), where=shares > 0)
    return np.asarray(shares * np.log(ratio))
