"""Fit a candidate to claims."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import chdtrc

from jobs.train.calibrate import platt
from jobs.train.candidates import Candidate, Settings
from shared.anomaly import Anomaly
from shared.distances import chi_square
from shared.features import Bins, Feature, Floats, weights_of_evidence
from shared.model import Model
from shared.parts import Linear, Logistic, Part, Trees, Unusual, laid_out

if TYPE_CHECKING:
    import xgboost

EVIDENCE_BINS = 5
EVIDENCE_PRIOR = 30.0
MIN_LEVEL_CLAIMS = 30
"""Claims that a level needs for a code of its own."""
BY_CHANCE = 1e-6
"""Probability of levels that differ so much in their frauds by chance, below which their codes stand in that order."""
MAX_BIN = 64
SKETCHED = 100_000
"""Claims that tell the quantiles by which numbers are put into bins: as many as 64 bins need, and many take seconds."""

Grow = Callable[[Mapping[str, Any], int], "xgboost.Booster"]
"""Grows trees on claims laid out before: XGBoost's parameters, rounds."""
Engine = Callable[[NDArray[np.float32], Floats, int, int], Grow]
"""Lays claims out to grow trees on: rows, what is fraud, threads, bins a column."""


def here(rows: NDArray[np.float32], y: Floats, threads: int, max_bin: int) -> Grow:
    """Lay claims out in this process; the :data:`Engine` that is enough for what one machine holds."""
    import xgboost

    every = slice(None, None, -(-len(rows) // SKETCHED))
    matrix = xgboost.QuantileDMatrix(rows[every], y[every], nthread=threads, max_bin=max_bin)
    if len(rows) > SKETCHED:
        matrix = xgboost.QuantileDMatrix(rows, y, ref=matrix, nthread=threads, max_bin=max_bin)
    return lambda parameters, rounds: xgboost.train({**parameters, "nthread": threads}, matrix, rounds)


class Fitter:
    """Fits candidates on the same claims; what several of them need is made once."""

    def __init__(
        self,
        features: Sequence[Feature],
        known: pl.DataFrame,
        y: Floats,
        threads: int,
        seed: int,
        engine: Engine = here,
    ) -> None:
        self._features, self._known, self._y = tuple(features), known, y
        self._threads, self._seed, self._engine = threads, seed, engine

    def fit(self, candidate: Candidate) -> Model:
        """Fit a candidate; its log odds are not calibrated yet."""
        parts: list[Part] = []
        if candidate.logistic is not None:
            parts.append(self._fit_logistic(candidate.logistic))
        if candidate.anomaly is not None:
            parts.append(self._unusual)
        if candidate.trees is not None:
            parts.append(self._fit_trees(candidate.trees))
        return Model(candidate.family, self._features, tuple(parts))

    @cached_property
    def levels(self) -> tuple[tuple[str, ...], ...]:
        """Levels that trees tell apart, for each feature, in the order of their codes."""
        return tuple(
            _frequent_levels(self._known[feature.name], self._y) if feature.kind == "category" else ()
            for feature in self._features
        )

    @cached_property
    def _weighed(self) -> tuple[list[Bins], list[Floats], Floats]:
        """Bins and weights of evidence of each feature, and the claims' own weights, of shape (n, features)."""
        columns = [self._known[feature.name] for feature in self._features]
        bins = [
            Bins.of(feature, column, EVIDENCE_BINS) for feature, column in zip(self._features, columns, strict=True)
        ]
        coded = [b.codes(column) for b, column in zip(bins, columns, strict=True)]
        evidence = [
            weights_of_evidence(codes, self._y, b.size, EVIDENCE_PRIOR) for codes, b in zip(coded, bins, strict=True)
        ]
        return bins, evidence, np.column_stack([w[codes] for w, codes in zip(evidence, coded, strict=True)])

    def _fit_logistic(self, settings: Settings) -> Logistic:
        from sklearn.linear_model import LogisticRegression

        bins, evidence, columns = self._weighed
        terms = self._linear if settings["linear"] else []
        numbers = [term.shares(self._known[term.feature]) for term in terms]
        fitted = LogisticRegression(C=settings["C"], max_iter=1000)
        fitted.fit(np.column_stack([columns, *numbers]), self._y)
        coefficients = fitted.coef_[0].tolist()
        slopes = coefficients[len(bins) :]
        return Logistic(
            bins=tuple(bins),
            evidence=tuple(tuple(weights.tolist()) for weights in evidence),
            coefficients=tuple(coefficients[: len(bins)]),
            intercept=float(fitted.intercept_[0]),
            linear=tuple(replace(term, slope=term.slope * slope) for term, slope in zip(terms, slopes, strict=True)),
        )

    @cached_property
    def _linear(self) -> list[Linear]:
        """Standardized terms of the numbers, so that one penalty is just to all."""
        made = (Linear.of(self._known[feature.name]) for feature in self._features if feature.kind == "number")
        return [term for term in made if term is not None]

    @cached_property
    def _unusual(self) -> Unusual:
        found = Anomaly.of(self._known, self._features)
        histograms = Anomaly(found.features, found.profile)
        score = histograms.contributions(histograms.codes(self._known)).sum(axis=1)
        scale = platt(score, self._y)
        return Unusual(histograms, scale.slope, scale.intercept)

    @property
    def laid_out(self) -> NDArray[np.float32]:
        """The claims as trees see them; see :func:`shared.parts.laid_out`."""
        return laid_out(self._known, self.levels)

    @cached_property
    def _grow(self) -> Grow:
        return self._engine(self.laid_out, self._y, self._threads, MAX_BIN)

    def _fit_trees(self, settings: Settings) -> Trees:
        parameters = {name: value for name, value in settings.items() if name != "rounds"} | {
            "objective": "binary:logistic",
            "tree_method": "hist",
            "max_bin": MAX_BIN,
            "seed": self._seed,
            "verbosity": 0,
        }
        booster = self._grow(parameters, int(settings["rounds"]))
        return Trees(self.levels, booster.save_raw("json").decode())


def _frequent_levels(column: pl.Series, y: Floats) -> tuple[str, ...]:
    """By their names, which mostly order bands; by their rates of fraud where these differ by more than chance."""
    by_level = pl.DataFrame({"level": column, "frauds": y}).drop_nulls().group_by("level")
    found = by_level.agg(pl.len().alias("claims"), pl.col("frauds").sum().cast(pl.Int64))
    found = found.filter(pl.col("claims") >= MIN_LEVEL_CLAIMS).sort("level")
    claims, frauds = found["claims"].to_numpy().astype(np.int64), found["frauds"].to_numpy()
    if found.height > 1 and chdtrc(found.height - 1, chi_square(frauds, claims - frauds)) < BY_CHANCE:
        rates = (frauds + EVIDENCE_PRIOR * y.mean()) / (claims + EVIDENCE_PRIOR)
        found = found[np.argsort(rates, kind="stable")]
    return tuple(found["level"].to_list())
