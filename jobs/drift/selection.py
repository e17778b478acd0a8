"""Decide how the claims whose outcome is known came to be chosen, and how many claims each of them stands for.

Outcomes exist mostly where somebody looked. Where nearly all claims have one, nothing need be corrected. Where the
audit sample is looked at, flagged claims stand for themselves and audited ones for all that were not flagged: which is
right whatever else decides who is looked at, since a hash drew them. Else investigators chose by what they saw; then a
claim stands for those of about its probability and amount, which is right only as far as they chose by these, and so
holds only against claims that were chosen alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import polars as pl

from jobs.drift.change import Change, change
from shared.features import Codes, Floats
from shared.metrics import wilson

Way = Literal["all", "audit", "chosen"]
NEARLY_ALL = 0.95
"""Share of mature claims with an outcome from which it is not asked who they are."""
AUDITED = 0.8
"""Share of the flagged and of the audited claims with an outcome from which they count as looked at."""
Z = 1.96
BANDS = 5
"""Of the probability and of the amount, by quantiles."""


def way(claims: pl.DataFrame) -> Way:
    """Tell from mature claims how their outcomes come about.

    Parameters
    ----------
    claims : polars.DataFrame
        ``is_fraud`` (null where unknown), ``looked`` and ``audited`` (whether a model in charge flagged a claim, or the
        draw chose it, before its outcome was known).
    """
    has = pl.col("is_fraud").is_not_null()
    if (claims.select(has.mean()).item() or 0.0) >= NEARLY_ALL:
        return "all"
    looked, audited = (
        claims.filter(group).select(has.sum(), pl.len()).row(0)
        for group in (pl.col("looked"), pl.col("audited") & ~pl.col("looked"))
    )
    # Of few audited claims one without an outcome does not show that they are not looked at.
    followed = all(wilson(known, every, Z)[1] >= AUDITED for known, every in (looked, audited))
    return "audit" if looked[1] and followed else "chosen"


@dataclass(frozen=True)
class Cells:
    """Groups of claims by probability and amount."""

    probability: Floats
    amount: Floats

    @classmethod
    def of(cls, claims: pl.DataFrame) -> Self:
        """Cut at the quantiles of these claims: ``probability``, and ``amount`` (null where unknown)."""
        return cls(_edges(claims["probability"]), _edges(claims["amount"].drop_nulls()))

    @property
    def size(self) -> int:
        """How many there are; a claim without an amount has a place of its own."""
        return (self.probability.size + 1) * (self.amount.size + 2)

    def codes(self, claims: pl.DataFrame) -> Codes:
        """Group of each claim."""
        amount = claims["amount"].fill_null(float("nan")).to_numpy()
        band = np.where(np.isnan(amount), self.amount.size + 1, np.searchsorted(self.amount, amount, side="right"))
        rank = np.searchsorted(self.probability, claims["probability"].to_numpy(), side="right")
        return np.asarray(rank * (self.amount.size + 2) + band, dtype=np.int32)


def weights(claims: pl.DataFrame, how: Way, cells: Cells) -> Floats:
    """How many claims each stands for; 0 for one that tells nothing.

    Returns
    -------
    array of shape (n,)
        Within a group, all claims by those with an outcome.

    Notes
    -----
    The inverse of the chance to be looked at [1]_, normed so that each group's weights sum to its claims [2]_; that a
    claim in a group was or was not looked at is taken for chance [3]_.

    .. [1] D. G. Horvitz and D. J. Thompson, A generalization of sampling without replacement from a finite universe,
       JASA 47 (1952), 663-685.
    .. [2] J. Hajek, in Foundations of Statistical Inference, 1971, p. 236; D. Holt and T. M. F. Smith, Post
       stratification, JRSS A 142 (1979), 33-46.
    .. [3] R. J. A. Little, Survey nonresponse adjustments for estimates of means, International Statistical Review 54
       (1986), 139-157.
    """
    tells = claims["is_fraud"].is_not_null().to_numpy()
    match how:
        case "all":
            return tells.astype(float)
        case "audit":
            codes = claims["looked"].to_numpy().astype(np.int32)
            tells = tells & claims.select(pl.col("looked") | pl.col("audited")).to_series().to_numpy()
        case "chosen":
            codes = cells.codes(claims)
    every, told = np.bincount(codes), np.bincount(codes, weights=tells, minlength=int(codes.max(initial=0)) + 1)
    return np.asarray(np.where(tells, (every / np.maximum(told, 1))[codes], 0.0))


def chosen_otherwise(claims: pl.DataFrame, later: pl.DataFrame) -> Change:
    """Whether other claims get an outcome than did at first; that all get fewer is no such change."""
    cells = Cells.of(claims)
    counts = []
    for frame in (claims, later):
        codes = cells.codes(frame)
        known = frame["is_fraud"].is_not_null().to_numpy()
        counts += [np.bincount(codes, known, cells.size), np.bincount(codes, minlength=cells.size).astype(float)]
    return change(*counts)


def _edges(values: pl.Series) -> Floats:
    if values.is_empty():
        return np.empty(0)
    return np.unique(np.quantile(values.to_numpy(), np.arange(1, BANDS) / BANDS))
