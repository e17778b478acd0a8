"""Decide whether a challenger may be promoted: what it shows on claims it never saw, against the contract's gates."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from shared.contract import Gates
from shared.features import Floats
from shared.metrics import (
    OPTIMISTIC,
    Bin,
    Estimate,
    calibration_error,
    deciles,
    paired_difference,
    ranking_metrics,
)
from shared.profile import PROBABILITY, Profile

Split = Literal["time", "random"]


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
        See :func:`shared.metrics.ranking_metrics`.
    gates : tuple of Gate
    deciles : list of Bin
    split : {'time', 'random'}
        What told the judged claims from those learnt from; at random, every figure is optimistic.
    """

    metrics: dict[str, Estimate]
    gates: tuple[Gate, ...]
    deciles: list[Bin]
    split: Split = "time"

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


def judge(
    y: Floats,
    challenger: Floats,
    champion: Floats | None,
    leaks: Collection[str],
    gates: Gates,
    split: Split = "time",
) -> Judgement:
    """Judge a challenger on the out-of-time window, or on drawn claims where none has a date.

    Parameters
    ----------
    y : array of shape (n,)
        1 for fraud, of claims later than any that the challenger or the champion learnt from; or drawn for ever.
    challenger, champion : arrays of shape (n,)
        Their fraud probabilities for the same claims; None while there is no champion.
    leaks : collection of str
        Suspected leaks among the challenger's features that the contract does not let in.
    """
    enough = _at_least("frauds in the judged window", float(y.sum()), gates.min_frauds)
    if y.size == 0:
        return Judgement({}, (enough,), [], split)
    metrics = ranking_metrics(y, challenger)
    checks = [
        enough,
        _at_least("recall at 20 percent", metrics["recall_at_20_percent"].value, gates.min_recall_at_20_percent),
        _at_least("lift of the top decile, lower bound", metrics["lift_top_decile"].low, gates.min_lift_top_decile_low),
        _at_most("calibration error", calibration_error(y, challenger), gates.max_calibration_error),
        _at_most("suspected leaks among the features", len(leaks), 0),
    ]
    if champion is not None:
        difference = paired_difference(y, challenger, champion)
        checks.append(
            _at_least("average precision less the champion's", difference.value, -gates.max_average_precision_loss)
        )
    return Judgement(metrics, tuple(checks), deciles(y, challenger), split)


def flag_threshold(probability: Floats, weeks: float, capacity_per_week: int) -> float:
    """Probability from which claims are flagged, so that as many a week are flagged as investigators can review.

    Parameters
    ----------
    probability : array of shape (n,)
        Of all claims of a window, whether their outcome is known or not.
    weeks : float
        Length of the window.

    Returns
    -------
    float
        At most as many claims lie at or above it as there is room for, ties included; 0 where there is room for all.

    >>> flag_threshold(np.array([0.1, 0.5, 0.9, 0.9]), 1.0, 2)
    0.9
    """
    room = int(capacity_per_week * weeks)
    if room >= probability.size:
        return 0.0
    ranked = np.sort(probability)[::-1]
    # The probability just above the first claim for which there is no room.
    above = ranked[ranked > ranked[room]]
    return float(above[-1]) if above.size else float(np.nextafter(ranked[0], 2.0))


def as_document(judgement: Judgement, probability: Floats, claims_per_week: float) -> dict[str, Any]:
    """What the history keeps of a judgement's figures, ready for JSON: NaN becomes null.

    Parameters
    ----------
    probability : array of shape (n,)
        Of all claims of the window; drift compares later ones with their distribution.
    """
    profile = Profile.of(pl.DataFrame({PROBABILITY.name: probability}), [PROBABILITY])
    figures = {name: _plain(vars(estimate)) for name, estimate in judgement.metrics.items()}
    return {
        "split": judgement.split,
        "caveat": judgement.caveat,
        "ranking": figures,
        "deciles": [_plain(vars(bin)) for bin in judgement.deciles],
        "claims_per_week": claims_per_week,
        "probability": profile.as_document(),
    }


def gates_as_document(judgement: Judgement) -> list[dict[str, Any]]:
    """Write the gates ready for JSON."""
    return [_plain(vars(gate)) for gate in judgement.gates]


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not np.isfinite(value) else value for key, value in values.items()
    }


def _at_least(name: str, value: float, limit: float) -> Gate:
    return Gate(name, float(value), "at least", float(limit), bool(value >= limit))


def _at_most(name: str, value: float, limit: float) -> Gate:
    return Gate(name, float(value), "at most", float(limit), bool(value <= limit))
