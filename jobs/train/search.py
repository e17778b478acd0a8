"""Decide what model these claims give: what may be learnt from, which candidate is best, how far it can be believed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from jobs.train.calibrate import platt
from jobs.train.candidates import Candidate
from jobs.train.fit import Engine, Fitter, here
from jobs.train.folds import Fold, drawn_folds, forward_auc, forward_folds
from jobs.train.leaks import Finding, barred, suspected_leaks, time_bound
from jobs.train.trials import Course, Trial, best_of_families, budget, choose, go_on
from jobs.train.yardsticks import Yardstick, yardsticks
from shared.contract import Contract
from shared.features import Feature, Floats, features_of, values
from shared.model import Model
from shared.profile import Profile

CHANCE_AUC = 0.5
SEED = 20240101
"""Of sampling within the search and the fit; fixed, so that the same claims give the same model."""


@dataclass(frozen=True)
class Search:
    """All that was tried, and the chosen model fitted on all training claims.

    Attributes
    ----------
    chosen : int
        Number of the trial whose candidate the model is.
    yardsticks : tuple of Yardstick
        What scikit-learn's own models show on the same folds; for comparison alone.
    repeatable : bool
        Whether the same claims give the same model; not so where time ran out, or where trees
        were grown elsewhere than here: their bytes hang on which worker held which claims.
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
    yardsticks: tuple[Yardstick, ...]
    repeatable: bool
    findings: tuple[Finding, ...]
    left_out: tuple[Finding, ...]
    screened_out: tuple[str, ...]


def search(
    claims: pl.DataFrame,
    contract: Contract,
    threads: int,
    seed: int,
    finished: Sequence[Trial] = (),
    engine: Engine = here,
    tell: Callable[[Trial], None] = lambda _: None,
) -> Search | str:
    """Try candidates and fit the best.

    Parameters
    ----------
    claims : polars.DataFrame
        Training claims: ``event_time``, ``known_at`` (of the outcome), ``draw``, ``is_fraud`` and every stored column;
        any order.
    finished : sequence of Trial
        Of a search of the same claims, seed, threads and engine that was killed; it goes on from there.
    engine : Engine
        Where trees are grown.
    tell : callable
        Told each further trial as it ends.

    Returns
    -------
    Search or str
        A sentence where there is nothing to learn from.
    """
    began = time.perf_counter()
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
        days = claims["event_time"].cast(pl.Date).to_physical().to_numpy()
        unsuspected = [feature for feature in features if not barred(feature, findings)]
        findings += time_bound(unsuspected, known, days, contract, seed)
    left_out = [finding for finding in findings if finding.column not in contract.features.allow]
    offered = [feature for feature in features if not barred(feature, left_out) and known[feature.name].n_unique() > 1]
    if all(feature.recurs for feature in offered):  # weekdays alone are no reason to suspect anyone
        suspected = f" ({', '.join(finding.column for finding in left_out)})" if left_out else ""
        return (
            f"no column is left to learn from: all are identifiers, leaks or tied to the date{suspected}, constant, or "
            "left out by the contract; name more columns in it"
        )
    kept = _screen(offered, known, y, folds)
    known = known.select(feature.name for feature in kept)
    course = Course(kept, known, y, folds, threads, seed, engine)
    count = budget(contract.training.trials, y, folds)
    trials = list(finished)
    for trial in go_on(course, finished, count, seed, began + contract.training.search_minutes * 60):
        tell(trial)
        trials.append(trial)
    best = best_of_families(trials)
    chosen = best[choose(best)]
    return Search(
        model=_refitted(chosen.candidate, course, Fitter(kept, known, y, threads, seed, engine)),
        profile=Profile.of(known, kept),
        trials=tuple(trials),
        chosen=chosen.number,
        yardsticks=yardsticks(course, seed),
        repeatable=len(trials) >= count and engine is here,
        findings=tuple(findings),
        left_out=tuple(left_out),
        screened_out=tuple(feature.name for feature in offered if feature not in kept),
    )


def _screen(features: Sequence[Feature], known: pl.DataFrame, y: Floats, folds: Sequence[Fold]) -> list[Feature]:
    """Keep what ranks later claims better than chance; the best one where none does."""
    scores = {feature: forward_auc(feature, known[feature.name], y, folds) for feature in features}
    kept = [feature for feature in features if scores[feature] > CHANCE_AUC]
    return kept or sorted(features, key=lambda feature: -scores[feature])[:1]


def _refitted(candidate: Candidate, course: Course, fitter: Fitter) -> Model:
    """Fit the chosen candidate to all claims, calibrated by what it said of each fold's future."""
    margins, actual = map(np.concatenate, zip(*course.margins(candidate), strict=True))
    shift = np.concatenate(
        [
            np.full(fold.future.size, _log_odds(course.y[fold.future]) - _log_odds(course.y[fold.past]))
            for fold in course.folds
        ]
    )
    return replace(fitter.fit(candidate), calibration=platt(margins, actual, shift))


def _log_odds(y: Floats) -> float:
    return float(np.log((y.sum() + 0.5) / (y.size - y.sum() + 0.5)))
