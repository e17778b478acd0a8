"""Whether as many claims are fraud as the probabilities say, in each tenth of the claims."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shared.features import Floats
from shared.metrics import Estimate, distance, resampled_sums, tenths, wilson

Z = 1.96
"""Quantile of the normal distribution for 95 %."""


@dataclass(frozen=True)
class Rate:
    """A tenth of the claims: the fraud rate that was expected, and the actual one with its 95 % interval (Wilson)."""

    claims: float
    expected: float
    actual: float
    low: float
    high: float


@dataclass(frozen=True)
class Calibration:
    """How far expected and actual fraud are apart, by decile.

    Attributes
    ----------
    error : Estimate
        Expected calibration error: mean over the claims of |mean probability - fraud rate| of their decile.
    relative : Estimate
        The same as a share of the overall fraud rate: |expected - actual| frauds, summed, by all frauds. 1 for
        probabilities that are all twice too high, whatever the rate.
    deciles : tuple of Rate
        The highest probabilities first.
    """

    error: Estimate
    relative: Estimate
    deciles: tuple[Rate, ...]


def calibration(y: Floats, p: Floats, seed: int = 0) -> Calibration:
    """Hold probabilities against outcomes, with intervals beyond what chance adds; NaN without claims or frauds.

    Notes
    -----
    M. P. Naeini, G. F. Cooper and M. Hauskrecht, Obtaining well calibrated probabilities using Bayesian binning, AAAI
    2015; with ten bins of equal size, ties shared out as :func:`shared.metrics.tenths` says.
    """
    share = tenths(p)
    columns = np.column_stack([share * (p - y)[:, None], y])
    (error,), (relative,) = _errors(columns.sum(axis=0, keepdims=True), y.size)
    errors, relatives = _errors(resampled_sums(columns, seed), y.size)
    each = y.size / 10
    expected, frauds = p @ share, y @ share
    rates = [
        Rate(each, float(e) / each, float(f) / each, *wilson(float(f), each, Z))
        for e, f in zip(expected, frauds, strict=True)
        if each
    ]
    return Calibration(distance(float(error), errors), distance(float(relative), relatives), tuple(rates))


def _errors(sums: Floats, claims: int) -> tuple[Floats, Floats]:
    apart = np.abs(sums[:, :-1]).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return apart / claims, np.where(sums[:, -1] > 0, apart / sums[:, -1], np.nan)
