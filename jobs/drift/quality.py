"""Decide whether what comes in is broken, so that a score of it would mean nothing, and how each source behaves.

Judged on the newest claims, and not only on whole windows: these limits are so far out that no window without a fault
reaches them, whatever its size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jobs.drift.measure import Column, Measure, Verdict, missing, outside, scale, unseen
from shared.profile import PROBABILITY
from shared.summaries import Summary

MOST = 0.5
"""Share of the claims, or rows, that is most of them."""
LEANT_ON = 0.5
"""Share of an even part of all importance from which the model leans on a column."""
HARDLY_ANY = 0.1
"""Share of the usual claims of a week that is hardly any."""
FEWEST = 50
"""Claims that a week usually has where so few tell something."""
UNUSUAL_VOLUME = 2.0
"""Times as many claims as usual, or as few, that are worth a word."""
MORE_REPEATED = 0.05
"""Share of repeated claims, beyond the usual, that is worth a word."""


def broken(columns: Sequence[Column], newest: Mapping[str, Summary]) -> list[Measure]:
    """Find columns that the model leans on and that are no longer what they were.

    Parameters
    ----------
    newest : mapping of str to Summary
        One for each column, of the newest claims as one week.

    Returns
    -------
    list of Measure
        ``missing``, ``unseen`` and ``outside`` where they hold for most claims, and held for few before.
    """
    features = [column for column in columns if column.feature != PROBABILITY]
    measures = []
    for column in features:
        if column.weight * len(features) < LEANT_ON:
            continue
        before, after = column.whole, newest[column.name].counts[0]
        shares = {"missing": (missing(before), missing(after)), "unseen": (unseen(before), unseen(after))}
        if column.grid.levels is None:
            shares["outside"] = (outside(before, before), outside(before, after))
        for metric, (usual, share) in shares.items():
            # Twice what it was, too: what is mostly empty by nature is not broken.
            if share >= max(MOST, 2 * usual):
                reason = _reason(column, newest[column.name], metric, share, usual)
                measures.append(Measure(column.name, metric, share, MOST, "stop", reason, weight=column.weight))
    return measures


def _reason(column: Column, newest: Summary, metric: str, share: float, usual: float) -> str:
    name = column.name
    if metric == "missing":
        return f"{name} is empty in {share:.0%} of the newest claims ({usual:.0%} before): ask the sender for it"
    if metric == "unseen":
        return f"{name} has a level that training never saw in {share:.0%} of the newest claims: ask the sender"
    times = scale(column.weekly, newest)
    larger = "" if times is None else f" and is {times:.3g} times as large in the mean"
    return (
        f"{name} lies outside its usual range in {share:.0%} of the newest claims{larger}: ask the sender whether its "
        "unit changed"
    )


def volume(usual: Sequence[int], weeks: Sequence[int]) -> Measure:
    """Judge how many claims a window's weeks hold.

    Parameters
    ----------
    usual, weeks : sequence of int
        Claims of each week of the reference, and of the window.
    """
    expected = float(np.median(usual)) if len(usual) else 0.0
    times = float(np.mean(weeks)) / expected if expected else 1.0
    verdict: Verdict = "ok"
    reason = None
    if expected >= FEWEST and max(times, 1 / max(times, 1e-9)) >= UNUSUAL_VOLUME:
        verdict, reason = "watch", f"{times:.2g} times as many claims a week as usual ({expected:.0f})"
    return Measure("source:claims", "volume", times, UNUSUAL_VOLUME, verdict, reason)


def hardly_any(usual: Sequence[int], last: int) -> list[Measure]:
    """Judge the claims of the last week that is over."""
    expected = float(np.median(usual)) if len(usual) else 0.0
    if expected < FEWEST or last >= HARDLY_ANY * expected:
        return []
    reason = f"the last week brought {last} claims where {expected:.0f} are usual: look for what holds them back"
    return [Measure("source:claims", "volume", last / expected, HARDLY_ANY, "stop", reason)]


def repeated(usual: float, share: float) -> Measure:
    """Judge the share of claims that repeat another claim of their week under an id of their own."""
    limit = usual + MORE_REPEATED
    told = f"{share:.0%} of the claims repeat another's content under an id of their own ({usual:.0%} before)"
    worse = share >= limit
    return Measure("source:claims", "repeated", share, limit, "watch" if worse else "ok", told if worse else None)


@dataclass(frozen=True)
class Source:
    """How the files or pulls of one kind came.

    Attributes
    ----------
    kind : str
        Such as ``claims``.
    rows, rejected : int
        Of the newest of them, as many as hold enough rows to tell.
    silent_days : float
        Since the last of them.
    longest_days : float or None
        Between two of them so far; None where few have come.
    """

    kind: str
    rows: int
    rejected: int
    silent_days: float
    longest_days: float | None


def sources(found: Sequence[Source], reject_limit: float, min_rows: int) -> list[Measure]:
    """Judge what etl's ledger says of each source: its rejects and how fresh it is."""
    measures = []
    for source in found:
        name = f"source:{source.kind}"
        share = source.rejected / max(source.rows, 1)
        verdict: Verdict = "ok"
        reason = None
        if source.rows >= min_rows and share >= MOST and source.kind == "claims":
            verdict = "stop"
            reason = f"{share:.0%} of the newest rows of claims were rejected: look into claims_quarantine for why"
        elif source.rows >= min_rows and share > reject_limit:
            verdict = "watch"
            reason = (
                f"{share:.0%} of the newest rows of {source.kind} were rejected, the contract allows {reject_limit:.0%}"
            )
        measures.append(Measure(name, "rejected", share, reject_limit, verdict, reason))
        if source.longest_days is not None:
            limit = max(2 * source.longest_days, 2.0)
            late = source.silent_days >= limit
            told = f"no {source.kind} came for {source.silent_days:.0f} days, {source.longest_days:.0f} at most before"
            measures.append(
                Measure(
                    name, "silent_days", source.silent_days, limit, "watch" if late else "ok", told if late else None
                )
            )
    return measures
