"""What claims looked like when a model was trained: counts by bin, free of claimant data, additive over windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from operator import index
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shared.features import Bins, Feature

PROFILE_BINS = 10
PROBABILITY = Feature("fraud_probability", (), "number")
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
        """Read what :meth:`as_document` wrote; ValueError or TypeError if it is none."""
        return cls(tuple(_column(item) for item in document))


def _summarise(feature: Feature, column: pl.Series) -> Column:
    bins = Bins.of(feature, column, PROFILE_BINS)
    return Column(feature.name, bins, tuple(np.bincount(bins.codes(column), minlength=bins.size).tolist()))


def _column(item: dict[str, Any]) -> Column:
    bins, counts = Bins.of_document(item["bins"]), tuple(map(index, item["counts"]))
    if bins.size != len(counts):
        raise ValueError(f"the counts of {item['name']} do not fit its bins")
    return Column(item["name"], bins, counts)
