"""Fit candidates of several families, choose among them by folds, and refit the chosen one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from jobs.train.folds import Fold, drawn_folds, forward_auc, forward_folds, mean_by_frauds
from jobs.train.leaks import Finding, suspected_leaks, time_bound
from shared.contract import Contract
from shared.features import Bins, Feature, Floats, features_of, values, weights_of_evidence
from shared.metrics import average_precision, roc_auc
from shared.model import Logistic, Model, Trees, indicators
from shared.profile import Profile

if TYPE_CHECKING:
    import xgboost

EVIDENCE_BINS = 5
EVIDENCE_PRIOR = 30.0
MIN_LEVEL_CLAIMS = 30
"""Claims that a level needs for an indicator of its own."""
CHANCE_AUC = 0.5

Settings = Mapping[str, float]


@dataclass(frozen=True)
class Candidate:
    """One way to fit a model: its family and the settings of its parts, which are averaged."""

    family: str
    logistic: Settings | None = None
    trees: Settings | None = None

    @property
    def settings(self) -> dict[str, float]:
        """Settings of all parts, by a name that says of which."""
        parts = {"logistic": self.logistic or {}, "trees": self.trees or {}}
        return {f"{part}.{name}": value for part, settings in parts.items() for name, value in settings.items()}


# For tabular problems of some thousand rows and few frauds: shallow trees, sampled rows and columns, strong shrinkage.
# No class weights: they would bend the probabilities, and a ranking hardly gains by them.
_MAX_BIN = 64
_BOOSTED = {"max_depth": 3, "learning_rate": 0.05, "subsample": 0.7, "colsample_bytree": 0.5, "max_bin": _MAX_BIN}
_LOOSE = _BOOSTED | {"rounds": 300, "reg_lambda": 3.0, "min_child_weight": 1.0}
_TIGHT = _BOOSTED | {"rounds": 150, "reg_lambda": 10.0, "min_child_weight": 5.0}
_FOREST = {
    "max_depth": 8,
    "learning_rate": 1.0,
    "subsample": 0.63,  # the share of different rows in a bootstrap sample
    "colsample_bynode": 0.3,
    "num_parallel_tree": 200,
    "rounds": 1,
    "reg_lambda": 1.0,
    "min_child_weight": 2.0,
    "max_bin": _MAX_BIN,
}

CANDIDATES: tuple[Candidate, ...] = (
    Candidate("logistic", logistic={"C": 0.1}),
    Candidate("logistic", logistic={"C": 1.0}),
    Candidate("boosted_trees", trees=_TIGHT),
    Candidate("boosted_trees", trees=_LOOSE),
    Candidate("random_forest", trees=_FOREST),
    Candidate("blend", logistic={"C": 0.1}, trees=_LOOSE),
)
"""From the simplest to the least simple: a tie goes to the earlier."""


@dataclass(frozen=True)
class Trial:
    """What a candidate showed on the folds; each tuple holds one figure a fold."""

    candidate: Candidate
    average_precision: tuple[float, ...]
    roc_auc: tuple[float, ...]
    mean: float


@dataclass(frozen=True)
class Search:
    """All that was tried, and the chosen model fitted on all training claims.

    Attributes
    ----------
    findings : tuple of Finding
        Columns with something against them.
    left_out : tuple of Finding
        Those of them that the model does not see.
    screened_out : tuple of str
        Features that did not rank later claims better than chance.
    """

    model: Model
    profile: Profile
    trials: tuple[Trial, ...]
    chosen: int
    findings: tuple[Finding, ...]
    left_out: tuple[Finding, ...]
    screened_out: tuple[str, ...]


def search(claims: pl.DataFrame, contract: Contract, threads: int, seed: int) -> Search | str:
    """Try every candidate and fit the best.

    Parameters
    ----------
    claims : polars.DataFrame
        Training claims: ``event_time``, ``known_at`` (of the outcome), ``draw``, ``is_fraud`` and every stored column;
        any order.

    Returns
    -------
    Search or str
        A sentence where there is nothing to learn from.
    """
    claims = claims.sort("event_time", "claim_id")
    y = claims["is_fraud"].cast(pl.Float64).to_numpy()
    dated = contract.roles.event_time is not None
    if dated:
        folds = forward_folds(claims["event_time"].to_list(), claims["known_at"].to_list())
    else:
        folds = drawn_folds(claims["draw"].to_numpy())
    folds = [fold for fold in folds if 0 < y[fold.past].sum() < fold.past.size and y[fold.future].sum() > 0]
    if not folds:
        return (
            "the training claims make no fold with frauds both before and after its cut; load claims of a longer time"
            if dated
            else "the training claims make no fold with frauds on both sides; load more of them"
        )
    features = features_of(contract)
    known = values(claims, features)
    findings = suspected_leaks(claims, features, known, y, folds, contract)
    if dated:
        findings += time_bound(features, known, claims["event_time"].cast(pl.Date).to_physical().to_numpy(), seed)
    left_out = [finding for finding in findings if finding.column not in contract.features.allow]
    barred = {finding.column for finding in left_out}
    offered = [
        feature for feature in features if feature.sources[0] not in barred and known[feature.name].n_unique() > 1
    ]
    kept = _screen(offered, known, y, folds)
    if not kept:
        return (
            "no column is left to learn from: all are identifiers, leaks, tied to the date or constant, or left out by "
            "the contract; name more columns in it"
        )
    known = known.select(feature.name for feature in kept)
    trials = tuple(_try(kept, known, y, folds, threads, seed))
    chosen = choose(trials)
    return Search(
        model=Fitter(kept, known, y, threads, seed).fit(trials[chosen].candidate),
        profile=Profile.of(known, kept),
        trials=trials,
        chosen=chosen,
        findings=tuple(findings),
        left_out=tuple(left_out),
        screened_out=tuple(feature.name for feature in offered if feature not in kept),
    )


def choose(trials: Sequence[Trial]) -> int:
    """Pick the simplest candidate that the best one does not clearly beat.

    Returns
    -------
    int
        Place of the first trial whose shortfall in mean average precision is within one standard error of the paired
        difference over folds.

    Notes
    -----
    The one-standard-error rule: L. Breiman et al., Classification and Regression Trees, 1984, section 3.4.3; here on
    paired differences, since all candidates meet the same folds.
    """
    best = max(trials, key=lambda trial: trial.mean)
    for place, trial in enumerate(trials):
        shortfall = np.asarray(best.average_precision) - np.asarray(trial.average_precision)
        error = float(shortfall.std(ddof=1) / np.sqrt(shortfall.size)) if shortfall.size > 1 else 0.0
        if best.mean - trial.mean <= error:
            return place
    raise AssertionError("the best candidate does not fall short of itself")


def _screen(features: Sequence[Feature], known: pl.DataFrame, y: Floats, folds: Sequence[Fold]) -> list[Feature]:
    """Keep what ranks later claims better than chance; the best one where none does."""
    scores = {feature: forward_auc(feature, known[feature.name], y, folds) for feature in features}
    kept = [feature for feature in features if scores[feature] > CHANCE_AUC]
    return kept or sorted(features, key=lambda feature: -scores[feature])[:1]


def _try(
    features: Sequence[Feature], known: pl.DataFrame, y: Floats, folds: Sequence[Fold], threads: int, seed: int
) -> list[Trial]:
    precisions: list[list[float]] = [[] for _ in CANDIDATES]
    areas: list[list[float]] = [[] for _ in CANDIDATES]
    for fold in folds:
        fitter = Fitter(features, known[fold.past], y[fold.past], threads, seed)
        future, actual = known[fold.future], y[fold.future]
        for place, candidate in enumerate(CANDIDATES):
            probability = fitter.fit(candidate).fraud_probability(future, threads)
            precisions[place].append(average_precision(actual, probability))
            areas[place].append(roc_auc(actual, probability))
    return [
        Trial(candidate, tuple(precision), tuple(area), mean_by_frauds(precision, y, folds))
        for candidate, precision, area in zip(CANDIDATES, precisions, areas, strict=True)
    ]


class Fitter:
    """Fits candidates on the same claims; what several of them need is made once."""

    def __init__(self, features: Sequence[Feature], known: pl.DataFrame, y: Floats, threads: int, seed: int) -> None:
        self._features, self._known, self._y = tuple(features), known, y
        self._threads, self._seed = threads, seed
        self._logistics: dict[tuple[tuple[str, float], ...], Logistic] = {}
        self._trees: dict[tuple[tuple[str, float], ...], Trees] = {}

    def fit(self, candidate: Candidate) -> Model:
        """Fit a candidate."""
        parts: list[Logistic | Trees] = []
        if (settings := candidate.logistic) is not None:
            key = tuple(settings.items())
            parts.append(self._logistics.get(key) or self._logistics.setdefault(key, self._fit_logistic(settings)))
        if (settings := candidate.trees) is not None:
            key = tuple(settings.items())
            parts.append(self._trees.get(key) or self._trees.setdefault(key, self._fit_trees(settings)))
        return Model(candidate.family, self._features, tuple(parts))

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
        fitted = LogisticRegression(C=settings["C"], max_iter=1000).fit(columns, self._y)
        return Logistic(
            bins=tuple(bins),
            evidence=tuple(tuple(weights.tolist()) for weights in evidence),
            coefficients=tuple(fitted.coef_[0].tolist()),
            intercept=float(fitted.intercept_[0]),
        )

    @cached_property
    def _laid_out(self) -> tuple[tuple[tuple[str, ...], ...], xgboost.QuantileDMatrix]:
        """Levels with an indicator, and the claims as XGBoost wants them."""
        import xgboost

        levels = tuple(
            _frequent_levels(self._known[feature.name]) if feature.kind == "category" else ()
            for feature in self._features
        )
        laid_out = indicators(self._known, levels)
        return levels, xgboost.QuantileDMatrix(laid_out, self._y, nthread=self._threads, max_bin=_MAX_BIN)

    def _fit_trees(self, settings: Settings) -> Trees:
        import xgboost

        levels, matrix = self._laid_out
        parameters = {name: value for name, value in settings.items() if name != "rounds"} | {
            "objective": "binary:logistic",
            "tree_method": "hist",
            "nthread": self._threads,
            "seed": self._seed,
            "verbosity": 0,
        }
        booster = xgboost.train(parameters, matrix, int(settings["rounds"]))
        return Trees(levels, booster.save_raw("json").decode())


def _frequent_levels(column: pl.Series) -> tuple[str, ...]:
    counts = column.drop_nulls().value_counts(sort=False).sort(["count", column.name], descending=[True, False])
    levels = counts.filter(pl.col("count") >= MIN_LEVEL_CLAIMS)[column.name].to_list()
    # Of two levels one tells all.
    return tuple(levels[:1] if column.n_unique() == 2 else levels)
