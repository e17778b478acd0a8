"""scikit-learn's own trees on the same folds: a yardstick that is reported and never chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from jobs.train.fit import MAX_BIN
from jobs.train.trials import Course
from shared.metrics import average_precision, roc_auc
from shared.parts import laid_out

TREES = 100
LEAF_CLAIMS = 5


@dataclass(frozen=True)
class Yardstick:
    """What a model of scikit-learn showed on the folds; each tuple holds one figure a fold."""

    name: str
    average_precision: tuple[float, ...]
    roc_auc: tuple[float, ...]
    mean: float


def yardsticks(course: Course, seed: int) -> tuple[Yardstick, ...]:
    """Fit scikit-learn's forest and its boosted trees, each with its own defaults as far as these are sound here."""
    from joblib import parallel_config
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

    with parallel_config(backend="threading"):  # processes of its own a child process may not have
        return (
            _yardstick(
                course,
                RandomForestClassifier(TREES, min_samples_leaf=LEAF_CLAIMS, n_jobs=course.threads, random_state=seed),
            ),
            _yardstick(course, HistGradientBoostingClassifier(max_bins=MAX_BIN, random_state=seed)),
        )


def _yardstick(course: Course, classifier: Any) -> Yardstick:
    precision, area = [], []
    for fitter, future, fold in zip(course.fitters, course.futures, course.folds, strict=True):
        seen = fitter.laid_out
        # A column of which the fold's past has one value, or none, ends boosting with an error.
        telling = np.fmin.reduce(seen, axis=0) < np.fmax.reduce(seen, axis=0)
        if telling.any():
            classifier.fit(seen[:, telling], course.y[fold.past])
            probability = classifier.predict_proba(laid_out(future, fitter.levels)[:, telling])[:, 1]
        else:
            probability = np.full(fold.future.size, course.y[fold.past].mean())
        precision.append(average_precision(course.y[fold.future], probability))
        area.append(roc_auc(course.y[fold.future], probability))
    return Yardstick(type(classifier).__name__, tuple(precision), tuple(area), course.mean(precision))
