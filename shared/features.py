"""From a claim's columns to what a model sees; the one place for train, evaluate, score and drift.

A feature is a number, an ordered level (its rank) or a category, made from columns of the claim and from what was known
before it (:mod:`shared.past`). Each can be put into bins: one code for "missing", one for "never seen in training", and
the rest by quantile or level, so that leak checks, weights of evidence and drift all speak of the same groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any, Literal, Self, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shared.contract import Contract
from shared.contract_parts import Column
from shared.levels import FIRST_BIN, MISSING, UNSEEN, codes_by
from shared.past import past_of, usual_amount

Codes = NDArray[np.int32]
Floats = NDArray[np.float64]
Kind = Literal["number", "ordered", "category"]

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
PAIRED_DATES = 5
"""Dates of a claim, beside its event, up to which the days between each two of them are features: ten at most."""


@dataclass(frozen=True)
class Feature:
    """One thing a model may look at.

    Attributes
    ----------
    name : str
        As reasons and reports call it.
    sources : tuple of str
        Columns it is made from.
    kind : {'number', 'ordered', 'category'}
    levels : tuple of str
        For an ordered one, its levels from first to last; for a weekday, the seven of them.
    """

    name: str
    sources: tuple[str, ...]
    kind: Kind
    levels: tuple[str, ...] = ()

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Self:
        """Read what ``asdict`` wrote; ValueError or TypeError if it is none."""
        found = cls(**{**document, "sources": strings(document["sources"]), "levels": strings(document["levels"])})
        if not (isinstance(found.name, str) and found.sources and found.kind in get_args(Kind)):
            raise ValueError(f"the feature {found.name} has no sources, or is of no kind")
        return found

    @property
    def recurs(self) -> bool:
        """Whether it comes again though the date tells it, as a weekday does."""
        return self.levels == WEEKDAYS


def features_of(contract: Contract) -> list[Feature]:
    """Features that a contract's columns offer, in its order; then those of what was known before the claim.

    Left out are the label, the time of the event, and what the contract calls the id, ignored or personal; these may
    have a history all the same. A date is seen as the days from it to the event and to other dates, and as its weekday.
    """
    roles = contract.roles
    hidden = {roles.id, roles.event_time, roles.label, *roles.ignore} | contract.personal
    features, dates = [], []
    for name, dtype in contract.stored.items():
        if name in hidden:
            continue
        column = contract.known[name]
        if dtype in ("date", "datetime"):
            dates.append(name)
            if roles.event_time is not None:  # else there is no event to count the days to
                features.append(Feature(f"days from {name}", (name, roles.event_time), "number"))
        elif isinstance(column, Column) and column.ordered:
            features.append(Feature(name, (name,), "ordered", column.levels))
        else:
            features.append(Feature(name, (name,), "category" if dtype in ("category", "text") else "number"))
    if len(dates) <= PAIRED_DATES:
        features += [
            Feature(f"days from {one} to {other}", (one, other), "number") for one, other in combinations(dates, 2)
        ]
    # A derived date may stand for a whole week or month, whose first weekday tells which of them it was.
    dated = [name for name in (*dates, roles.event_time) if name and isinstance(contract.known[name], Column)]
    features += [Feature(f"weekday of {name}", (name,), "category", WEEKDAYS) for name in dated]
    for name in past_of(contract):
        if name == usual_amount(contract):
            features.append(
                Feature(f"{roles.amount}, times the usual of its {roles.kind}", (str(roles.amount), name), "number")
            )
        else:
            features.append(Feature(name, (name,), "number"))
    return features


def strings(cells: Any) -> tuple[str, ...]:
    """Read a list of strings, such as levels; TypeError if it is none."""
    if not isinstance(cells, list | tuple) or not all(isinstance(cell, str) for cell in cells):
        raise TypeError("a source or a level is no string")
    return tuple(cells)


def sources(features: Iterable[Feature]) -> list[str]:
    """Columns that features are made from, each once."""
    return list(dict.fromkeys(source for feature in features for source in feature.sources))


def values(claims: pl.DataFrame, features: Sequence[Feature]) -> pl.DataFrame:
    """Compute the features of claims.

    Parameters
    ----------
    claims : polars.DataFrame
        The features' source columns.

    Returns
    -------
    polars.DataFrame
        A column a feature, in their order: Float64 for numbers and ordered levels, String for categories; null where
        unknown, which infinity and NaN are too: a derived column may have divided by zero. Rows as they came.
    """
    dtypes = dict(zip(claims.columns, claims.dtypes, strict=True))
    return claims.select(_value(feature, *(dtypes[source] for source in feature.sources)) for feature in features)


@lru_cache(maxsize=10_000)
def _value(feature: Feature, *dtypes: pl.DataType) -> pl.Expr:
    """Made once, since for a single claim making it costs as much as running it."""
    return _made(feature, *dtypes).alias(feature.name)


def _made(feature: Feature, dtype: pl.DataType, *others: pl.DataType) -> pl.Expr:
    first, *further = map(pl.col, feature.sources)
    if feature.recurs:
        return pl.lit(pl.Series(WEEKDAYS)).gather(first.dt.weekday() - 1)
    if feature.kind == "category":
        return first.cast(pl.String)
    if feature.kind == "ordered":
        ranks = {level: float(rank) for rank, level in enumerate(feature.levels)}
        return first.replace_strict(ranks, default=None, return_dtype=pl.Float64)
    if dtype.is_temporal():
        (last,) = further
        if all(of == pl.Date for of in (dtype, *others)):  # whole days, in a third of the time that moments take
            return (last.to_physical() - first.to_physical()).cast(pl.Float64)
        begin, end = (column.cast(pl.Datetime("us", "UTC")) for column in (first, last))
        # Not by dividing: of a single claim Polars divides, of many it multiplies by the inverse.
        return (end - begin).dt.total_days(fractional=True)
    number = first.cast(pl.Float64)
    if not further and not dtype.is_float():
        return number
    for usual in further:
        number = number / usual
    return pl.when(number.is_finite()).then(number)


@dataclass(frozen=True)
class Bins:
    """Groups of a feature's values.

    Code 0 is a value never seen when the bins were made, 1 a missing one, and from 2 on come the bins themselves.

    Attributes
    ----------
    edges : tuple of float
        For a number or an ordered level: bin ``i`` ends below ``edges[i]``; one bin more than edges.
    levels : tuple of str
        For a category: a bin a level, the most frequent first.
    """

    edges: tuple[float, ...] = ()
    levels: tuple[str, ...] = ()

    @classmethod
    def of(cls, feature: Feature, column: pl.Series, most: int) -> Self:
        """Make bins from a sample: quantiles of a number that has more than `most` values, else each value its own.

        Parameters
        ----------
        column : polars.Series
            The feature's values, as :func:`values` makes them.
        most : int
            Bins of a number at most; a category has one for each level.
        """
        known = column.drop_nulls()
        if feature.kind == "category":
            counts = known.alias("level").value_counts(sort=False).sort(["count", "level"], descending=[True, False])
            return cls(levels=tuple(counts["level"].to_list()))
        distinct = known.unique().sort().to_numpy()
        if distinct.size > most:
            quantiles = np.quantile(known.to_numpy(), np.linspace(0, 1, most + 1)[1:-1])
            return cls(edges=tuple(float(edge) for edge in np.unique(quantiles)))
        return cls(edges=tuple(float(edge) for edge in (distinct[1:] + distinct[:-1]) / 2))

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Self:
        """Read what ``asdict`` wrote; ValueError or TypeError if it is none."""
        return cls(tuple(map(float, document["edges"])), strings(document["levels"]))

    @property
    def size(self) -> int:
        """Number of codes."""
        return FIRST_BIN + (len(self.levels) if self.levels else len(self.edges) + 1)

    def label(self, code: int) -> str:
        """What a code stands for, in words.

        >>> Bins(edges=(1.0, 5.0)).label(3), Bins(levels=("red",)).label(2), Bins().label(MISSING)
        ('1 to 5', 'red', 'unknown')
        """
        if code in (UNSEEN, MISSING):
            return ("never seen", "unknown")[code]
        place = code - FIRST_BIN
        if self.levels:
            return self.levels[place]
        if not self.edges:
            return "any"
        if place == 0:
            return f"under {self.edges[0]:g}"
        if place == len(self.edges):
            return f"{self.edges[-1]:g} and over"
        return f"{self.edges[place - 1]:g} to {self.edges[place]:g}"

    def codes(self, column: pl.Series) -> Codes:
        """Put values into bins.

        Returns
        -------
        array of shape (n,)
            A code from 0 to ``size - 1`` a value.
        """
        if column.dtype == pl.String:
            return codes_by(self.levels)(column.hash().to_numpy()).astype(np.int32)
        numbers = column.to_numpy()  # NaN for null
        placed = np.searchsorted(np.asarray(self.edges), numbers, side="right") + FIRST_BIN
        return np.where(np.isnan(numbers), MISSING, placed).astype(np.int32)


def weights_of_evidence(codes: Codes, y: Floats, size: int, prior: float) -> Floats:
    """Log odds of fraud in each bin, less those of all claims.

    Parameters
    ----------
    codes : array of shape (n,)
        Bins of the claims.
    y : array of shape (n,)
        1 for fraud.
    prior : float
        Claims' worth of the overall rate that is mixed into each bin, so that small bins say little.

    Returns
    -------
    array of shape (size,)
        0 for "never seen", and for a bin without claims.

    Notes
    -----
    I. J. Good, Probability and the Weighing of Evidence, 1950, with additive smoothing.
    """
    rate = (y.sum() + 0.5) / (y.size + 1.0)
    frauds = np.bincount(codes, weights=y, minlength=size) + prior * rate
    rates = frauds / (np.bincount(codes, minlength=size) + prior)
    evidence = np.log(rates / (1 - rates)) - np.log(rate / (1 - rate))
    evidence[UNSEEN] = 0.0
    return np.asarray(evidence)
