"""Which claims are learnt from, and which are kept back to judge the model: later ones, or drawn ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shared.contract import Contract
from shared.draws import DRAWS
from shared.features import Floats

Draws = NDArray[np.int64]

JUDGED_FRAUDS = 100
"""Frauds from which a judged window can tell a lift of 2.3 from the gate's 1.5: with 46 it does so in 3 of 10 draws."""
MOST_JUDGED = 0.5
LEAST_FRAUDS = 10
"""In either window; below, no figure would mean anything."""


@dataclass(frozen=True)
class Windows:
    """Claims with an outcome up to and including ``train_end`` are learnt from, those after it judge.

    Attributes
    ----------
    judged_share : float or None
        Where no column dates the claims: those whose draw is below this share judge, the others are learnt from.
    """

    train_start: datetime
    train_end: datetime
    judged_share: float | None = None


def cut(labelled: pl.DataFrame, contract: Contract, kept: float | None) -> Windows | str:
    """Cut the claims whose outcome is known by time, or by a draw where the contract names no column that dates them.

    Parameters
    ----------
    labelled : polars.DataFrame
        ``event_time``, ``is_fraud`` and ``draw``, by time.
    kept : float or None
        See :func:`draw`.
    """
    times, y = labelled["event_time"].to_list(), labelled["is_fraud"].to_numpy().astype(float)
    share = contract.training.judged_share
    if contract.roles.event_time is None:
        return draw(times, labelled["draw"].to_numpy(), y, share, kept)
    return split(times, y, share)


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
    if told := _too_little(n, frauds):
        return told
    from_the_end = np.cumsum(y[::-1])[::-1]
    wanted = min(frauds, JUDGED_FRAUDS)
    latest = round(n * (1 - judged_share))
    enough = int(np.flatnonzero(from_the_end >= wanted)[-1])
    cut = min(latest, max(enough, round(n * (1 - MOST_JUDGED))))
    # Claims of one moment stand on one side.
    moments = np.array([moment.timestamp() for moment in event_times])
    begin = int(np.searchsorted(moments, moments[min(cut, n - 1)], side="left"))
    if y[:begin].sum() < LEAST_FRAUDS or from_the_end[begin] < LEAST_FRAUDS:
        return (
            f"no cut by time leaves {LEAST_FRAUDS} frauds on both sides: {frauds} among {n:,} claims with an outcome; "
            "load more of them"
        )
    return Windows(event_times[0], event_times[begin - 1])


def draw(
    event_times: Sequence[datetime], draws: Draws, y: Floats, judged_share: float, kept: float | None
) -> Windows | str:
    """Part the claims whose outcome is known by a draw, where no column dates them.

    Parameters
    ----------
    event_times : sequence of datetime
        Ascending; here the moments at which the claims were loaded.
    draws : array of shape (n,)
        Whole numbers below `shared.draws.DRAWS`, one a claim, the same for ever.
    y : array of shape (n,)
        1 for fraud.
    kept : float or None
        Share that judged the line's earlier models: it holds for ever, so that no claim that ever judged is learnt
        from.

    Returns
    -------
    Windows or str
        Without an earlier share, it grows until it holds 100 frauds, though never over half of the draws.
    """
    n, frauds = len(event_times), int(y.sum())
    if told := _too_little(n, frauds):
        return told
    share = kept
    if share is None:
        of_frauds = np.sort(draws[y > 0])
        enough = (int(of_frauds[min(frauds, JUDGED_FRAUDS) - 1]) + 1) / DRAWS
        share = max(judged_share, min(enough, MOST_JUDGED))
    learnt = draws >= share * DRAWS
    if min(y[learnt].sum(), y[~learnt].sum()) < LEAST_FRAUDS or y[learnt].all():
        return (
            f"a draw of {share:.0%} does not leave {LEAST_FRAUDS} frauds on both sides: {frauds} among {n:,} claims "
            "with an outcome; load more of them"
        )
    moments = [moment for moment, kept_in in zip(event_times, learnt, strict=True) if kept_in]
    return Windows(moments[0], moments[-1], share)


def _too_little(n: int, frauds: int) -> str | None:
    if n == 0:
        return (
            "no outcome is known yet, so there is nothing to learn; send outcomes, or wait until those that were sent "
            "are known"
        )
    if frauds == 0:
        return (
            f"none of the {n:,} claims with an outcome is a fraud, so there is nothing to learn; load some that are, "
            "and check the contract's words for fraud"
        )
    if frauds == n:
        return (
            f"all {n:,} claims with an outcome are frauds: there is nothing to tell them from; load some that are none"
        )
    if frauds < 2 * LEAST_FRAUDS:
        return (
            f"too few frauds to train and judge a model: {frauds} among {n:,} claims with an outcome, "
            f"{2 * LEAST_FRAUDS} needed; load more claims and outcomes"
        )
    return None
