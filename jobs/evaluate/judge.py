"""Decide whether a challenger may be promoted: what it shows on claims it never saw, against the contract's gates."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np

from jobs.evaluate.calibration import Calibration, calibration
from jobs.evaluate.capacity import AtCapacity, at_capacity, flag_threshold
from shared.contract import Gates, Review
from shared.fairness import Disparity, Sensitive, disparity
from shared.features import Floats
from shared.importance import rank_correlation
from shared.metrics import (
    OPTIMISTIC,
    Bin,
    Estimate,
    calibration_error,
    curve,
    deciles,
    paired_difference,
    ranking_metrics,
)

Split = Literal["time", "random"]


@dataclass(frozen=True)
class Evidence:
    """What a challenger, and the champion beside it, make of claims that neither learnt from.

    Attributes
    ----------
    y : array of shape (n,)
        1 for fraud, 0 for none, NaN where the outcome is not known.
    probability : array of shape (n,)
        The challenger's, of all claims.
    champion : array of shape (m,) or None
        The champion's, of the m claims whose outcome is known; None while there is none.
    claims_per_week : float
        Volume of the line.
    amount : array of shape (n,) or None
        Money at stake, NaN where unknown; None where the contract names no such column.
    sensitive : tuple of Sensitive
        Groups to be held against each other.
    importance, champion_importance : mapping
        How much each feature weighs; None while there is no champion.
    leaks : collection of str
        Suspected leaks among the challenger's features that the contract does not let in.
    milliseconds, megabytes : float
        What it takes to score 1,000 claims, and the size of its files; NaN where not measured.
    split : {'time', 'random'}
        What told the judged claims from those learnt from.
    """

    y: Floats
    probability: Floats
    champion: Floats | None = None
    claims_per_week: float = 0.0
    amount: Floats | None = None
    sensitive: tuple[Sensitive, ...] = ()
    importance: Mapping[str, float] = field(default_factory=dict)
    champion_importance: Mapping[str, float] | None = None
    leaks: Collection[str] = ()
    milliseconds: float = float("nan")
    megabytes: float = float("nan")
    split: Split = "time"

    @cached_property
    def labelled(self) -> Floats:
        """Which claims have a known outcome; booleans of shape (n,)."""
        return ~np.isnan(self.y)


@dataclass(frozen=True)
class Gate:
    """One condition: what was found, what the contract asks, and whether that is enough."""

    name: str
    value: float
    asks: Literal["at least", "at most"]
    limit: float
    passed: bool


@dataclass(frozen=True)
class Judgement:
    """What a challenger showed.

    Attributes
    ----------
    metrics : dict
        See :func:`shared.metrics.ranking_metrics`; empty where no outcome is known, and all below with it.
    gates : tuple of Gate
    deciles : list of Bin
    split : {'time', 'random'}
        What told the judged claims from those learnt from; at random, every figure is optimistic.
    threshold : float or None
        Probability from which claims are flagged; None where the window holds no claim.
    curve : list of dict
        See :func:`shared.metrics.curve`.
    against_champion : Estimate or None
        Average precision less the champion's on the same claims.
    importance_correlation : float or None
        See :func:`shared.importance.rank_correlation`.
    """

    metrics: dict[str, Estimate]
    gates: tuple[Gate, ...]
    deciles: list[Bin]
    split: Split = "time"
    threshold: float | None = None
    capacity: AtCapacity | None = None
    calibration: Calibration | None = None
    fairness: tuple[Disparity, ...] = ()
    curve: list[dict[str, float]] = field(default_factory=list)
    against_champion: Estimate | None = None
    importance_correlation: float | None = None

    @property
    def caveat(self) -> str | None:
        """What must be said beside each of its figures, or None."""
        return OPTIMISTIC if self.split == "random" else None

    @property
    def promoted(self) -> bool:
        """Whether every gate is passed."""
        return all(gate.passed for gate in self.gates)

    @property
    def reason(self) -> str:
        """The verdict in one sentence."""
        refusing = [
            f"{gate.name} is {gate.value:.3g}, {gate.asks} {gate.limit:.3g} is asked"
            for gate in self.gates
            if not gate.passed
        ]
        told = "refused: " + "; ".join(refusing) if refusing else f"passed all {len(self.gates)} gates"
        return f"{told} (optimistic, since the split is random)" if self.caveat else told


def judge(evidence: Evidence, gates: Gates, review: Review) -> Judgement:
    """Judge a challenger on the out-of-time window, or on drawn claims where none has a date.

    Where chance has a say, a gate goes by the end of the 95 % interval that proves what the gate is there to prove:
    that the ranking is good enough and no worse than the champion's must be shown, and so must be that probabilities
    are off or that groups are treated unlike. So a small window promotes nothing, and raises no false alarm.
    """
    y, probability = evidence.y[evidence.labelled], evidence.probability[evidence.labelled]
    threshold = _threshold(evidence, review)
    enough = _at_least("frauds in the judged window", float(y.sum()), gates.min_frauds)
    if threshold is None or y.size == 0:
        return Judgement({}, (enough,), [], evidence.split, threshold)
    flagged = (evidence.probability >= threshold).astype(float)
    found = Judgement(
        ranking_metrics(y, probability),
        (),
        deciles(y, probability),
        evidence.split,
        threshold,
        at_capacity(
            y,
            flagged[evidence.labelled],
            None if evidence.amount is None else evidence.amount[evidence.labelled],
            review.cost,
        ),
        calibration(y, probability),
        tuple(disparity(sensitive, evidence.y, flagged) for sensitive in evidence.sensitive),
        curve(y, probability),
        None if evidence.champion is None else paired_difference(y, probability, evidence.champion),
        _correlation(evidence),
    )
    leaks = f" ({', '.join(sorted(evidence.leaks))})" if evidence.leaks else ""
    checks = (
        enough,
        *_of_ranking(found, gates),
        *_of_calibration(found, calibration_error(y, probability), gates),
        *_of_fairness(found.fairness, gates),
        _at_most(f"suspected leaks among the features{leaks}", len(evidence.leaks), 0),
        *_of_use(evidence, gates),
    )
    return replace(found, gates=checks)


def _threshold(evidence: Evidence, review: Review) -> float | None:
    many = evidence.probability.size
    weeks = many / max(evidence.claims_per_week, 1e-9)
    return flag_threshold(evidence.probability, weeks, review.capacity_per_week) if many else None


def _correlation(evidence: Evidence) -> float | None:
    if evidence.champion_importance is None:
        return None
    return rank_correlation(evidence.importance, evidence.champion_importance)


def _of_ranking(found: Judgement, gates: Gates) -> Iterator[Gate]:
    metrics = found.metrics
    yield _at_least("recall at 20 percent", metrics["recall_at_20_percent"].value, gates.min_recall_at_20_percent)
    yield _at_least(
        "lift of the top decile, lower bound", metrics["lift_top_decile"].low, gates.min_lift_top_decile_low
    )
    if (against := found.against_champion) is not None:
        name = "average precision less the champion's, lower bound"
        yield _at_least(name, against.low, -gates.max_average_precision_loss)
    if (correlation := found.importance_correlation) is not None:
        name = "rank correlation of importance with the champion's"
        yield _at_least(name, correlation, gates.min_importance_correlation)


def _of_calibration(found: Judgement, overall: float, gates: Gates) -> Iterator[Gate]:
    yield _at_most("calibration error", overall, gates.max_calibration_error)
    if found.calibration is not None:
        name = "calibration error by decile, lower bound"
        yield _at_most(name, found.calibration.relative.low, gates.max_calibration_error_by_decile)


def _of_fairness(fairness: Collection[Disparity], gates: Gates) -> Iterator[Gate]:
    for found in fairness:
        for measure, difference, limit in (
            ("demographic parity", found.demographic_parity, gates.max_demographic_parity_difference),
            ("equal opportunity", found.equal_opportunity, gates.max_equal_opportunity_difference),
        ):
            if difference is not None:
                yield _at_most(f"{measure} difference of {found.column}, lower bound", difference.low, limit)


def _of_use(evidence: Evidence, gates: Gates) -> Iterator[Gate]:
    yield _at_most("milliseconds to score 1,000 claims", evidence.milliseconds, gates.max_milliseconds)
    yield _at_most("megabytes of the model's files", evidence.megabytes, gates.max_megabytes)


def _at_least(name: str, value: float, limit: float) -> Gate:
    return Gate(name, float(value), "at least", float(limit), bool(value >= limit))


def _at_most(name: str, value: float, limit: float) -> Gate:
    return Gate(name, float(value), "at most", float(limit), bool(value <= limit))
