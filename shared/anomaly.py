"""How unusual a claim is, where no outcome is known: a histogram a feature, as data. It says nothing of fraud."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from shared.features import Bins, Codes, Feature, Floats
from shared.profile import Column, Profile
from shared.stored import known_values, read_model

INNER_BINS = 10
"""Bins of equal width between the fences of a number; where it has no more values than that, one each."""
FENCE = 3.0
"""Quartile ranges from the quartiles to the fences: what lies beyond is far out (J. W. Tukey, Exploratory Data
Analysis, 1977, chapter 2)."""
FAR_OUT = (0.001, 0.01, 0.99, 0.999)
"""Quantiles that part what lies beyond the fences."""
FORMAT = 1
RANKS = 1000
"""Steps in which the model remembers how its own claims scored."""


@dataclass(frozen=True)
class Anomaly:
    """Histograms of claims.

    A claim's score is the sum over features of ``-log(share of its bin)``, less the feature's mean: so a feature of
    many rare levels, in which every claim is rare, does not count more than others. Features count as independent.

    Attributes
    ----------
    profile : Profile
        The histograms: a column a feature.
    scores : tuple of float
        Evenly spaced quantiles of the scores of the claims that it was made from, ascending.

    Notes
    -----
    M. Goldstein and A. Dengel, Histogram-based outlier score (HBOS): a fast unsupervised anomaly detection algorithm,
    KI-2012: Poster and Demo Track, 59-63.
    """

    features: tuple[Feature, ...]
    profile: Profile
    scores: tuple[float, ...] = ()

    @classmethod
    def of(cls, known: pl.DataFrame, features: Sequence[Feature]) -> Self:
        """Make histograms of claims.

        Parameters
        ----------
        known : polars.DataFrame
            Values of the features, at least one; of at least one claim.
        """
        columns = []
        for feature in features:
            bins = _bins(feature, known[feature.name])
            counts = np.bincount(bins.codes(known[feature.name]), minlength=bins.size)
            columns.append(Column(feature.name, bins, tuple(counts.tolist())))
        histograms = cls(tuple(features), Profile(tuple(columns)))
        scores = histograms.contributions(histograms.codes(known)).sum(axis=1)
        ranks = np.quantile(scores, np.linspace(0, 1, RANKS + 1))
        return cls(histograms.features, histograms.profile, tuple(ranks.tolist()))

    @cached_property
    def shares(self) -> list[Floats]:
        """Share of the claims in each bin, for each feature."""
        return [np.asarray(column.counts) / max(sum(column.counts), 1) for column in self.profile.columns]

    @cached_property
    def _surprisals(self) -> list[Floats]:
        # Half a claim in an empty bin: a level never seen is surprising, but not beyond all measure.
        least = 0.5 / max(sum(self.profile.columns[0].counts), 1)
        surprisals = [-np.log(np.maximum(shares, least)) for shares in self.shares]
        return [nats - shares @ nats for shares, nats in zip(self.shares, surprisals, strict=True)]

    def known(self, claims: pl.DataFrame) -> pl.DataFrame:
        """Compute what this model looks at; see :func:`shared.stored.known_values`."""
        return known_values(claims, self.features)

    def codes(self, known: pl.DataFrame) -> Codes:
        """Bin of each claim in each feature, of shape (n, features)."""
        return np.column_stack([column.bins.codes(known[column.name]) for column in self.profile.columns])

    def contributions(self, codes: Codes) -> Floats:
        """Share of each feature in the score, in nats, of shape (n, features): above 0 where the value is unusual."""
        return np.column_stack([nats[codes[:, place]] for place, nats in enumerate(self._surprisals)])

    def rank_share(self, score: Floats) -> Floats:
        """Share of the claims it was made from that are at least as unusual, of shape (n,): from 1/1000 to 1."""
        below = np.searchsorted(np.asarray(self.scores), score, side="left")
        return np.clip(1 - below / RANKS, 1 / RANKS, 1.0)

    def save(self, folder: Path) -> None:
        """Write ``model.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        document = {
            "format": FORMAT,
            "features": [asdict(feature) for feature in self.features],
            "histograms": self.profile.as_document(),
            "scores": self.scores,
        }
        (folder / "model.json").write_text(json.dumps(document, indent=1))


def load(folder: Path) -> Anomaly:
    """Read a model that :meth:`Anomaly.save` wrote.

    Raises
    ------
    ModelError
        It is not there, or of another format than this code writes.
    """
    with read_model(folder, [FORMAT]) as (document, features):
        found = Anomaly(features, Profile.of_document(document["histograms"]), tuple(map(float, document["scores"])))
        if [feature.name for feature in features] != [column.name for column in found.profile.columns]:
            raise ValueError("its histograms do not fit its features")
        if len(found.scores) != RANKS + 1:
            raise ValueError("its scores are not complete")
        return found


def _bins(feature: Feature, column: pl.Series) -> Bins:
    known = column.drop_nulls()
    if feature.kind != "number" or known.n_unique() <= INNER_BINS:
        return Bins.of(feature, column, max(INNER_BINS, len(feature.levels)))
    numbers = known.to_numpy()
    low, high = np.quantile(numbers, (0.25, 0.75))
    first = max(float(low - FENCE * (high - low)), float(numbers.min()))
    last = min(float(high + FENCE * (high - low)), float(numbers.max()))
    outside = np.quantile(numbers, FAR_OUT)
    edges = [*np.linspace(first, last, INNER_BINS + 1), *outside[(outside < first) | (outside > last)]]
    # The smallest value opens no bin of its own.
    return Bins(edges=tuple(float(edge) for edge in np.unique(edges) if numbers.min() < edge < numbers.max()))
