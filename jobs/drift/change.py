"""Decide whether shares by group, such as the shares of frauds by the bins of a feature, have changed by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.special import chdtrc

from jobs.drift.measure import WHOLE, Measure
from shared.features import Floats
from shared.profile import Profile

MOVED = 0.5
"""How differently the log odds of groups must have moved to be worth a word, as a standard deviation."""


@dataclass(frozen=True)
class Change:
    """How differently the shares of the groups have moved.

    Attributes
    ----------
    tau : float
        From 0: standard deviation of what the groups' log odds moved by, less what chance adds to it; free of how many
        claims there are.
    p_value : float
        Chance of no less where all groups moved alike; 1 where there are fewer than two to compare.
    """

    tau: float
    p_value: float


def change(yes: Floats, claims: Floats, later_yes: Floats, later_claims: Floats) -> Change:
    """Hold a share by group against what it is later.

    Parameters
    ----------
    yes, claims, later_yes, later_claims : arrays of shape (groups,)
        How many of how many claims, at first and later.

    Notes
    -----
    What each group's log odds moved by [1]_, their dispersion held against chance (Cochran's Q) and freed of it [2]_.
    Groups empty on one side tell nothing; half a claim is added to each count.

    .. [1] B. Woolf, On estimating the relation between blood group and disease, Annals of Human Genetics 19 (1955),
       251-253; half a claim: J. B. S. Haldane, ibid. 20 (1956), 309-311.
    .. [2] R. DerSimonian and N. Laird, Meta-analysis in clinical trials, Controlled Clinical Trials 7 (1986), 177-188.

    >>> change(np.array([10.0, 10.0]), np.array([90.0, 90.0]), np.array([20.0, 20.0]), np.array([90.0, 90.0])).tau
    0.0
    """
    both = (claims > 0) & (later_claims > 0)
    counts = [yes[both], (claims - yes)[both], later_yes[both], (later_claims - later_yes)[both]]
    freedom = int(both.sum()) - 1
    if freedom < 1:
        return Change(0.0, 1.0)
    one, other, later_one, later_other = (count + 0.5 for count in counts)
    moved = np.log(later_one / later_other) - np.log(one / other)
    weight = 1 / (1 / one + 1 / other + 1 / later_one + 1 / later_other)
    spread = float((weight * (moved - weight @ moved / weight.sum()) ** 2).sum())
    most = float(weight.sum() - (weight**2).sum() / weight.sum())
    return Change(float(np.sqrt(max(0.0, spread - freedom) / most)), float(chdtrc(freedom, spread)))


def discoveries(p_values: Sequence[float], rate: float) -> list[bool]:
    """Which of many findings stand, so that of those that do a share of `rate` at most is expected to be chance.

    Where nothing has changed at all, some finding stands in a share of `rate` of the cases.

    Notes
    -----
    Y. Benjamini and Y. Hochberg, Controlling the false discovery rate, JRSS B 57 (1995), 289-300.

    >>> discoveries([0.04, 0.01, 0.9], 0.05)
    [False, True, False]
    """
    p = np.asarray(p_values, dtype=float)
    ranked = np.sort(p)
    passing = np.flatnonzero(ranked <= rate * np.arange(1, p.size + 1) / max(p.size, 1))
    return [] if p.size == 0 else (p <= (ranked[passing[-1]] if passing.size else -1.0)).tolist()


def association_changes(
    known: pl.DataFrame, y: Floats, later: pl.DataFrame, later_y: Floats, profile: Profile, rate: float
) -> list[Measure]:
    """Hold how fraud goes with each feature against how it went.

    Parameters
    ----------
    known, later : polars.DataFrame
        Values of the model's features.
    y, later_y : arrays of shape (n,)
        1 for fraud.
    rate : float
        How often some feature may be named though none has changed.

    Returns
    -------
    list of Measure
        One a feature: how differently the log odds of fraud in its bins have moved, see :func:`change`.
    """
    columns = [column for column in profile.columns if column.name in known.columns]
    found = []
    for column in columns:
        counts = []
        for values, fraud in ((known[column.name], y), (later[column.name], later_y)):
            codes = column.bins.codes(values)
            every = np.bincount(codes, minlength=column.bins.size).astype(float)
            counts += [np.bincount(codes, fraud, column.bins.size), every]
        found.append(change(*counts))
    stand = discoveries([each.p_value for each in found], rate)
    return [
        _association(column.name, each.tau, changed=stands and each.tau >= MOVED)
        for column, each, stands in zip(columns, found, stand, strict=True)
    ]


def leaning(correlation: float, limit: float) -> Measure:
    """Judge whether the model leans on the same features as when it was judged."""
    low = correlation < limit
    reason = (
        f"the model leans on other features than when it was judged (rank correlation {correlation:.2f})"
        if low
        else None
    )
    return Measure(WHOLE, "importance_correlation", correlation, limit, "watch" if low else "ok", reason)


def _association(feature: str, tau: float, *, changed: bool) -> Measure:
    reason = f"{feature} goes with fraud otherwise than when the model was judged" if changed else None
    return Measure(feature, "association", tau, MOVED, "watch" if changed else "ok", reason)
