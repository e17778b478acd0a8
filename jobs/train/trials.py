"""Try candidates on the folds, one after the other: optuna proposes, folds judge, what falls behind is broken off."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import polars as pl

from jobs.train import candidates
from jobs.train.candidates import FAMILIES, Candidate
from jobs.train.fit import Engine, Fitter, here
from jobs.train.folds import Fold, mean_by_frauds
from shared.features import Feature, Floats
from shared.metrics import average_precision, roc_auc

FRAUDS_A_TRIAL = 25
"""Frauds in the folds' futures that each trial beyond the first ones asks for: a choice of many by few is chance."""


@dataclass(frozen=True)
class Trial:
    """What a candidate showed on the folds; each tuple holds one figure a fold.

    Attributes
    ----------
    number : int
        Its place in the search, from 0.
    state : {'complete', 'pruned'}
        Pruned: it fell behind and did not meet the later folds.
    seconds : float
        By the wall's clock.
    """

    candidate: Candidate
    average_precision: tuple[float, ...]
    roc_auc: tuple[float, ...]
    mean: float
    number: int = 0
    state: Literal["complete", "pruned"] = "complete"
    seconds: float = field(default=0.0, compare=False)


class Course:
    """The folds that every candidate runs over; what candidates share of a fold is made once.

    Parameters
    ----------
    known : polars.DataFrame
        Values of the features, a column each.
    y : array of shape (n,)
        1 for fraud.
    """

    def __init__(
        self,
        features: Sequence[Feature],
        known: pl.DataFrame,
        y: Floats,
        folds: Sequence[Fold],
        threads: int,
        seed: int,
        engine: Engine = here,
    ) -> None:
        self.y, self.folds, self.threads = y, folds, threads
        self.fitters = [Fitter(features, known[fold.past], y[fold.past], threads, seed, engine) for fold in folds]
        self.futures = [known[fold.future] for fold in folds]

    def margins(self, candidate: Candidate) -> Iterator[tuple[Floats, Floats]]:
        """Fit a candidate to each fold's past: log odds of its future, and what was fraud there."""
        for fitter, future, fold in zip(self.fitters, self.futures, self.folds, strict=True):
            yield fitter.fit(candidate).margin(future, self.threads), self.y[fold.future]

    def mean(self, precision: Sequence[float]) -> float:
        """Mean over the first folds, as many as there are figures."""
        return mean_by_frauds(precision, self.y, self.folds[: len(precision)])

    def run(self, candidate: Candidate, earlier: Sequence[Trial], *, whole: bool) -> Trial:
        """Try a candidate until it has met all folds or, unless it is to meet the whole course, falls behind."""
        began = time.perf_counter()
        precision: list[float] = []
        area: list[float] = []
        for margin, actual in self.margins(candidate):
            precision.append(average_precision(actual, margin))
            area.append(roc_auc(actual, margin))
            if not whole and self._is_behind(precision, earlier):
                break
        state: Literal["complete", "pruned"] = "complete" if len(precision) == len(self.folds) else "pruned"
        seconds = time.perf_counter() - began
        return Trial(candidate, tuple(precision), tuple(area), self.mean(precision), len(earlier), state, seconds)

    def _is_behind(self, precision: Sequence[float], earlier: Sequence[Trial]) -> bool:
        """Whether it does worse than the median of the trials that came as far.

        The median stopping rule: D. Golovin et al., Google Vizier: a service for black-box optimization, KDD 2017,
        section 3.2.2.
        """
        met = len(precision)
        others = [self.mean(trial.average_precision[:met]) for trial in earlier if len(trial.average_precision) >= met]
        return self.mean(precision) < float(np.median(others))


def go_on(course: Course, finished: Sequence[Trial], count: int, seed: int, deadline: float) -> Iterator[Trial]:
    """Try candidates beyond those that are finished; each trial as it ends.

    What is drawn depends on the seed, the trial's number and the trials before it alone, so that a search that was
    killed goes on as if it had not been.

    Parameters
    ----------
    count : int
        Trials in all.
    deadline : float
        Moment of :func:`time.perf_counter` after which no trial begins, but for the first of all.
    """
    trials = list(finished)
    while len(trials) < count and not (trials and time.perf_counter() > deadline):
        first = candidates.CANDIDATES[len(trials) :][:1]
        candidate = first[0] if first else _propose(trials, seed + len(trials))
        trials.append(course.run(candidate, trials, whole=bool(first)))
        yield trials[-1]


def budget(most: int, y: Floats, folds: Sequence[Fold]) -> int:
    """Trials that these claims are worth: every family's first ones, and more the more frauds can tell them apart."""
    frauds = sum(float(y[fold.future].sum()) for fold in folds)
    return min(most, len(candidates.CANDIDATES) + int(frauds // FRAUDS_A_TRIAL))


def choose(trials: Sequence[Trial]) -> int:
    """Pick the simplest candidate that the best one does not clearly beat.

    Returns
    -------
    int
        Place of the first trial that is at least as good as the worst of those whose shortfall in mean average
        precision is within one standard error of the paired difference over folds. So one that is tied only because it
        is erratic does not win over a simpler one that is better.

    Notes
    -----
    The one-standard-error rule: L. Breiman et al., Classification and Regression Trees, 1984, section 3.4.3; here on
    paired differences, since all candidates meet the same folds.
    """
    best = max(trials, key=lambda trial: trial.mean)
    least = best.mean
    for trial in trials:
        shortfall = np.asarray(best.average_precision) - np.asarray(trial.average_precision)
        error = float(shortfall.std(ddof=1) / np.sqrt(shortfall.size)) if shortfall.size > 1 else 0.0
        if best.mean - trial.mean <= error:
            least = min(least, trial.mean)
    return next(place for place, trial in enumerate(trials) if trial.mean >= least)


def best_of_families(trials: Sequence[Trial]) -> list[Trial]:
    """Give each family's best trial of those that met all folds, the simplest family first."""
    complete = [trial for trial in trials if trial.state == "complete"]
    families = ([trial for trial in complete if trial.candidate.family == family] for family in FAMILIES)
    return [max(family, key=lambda trial: trial.mean) for family in families if family]


def _propose(trials: Sequence[Trial], seed: int) -> Candidate:
    import optuna
    from optuna.trial import TrialState, create_trial

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=len(candidates.CANDIDATES))
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for trial in trials:
        if (drawn := candidates.as_drawn(trial.candidate)) is None:
            continue
        parameters, spans = drawn
        pruned = trial.state == "pruned"
        study.add_trial(
            create_trial(
                params=parameters,
                distributions=spans,
                state=TrialState.PRUNED if pruned else TrialState.COMPLETE,
                value=None if pruned else trial.mean,
                intermediate_values={len(trial.average_precision): trial.mean},
            )
        )
    return candidates.draw(study.ask())
