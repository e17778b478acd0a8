"""Which claims are learnt from, and which later ones are kept back to judge the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from shared.features import Floats

JUDGED_FRAUDS = 100
"""Frauds from which a judged window can tell a lift of 2.3 from the gate's 1.5: with 46 it does so in 3 of 10 draws."""
MOST_JUDGED = 0.5
LEAST_FRAUDS = 10
"""In either window; below, no figure would mean anything."""


@dataclass(frozen=True)
class Windows:
    """Claims with an outcome up to and including ``train_end`` are learnt from, those after it judge."""

    train_start: datetime
    train_end: datetime


def split(event_times: Sequence[datetime], y: Floats, judged_share: float) -> Windows | str:
    """Cut the claims whose outcome is known, by time.

    The judged window is the latest share of the claims, reaching further back until it holds 100 frauds, though never
    over half of the claims.

    Parameters
    ----------
    event_times : sequence of datetime
        Ascending.
    y : array of shape (n,)
        1 for fraud.

    Returns
    -------
    Windows or str
        A sentence where there is too little to tell anything.
    """
    n, frauds = len(event_times), int(y.sum())
    if frauds < 2 * LEAST_FRAUDS:
        return (
            f"too few frauds to train and judge a model: {frauds} among {n:,} claims with an outcome, "
            f"{2 * LEAST_FRAUDS} needed"
        )
    if frauds == n:
        return f"all {n:,} claims with an outcome are frauds: there is nothing to tell them from"
    from_the_end = np.cumsum(y[::-1])[::-1]
    wanted = min(frauds, JUDGED_FRAUDS)
    latest = round(n * (1 - judged_share))
    enough = int(np.flatnonzero(from_the_end >= wanted)[-1])
    cut = min(latest, max(enough, round(n * (1 - MOST_JUDGED))))
    # Claims of one moment stand on one side.
    moments = np.array([moment.timestamp() for moment in event_times])
    begin = int(np.searchsorted(moments, moments[min(cut, n - 1)], side="left"))
    if y[:begin].sum() < LEAST_FRAUDS or from_the_end[begin] < LEAST_FRAUDS:
        return f"no cut by time leaves {LEAST_FRAUDS} frauds on both sides: {frauds} among {n:,} claims with an outcome"
    return Windows(event_times[0], event_times[begin - 1])
