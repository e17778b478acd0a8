"""Decide whether a window of claims looks like those the model learnt from, and whether the model still ranks them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from jobs.drift.due import rankable
from shared.contract import Drift
from shared.features import Floats
from shared.metrics import ranking_metrics
from shared.profile import PROBABILITY, Profile, missing_share, population_stability_index, sampling_noise, unseen_share

Verdict = Literal["ok", "watch", "retrain", "stop"]
SEVERITY: tuple[Verdict, ...] = ("ok", "watch", "retrain", "stop")
WHOLE = "*"
"""Stands for the window as a whole where a metric belongs to no single feature."""


@dataclass(frozen=True)
class Measure:
    """One figure of one window.

    Attributes
    ----------
    feature : str
        Or :data:`WHOLE`, or a source such as ``source:claims``.
    limit : float or None
        None where none is set.
    reason : str or None
        A sentence that says what to do, where there is a need.
    low, high : float or None
        95 % interval, where it has one.
    weight : float
        How much the model leans on the feature, 1 for what concerns it as a whole: ranks the reasons; not stored.
    """

    feature: str
    metric: str
    value: float
    limit: float | None
    verdict: Verdict
    reason: str | None = None
    low: float | None = None
    high: float | None = None
    weight: float = 1.0


def compare(profile: Profile, known: pl.DataFrame, probability: Floats, limits: Drift) -> list[Measure]:
    """Compare a window's claims with the reference profile, column by column.

    Parameters
    ----------
    known : polars.DataFrame
        Values of the model's features for the window's claims.
    probability : array of shape (n,)
        The model's probabilities for them.

    Returns
    -------
    list of Measure
        ``psi``, ``missing`` and ``unseen`` of each column. The limit of the first is the contract's and what chance
        adds to it, so that a small window does not look shifted.
    """
    counts = profile.count(known.with_columns(pl.Series(PROBABILITY.name, probability)))
    measures = []
    for column in profile.columns:
        reference, current = np.asarray(column.counts), counts[column.name]
        shift, noise = population_stability_index(reference, current), sampling_noise(reference, current)
        verdict: Verdict = "ok"
        if shift >= limits.watch_psi + noise:
            verdict = "retrain" if shift >= limits.retrain_psi + noise else "watch"
        limit = limits.watch_psi + noise
        reason = None if verdict == "ok" else f"{column.name} has shifted (PSI {shift:.2f}, limit {limit:.2f})"
        measures.append(Measure(column.name, "psi", shift, limit, verdict, reason))
        measures.append(Measure(column.name, "missing", missing_share(current), None, "ok"))
        measures.append(Measure(column.name, "unseen", unseen_share(current), None, "ok"))
    return measures


def performance(y: Floats, probability: Floats, judged_low: float | None) -> list[Measure]:
    """Judge the model's ranking of a window's claims whose outcome is known.

    Parameters
    ----------
    judged_low : float or None
        Lower bound of the area under the ROC curve when the model was judged; a window whose upper bound is below it is
        surely worse than that.

    Returns
    -------
    list of Measure
        Empty while fewer than ten frauds, or no other claims, are known.
    """
    if not rankable(int(y.sum()), int(y.size - y.sum())):
        return []
    metrics = ranking_metrics(y, probability)
    auc = metrics["roc_auc"]
    worse = judged_low is not None and auc.high < judged_low
    reason = (
        f"the model ranks worse than when it was judged (AUC {auc.value:.2f}, at most {auc.high:.2f})"
        if worse
        else None
    )
    return [
        Measure(WHOLE, "roc_auc", auc.value, judged_low, "retrain" if worse else "ok", reason),
        Measure(WHOLE, "average_precision", metrics["average_precision"].value, None, "ok"),
        Measure(WHOLE, "recall_at_20_percent", metrics["recall_at_20_percent"].value, None, "ok"),
        Measure(WHOLE, "prevalence", metrics["prevalence"].value, None, "ok"),
    ]


def overall(measures: Sequence[Measure]) -> Measure:
    """Sum a window's measures up in one verdict: the gravest, with its reasons, the largest first."""
    gravest: Verdict = max((measure.verdict for measure in measures), key=SEVERITY.index, default="ok")
    telling = sorted((m for m in measures if m.reason), key=lambda m: (-SEVERITY.index(m.verdict), -m.value))
    reason = "; ".join(measure.reason or "" for measure in telling) or "like the training claims"
    return Measure(WHOLE, "verdict", float(SEVERITY.index(gravest)), None, gravest, reason)
