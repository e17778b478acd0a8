"""Whether groups of people are treated alike: how many of each are flagged, and how many of each one's frauds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from shared.contract import Contract
from shared.contract_parts import Column
from shared.features import Bins, Codes, Feature, Floats, values
from shared.metrics import LEVEL, Estimate

BANDS = 4
"""Groups of a number or a date of more values than these: its quartiles among the judged claims."""
LEAST_CLAIMS = 30
"""Claims from which a group's share of flagged ones can be told: the 95 % interval of a share is 0.36 wide at most."""
LEAST_FRAUDS = 10
"""Frauds from which a group's share of found ones can be told: that interval is 0.54 wide at most."""
MOST_GROUPS = 50
"""Of a column with more, the largest are judged: one of so many levels names hardly a group of people."""
RESAMPLES = 1000


@dataclass(frozen=True)
class Sensitive:
    """A sensitive column of the judged claims, in groups.

    Attributes
    ----------
    by : {'levels', 'quartiles'}
        What a group is; the age at the event stands for a date.
    groups : tuple of str
        Names of the groups.
    codes : array of shape (n,)
        Group of each claim.
    """

    column: str
    by: Literal["levels", "quartiles"]
    groups: tuple[str, ...]
    codes: Codes


@dataclass(frozen=True)
class Group:
    """One group.

    Attributes
    ----------
    claims, frauds : int
        All its claims, and those known to be fraud.
    flagged_share, recall : float
        Share of its claims, and of its frauds, that are flagged; NaN where it has none.
    """

    name: str
    claims: int
    frauds: int
    flagged_share: float
    recall: float


@dataclass(frozen=True)
class Disparity:
    """How far the groups of a column are apart.

    Attributes
    ----------
    demographic_parity : Estimate or None
        Largest difference between the shares flagged of two groups; None where fewer than two are large enough.
    equal_opportunity : Estimate or None
        Largest difference between the shares of their frauds that are flagged; None likewise.
    few_claims, few_frauds : tuple of str
        Groups too small to be judged by the one and by the other, which do not count there.
    """

    column: str
    by: str
    groups: tuple[Group, ...]
    demographic_parity: Estimate | None
    equal_opportunity: Estimate | None
    few_claims: tuple[str, ...]
    few_frauds: tuple[str, ...]


def grouped(claims: pl.DataFrame, contract: Contract) -> tuple[Sensitive, ...]:
    """Put claims into the groups of each sensitive column; unknown is a group of its own.

    Parameters
    ----------
    claims : polars.DataFrame
        ``event_time`` and the sensitive columns, whether a model looks at them or not.
    """
    return tuple(_grouped(claims, contract, name) for name in contract.roles.sensitive if name in claims.columns)


def _grouped(claims: pl.DataFrame, contract: Contract, name: str) -> Sensitive:
    column, dtype = contract.known[name], contract.dtype(name)
    number = dtype in ("integer", "number", "date", "datetime") and not (isinstance(column, Column) and column.levels)
    aged = (name, "event_time") if dtype in ("date", "datetime") else (name,)
    feature = Feature(name, aged, "number" if number else "category")
    found = values(claims, [feature]).to_series()
    banded = number and found.drop_nulls().n_unique() > BANDS
    if number and not banded:  # codes such as 1 to 4, each a group by its own name
        feature = Feature(name, aged, "category")
        found = pl.Series(name, [None if value is None else f"{value:.15g}" for value in found], dtype=pl.String)
    bins = Bins.of(feature, found, BANDS)
    present, placed = np.unique(bins.codes(found), return_inverse=True)
    names = tuple(bins.label(int(code)) for code in present)
    return Sensitive(name, "quartiles" if banded else "levels", names, placed.astype(np.int32))


def disparity(sensitive: Sensitive, y: Floats, flagged: Floats, seed: int = 0) -> Disparity:
    """Measure how differently groups are treated.

    Parameters
    ----------
    y : array of shape (n,)
        1 for fraud, 0 for none, NaN where the outcome is not known.
    flagged : array of shape (n,)
        1 where a claim is at or above the review threshold.

    Notes
    -----
    Demographic parity [1]_ and equality of opportunity [2]_.

    .. [1] C. Dwork et al., Fairness through awareness, ITCS 2012.
    .. [2] M. Hardt, E. Price and N. Srebro, Equality of opportunity in supervised learning, NeurIPS 2016.
    """
    names, fraud = np.array(sensitive.groups, dtype=object), np.nan_to_num(y)
    claims, frauds, flags, found = (
        np.bincount(sensitive.codes, weights=counted, minlength=names.size).astype(float)
        for counted in (np.ones(y.size), fraud, flagged, fraud * flagged)
    )
    large = (claims >= LEAST_CLAIMS) & (np.argsort(np.argsort(-claims, kind="stable")) < MOST_GROUPS)
    telling = large & (frauds >= LEAST_FRAUDS)
    with np.errstate(invalid="ignore"):
        rows = zip(names, claims, frauds, flags / claims, found / frauds, strict=True)
    return Disparity(
        sensitive.column,
        sensitive.by,
        tuple(Group(name, int(n), int(k), float(share), float(recall)) for name, n, k, share, recall in rows),
        _apart(flags[large], claims[large], seed),
        _apart(found[telling], frauds[telling], seed),
        tuple(names[~large]),
        tuple(names[~telling]),
    )


def _apart(hits: Floats, trials: Floats, seed: int) -> Estimate | None:
    """Largest difference between rates, with an interval that holds for every pair of groups at once.

    However many groups there are, then, chance alone exceeds the lower bound in one case of forty: the bound is what
    the groups are apart less what resampled groups are apart from where they were, as in [1]_. Each group is resampled
    by itself, from its rate drawn a little to one half: of none in ten, too, another ten may be another number [2]_.

    .. [1] J. P. Romano and M. Wolf, Exact and approximate stepdown methods for multiple hypothesis testing, JASA 100
       (2005), 94-108.
    .. [2] L. D. Brown, T. T. Cai and A. DasGupta, Interval estimation for a binomial proportion, Statistical Science 16
       (2001), 101-133, on Jeffreys' prior.
    """
    if trials.size < 2:
        return None
    rates = (hits + 0.5) / (trials + 1)
    drawn = np.random.default_rng(seed).binomial(trials.astype(int), rates, size=(RESAMPLES, trials.size)) / trials
    reach = float(np.quantile(np.ptp(drawn - rates, axis=1), (1 + LEVEL) / 2))
    value = float(np.ptp(hits / trials))
    return Estimate(value, max(0.0, value - reach), min(1.0, value + reach))
