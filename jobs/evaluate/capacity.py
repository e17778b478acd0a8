"""What investigators would have found among the claims that they had had the time to look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shared.features import Floats
from shared.metrics import Estimate, percentile, resampled_sums


@dataclass(frozen=True)
class AtCapacity:
    """What is found at the review threshold, among the claims whose outcome is known.

    Attributes
    ----------
    claims, flagged, frauds : int
        Claims with a known outcome, those flagged, and the frauds.
    recall, precision, lift : Estimate
        Share of the frauds flagged; share of frauds among the flagged; that as a multiple of the overall rate.
    caught, cost, net : Estimate or None
        Amount of the frauds flagged, cost of the investigations, and the one less the other, in the amount's unit;
        None where the contract names no amount.
    amounts_unknown : int
        Frauds flagged without an amount; they count as 0.
    """

    claims: int
    flagged: int
    frauds: int
    recall: Estimate
    precision: Estimate
    lift: Estimate
    caught: Estimate | None
    cost: Estimate | None
    net: Estimate | None
    amounts_unknown: int


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
        At most as many claims lie at or above it as there is room for: of a group of ties that does not fit in whole,
        none is flagged. 0 where there is room for all.

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


def at_capacity(y: Floats, flagged: Floats, amount: Floats | None, cost: float, seed: int = 0) -> AtCapacity:
    """Measure what the flagged claims hold.

    Parameters
    ----------
    y, flagged : arrays of shape (n,)
        1 for fraud, and 1 where a claim is flagged.
    amount : array of shape (n,) or None
        Money at stake, NaN where unknown.
    cost : float
        Of one investigation.

    Notes
    -----
    The threshold stays as it is while claims are resampled: it is what score will flag by.
    """
    money = np.zeros(y.size) if amount is None else np.nan_to_num(amount)
    columns = np.column_stack([np.ones(y.size), y, flagged, y * flagged, y * flagged * money])
    value, resampled = _figures(columns.sum(axis=0, keepdims=True), cost), _figures(resampled_sums(columns, seed), cost)
    found = {name: percentile(float(value[name][0]), resampled[name]) for name in value}
    unknown = 0 if amount is None else int(((y * flagged) > 0)[np.isnan(amount)].sum())
    caught, costs, net = (None if amount is None else found[name] for name in ("caught", "cost", "net"))
    return AtCapacity(
        y.size,
        int(flagged.sum()),
        int(y.sum()),
        found["recall"],
        found["precision"],
        found["lift"],
        caught,
        costs,
        net,
        unknown,
    )


def _figures(sums: Floats, cost: float) -> dict[str, Floats]:
    claims, frauds, flagged, found, caught = sums.T
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = found / flagged
        return {
            "recall": found / frauds,
            "precision": precision,
            "lift": precision / (frauds / claims),
            "caught": caught,
            "cost": cost * flagged,
            "net": caught - cost * flagged,
        }
