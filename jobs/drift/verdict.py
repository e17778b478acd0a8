"""Decide what a window's measures come to, and when a new model is asked for: not each time that a column flaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from jobs.drift.due import WEEK
from jobs.drift.measure import RETRAIN, SEVERITY, SHIFT, WHOLE, Measure, Verdict

SURELY = 2.0
"""Times the limit of a new model beyond which one window is enough."""
QUIET_WINDOWS = 3
"""Windows after a new model was asked for in which the same champion asks again only if it got worse."""
WORSE = 1.5
"""Times as severe that is worse."""


def severity(measures: Sequence[Measure]) -> float:
    """How far the worst of a window's measures is out, in limits: from :data:`RETRAIN` on a new model is wanted."""
    shifts = [m.value / m.limit for m in measures if m.metric == SHIFT and m.limit]
    others = [RETRAIN for m in measures if m.metric != SHIFT and m.verdict == "retrain"]
    return max([*shifts, *others], default=0.0)


def overall(measures: Sequence[Measure], wanted_before: bool) -> list[Measure]:
    """Sum a window's measures up in one verdict with its reasons, the weightiest first.

    Parameters
    ----------
    wanted_before : bool
        Whether the window before wanted a new model, too.

    Returns
    -------
    list of Measure
        ``wanted``, the gravest of the measures' verdicts; ``severity``; and ``verdict``, the same but for a new model
        that only shifts of this one window ask for: it waits for the next window, unless they are beyond twice its
        limit. A measure of outcomes is a test made once, and waits for none.
    """
    wanted: Verdict = max((measure.verdict for measure in measures), key=SEVERITY.index, default="ok")
    telling = sorted((m for m in measures if m.reason), key=_rank)
    reasons = [measure.reason or "" for measure in telling]
    verdict = wanted
    if wanted == "retrain" and not wanted_before and not any(map(_sure, measures)):
        verdict = "watch"
        reasons.append("a new model is asked for if the next window is like this one")
    said = "; ".join(reasons) or "like the training claims"
    return [
        Measure(WHOLE, "wanted", float(SEVERITY.index(wanted)), None, wanted),
        Measure(WHOLE, "severity", severity(measures), RETRAIN, "ok"),
        Measure(WHOLE, "verdict", float(SEVERITY.index(verdict)), None, verdict, said),
    ]


def of_broken(measures: Sequence[Measure], faults: Sequence[Measure]) -> list[Measure]:
    """Measures of a window in which the input was broken: no reason for a new model, which would learn the fault."""
    if not faults:
        return list(measures)
    reason = f"broken input: {', '.join(sorted({fault.feature for fault in faults}))}, no new model for that"
    lowered = [replace(m, verdict="watch") if m.verdict == "retrain" and m.metric == SHIFT else m for m in measures]
    return [*lowered, Measure(WHOLE, "broken", float(len(faults)), None, "watch", reason)]


@dataclass(frozen=True)
class Said:
    """What was said of a window and when; or when a new model was last asked for, and how bad it was then."""

    window_start: datetime
    as_of: datetime
    wanted: Verdict
    verdict: Verdict
    severity: float
    reason: str = ""


def asks(told: Sequence[Said], last: Said | None, length: int) -> Said | None:
    """Decide whether train is to be told, and of which window: at most once in a while, unless it got worse.

    Parameters
    ----------
    told : sequence of Said
        Of each window that is over, the oldest first. Only what the newest run said counts.
    last : Said or None
        When this champion last asked, under the window that was then the newest.
    length : int
        Weeks of a window.
    """
    newest = max((window.as_of for window in told), default=None)
    wanting = [window for window in told if window.verdict == "retrain" and window.as_of == newest]
    if not wanting:
        return None
    worst = max(wanting, key=lambda window: (window.severity, window.window_start))
    if last is None:
        return worst
    if worst.as_of <= last.as_of:
        return None  # it has been told of this
    quiet = told[-1].window_start - last.window_start < QUIET_WINDOWS * length * WEEK
    return None if quiet and worst.severity < WORSE * last.severity else worst


def _sure(measure: Measure) -> bool:
    if measure.metric != SHIFT:
        return measure.verdict == "retrain"
    return measure.verdict == "retrain" and measure.value >= SURELY * RETRAIN * (measure.limit or 0.0)


def _rank(measure: Measure) -> tuple[float, float]:
    times = measure.value / measure.limit if measure.metric == SHIFT and measure.limit else 1.0
    return -SEVERITY.index(measure.verdict), -times * measure.weight
