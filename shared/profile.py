"""What claims looked like when a model was trained: counts by bin, free of claimant data, additive over windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shared.features import MISSING, UNSEEN, Bins, Feature

PROFILE_BINS = 10
PROBABILITY = Feature("fraud_probability", (), "number")
NOISE_Z = 3.09
"""99.9 % quantile of the normal distribution: some twenty columns a window must not raise an alarm by chance."""
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Column:
    """One feature's bins and how many training claims fell into each."""

    name: str
    bins: Bins
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Profile:
    """The reference that later windows are compared with."""

    columns: tuple[Column, ...]

    @classmethod
    def of(cls, known: pl.DataFrame, features: Sequence[Feature]) -> Self:
        """Summarise claims by the values of their features."""
        return cls(tuple(_summarise(feature, known[feature.name]) for feature in features))

    def count(self, known: pl.DataFrame) -> dict[str, Counts]:
        """Count a window's claims by bin, for each column of the profile that `known` has."""
        return {
            column.name: np.bincount(column.bins.codes(known[column.name]), minlength=column.bins.size)
            for column in self.columns
            if column.name in known.columns
        }

    def __add__(self, other: Profile) -> Profile:
        """Put two profiles side by side."""
        return Profile(self.columns + other.columns)

    def as_document(self) -> list[dict[str, Any]]:
        """Write it ready for JSON; :meth:`of_document` reads it."""
        return [asdict(column) for column in self.columns]

    @classmethod
    def of_document(cls, document: Sequence[dict[str, Any]]) -> Self:
        """Read what :meth:`as_document` wrote."""
        return cls(tuple(_column(item) for item in document))


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
    p, q = (np.maximum(counts[taken], 0.5) for counts in (reference, current))
    p, q = p / p.sum(), q / q.sum()
    return float(((q - p) * np.log(q / p)).sum())


def sampling_noise(reference: Counts, current: Counts) -> float:
    """The index that two samples of one distribution stay below in 999 of 1,000 cases.

    Notes
    -----
    The index of two such samples is distributed as ``(1 / m + 1 / n)`` times a chi-square of ``bins - 1`` degrees of
    freedom: B. Yurdakul and J. Naranjo, Statistical properties of the population stability index, Journal of Risk Model
    Validation 14 (2020). Its quantile by E. B. Wilson and M. M. Hilferty, The distribution of chi-square, PNAS 17
    (1931), 684-688.

    >>> round(sampling_noise(np.array([500, 500]), np.array([500, 500])), 4)
    0.0223
    """
    freedom = max(int(((reference + current) > 0).sum()) - 1, 1)
    spread = 2 / (9 * freedom)
    chi_square = freedom * (1 - spread + NOISE_Z * np.sqrt(spread)) ** 3
    return float(chi_square * (1 / max(int(reference.sum()), 1) + 1 / max(int(current.sum()), 1)))


def missing_share(counts: Counts) -> float:
    """Share of claims in which the value is missing."""
    return float(counts[MISSING] / max(counts.sum(), 1))


def unseen_share(counts: Counts) -> float:
    """Share of claims with a level that training never saw."""
    return float(counts[UNSEEN] / max(counts.sum(), 1))


def _summarise(feature: Feature, column: pl.Series) -> Column:
    bins = Bins.of(feature, column, PROFILE_BINS)
    return Column(feature.name, bins, tuple(np.bincount(bins.codes(column), minlength=bins.size).tolist()))


def _column(item: dict[str, Any]) -> Column:
    bins = Bins(tuple(item["bins"]["edges"]), tuple(item["bins"]["levels"]))
    return Column(item["name"], bins, tuple(item["counts"]))
