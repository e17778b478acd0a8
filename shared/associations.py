"""How each feature goes with the outcome, month by month, so that drift can tell when that changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from scipy.special import chdtrc

from shared.features import Codes, Floats
from shared.profile import Profile


@dataclass(frozen=True)
class Dependence:
    """How far two groupings of the same claims depend on each other.

    Attributes
    ----------
    freedom : int
        Degrees of freedom; 0 where one of the groupings has but one group.
    p_value : float
        Chance of no less dependence where there is none; 1 without freedom.
    cramers_v : float
        From 0 to 1, free of the bias that many groups and few claims bring.
    """

    chi_square: float
    freedom: int
    p_value: float
    cramers_v: float


@dataclass(frozen=True)
class Association:
    """A feature and the outcome in one month.

    Attributes
    ----------
    month : date
        Its first day, UTC.
    correlation : float or None
        Spearman's, of a number; None for a category, and where either is the same in all claims.
    """

    feature: str
    month: date
    claims: int
    frauds: int
    dependence: Dependence
    correlation: float | None


def associations(known: pl.DataFrame, y: Floats, event_time: pl.Series, profile: Profile) -> Iterator[Association]:
    """Hold each feature against the outcome, month by month, in the profile's bins.

    Parameters
    ----------
    known : polars.DataFrame
        Values of the model's features.
    y : array of shape (n,)
        1 for fraud.
    event_time : polars.Series
        Of the same claims.
    """
    months = event_time.dt.truncate("1mo").dt.date()
    for column in profile.columns:
        if column.name not in known.columns:
            continue
        values, codes = known[column.name], column.bins.codes(known[column.name])
        for month in months.unique().sort():
            here = (months == month).to_numpy()
            numeric = values.dtype != pl.String
            yield Association(
                column.name,
                month,
                int(here.sum()),
                int(y[here].sum()),
                dependence(codes[here], y[here]),
                _spearman(values.filter(here), y[here]) if numeric else None,
            )


def dependence(codes: Codes, y: Floats) -> Dependence:
    """Pearson's chi-square of groups against a yes or no.

    Parameters
    ----------
    codes : array of shape (n,)
        Group of each claim.
    y : array of shape (n,)
        1 for yes.

    Notes
    -----
    W. Bergsma, A bias-correction for Cramér's V and Tschuprow's T, Journal of the Korean Statistical Society 42 (2013),
    323-328.

    >>> found = dependence(np.array([0, 0, 1, 1], dtype=np.int32), np.array([1.0, 1.0, 0.0, 0.0]))
    >>> found.chi_square, found.freedom, round(found.p_value, 4)
    (4.0, 1, 0.0455)
    """
    _, places = np.unique(codes, return_inverse=True)
    claims = np.bincount(places)
    n, groups, yes = y.size, claims.size, y.sum()
    if groups < 2 or not 0 < yes < n:
        return Dependence(0.0, 0, 1.0, 0.0)
    expected = claims * (yes / n)
    # Of a group with or without, the difference is the same; so one column of the table tells both.
    chi_square = float(((np.bincount(places, y) - expected) ** 2 / expected).sum() / (1 - yes / n))
    freedom = groups - 1
    phi = max(0.0, chi_square / n - freedom / (n - 1))
    rows, columns = groups - freedom**2 / (n - 1), 2 - 1 / (n - 1)
    least = min(rows, columns) - 1
    return Dependence(
        chi_square, freedom, float(chdtrc(freedom, chi_square)), min(1.0, (phi / least) ** 0.5) if least > 0 else 0.0
    )


def _spearman(values: pl.Series, y: Floats) -> float | None:
    known = values.is_not_null().to_numpy()
    ranks, outcomes = values.drop_nulls().rank().to_numpy(), y[known]
    if ranks.size < 2 or np.ptp(ranks) == 0 or np.ptp(outcomes) == 0:
        return None
    return float(np.corrcoef(ranks, outcomes)[0, 1])
