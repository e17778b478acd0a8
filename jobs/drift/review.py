"""Say of each window what is new, of the newest claims whether they are broken, and whether a new model is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from jobs.drift import joint, quality, reference
from jobs.drift.due import Window, newest
from jobs.drift.late import late_outcomes
from jobs.drift.measure import SHIFT, WHOLE, Column, Measure, Verdict, compare, judged
from jobs.drift.verdict import asks, of_broken, overall
from jobs.drift.watch import Watch, watch
from jobs.drift.watched import watched
from jobs.drift.windows import ASKED, measured, record, said, standing, withdraw
from shared.champion import Champion
from shared.distances import shift_of_auc
from shared.job import Job
from shared.summaries import Summary


@dataclass(frozen=True)
class Review:
    """What a run of drift found.

    Attributes
    ----------
    measured : int
        Windows of which something new was said.
    window : Window or None
        The newest that is over and of which something was ever said; the one under way where its claims are broken.
    open : Window
        The one under way.
    verdict, reason : str
        Of that window.
    severity : float
        How far the worst shift of that window is out, in limits.
    """

    measured: int
    window: Window | None
    open: Window
    verdict: Verdict = "ok"
    reason: str = ""
    severity: float = 0.0


def review(job: Job, found: Champion) -> Review:
    """Measure what is due, record it, and tell train if a new model is wanted."""
    state = watch(job, found)
    *over, current = state.windows
    count = _measure(state, over)
    faults = _faults(state)
    if faults:
        summary = overall(faults, wanted_before=False)
        record(job, found, current, [*faults, *summary])
        return Review(count, current, current, "stop", summary[-1].reason or "")
    withdraw(job, found.version, current)
    _ask(state, over)
    told, _ = said(job, found.version, over)
    if not told:
        return Review(count, None, current)
    last = told[-1]
    window = next(window for window in over if window.start == last.window_start)
    return Review(count, window, current, last.verdict, last.reason, last.severity)


def _measure(state: Watch, over: list[Window]) -> int:
    """Measure the windows that are over and due, the oldest first, and say of how many there was something to say."""
    job, found = state.job, state.found
    done, late = measured(job, found.version), late_outcomes(job, found)
    wants: dict[datetime | None, Verdict] = {
        each.window_start: each.wanted for each in said(job, found.version, over)[0]
    }
    count = 0
    for place, window in enumerate(over):
        before = over[place - 1].start if place else None
        # All that is said of a window, in other tables too, or nothing.
        with job.database.transaction():
            new, stands = list[Measure](), done.get(window.start, set[str]())
            if window.due(stands, job.contract.drift.min_claims):
                withdraw(job, found.version, window)  # what was said before it was over
                new, stands = _of_claims(state, window, newest_one=window is over[-1]), set()
            if late.due(window.start, window.end, stands):
                new += late.measures(window.start, window.end, stands)
            if new:
                written = {(measure.feature, measure.metric) for measure in new}
                old = standing(job, found.version, window, state.weights)
                kept = [measure for measure in old if (measure.feature, measure.metric) not in written]
                summary = overall([*kept, *new], wants.get(before) == "retrain")
                wants[window.start] = summary[0].verdict
                record(job, found, window, [*new, *summary])
                count += 1
    late.append_cohorts()
    return count


def _of_claims(state: Watch, window: Window, *, newest_one: bool) -> list[Measure]:
    """Measure a window's claims: columns, all columns together, data quality, and what the champion makes of them."""
    job, weeks = state.job, window.places(state.length)
    columns = state.columns(weeks)
    current = state.summed_up(columns, weeks)
    measures = compare(columns, current, state.length, job.contract.drift)
    claims = reference.sample(job, window.start, window.end, window.claims)
    known = state.model.known(claims)
    if claims.height and len(state.learnt):
        measures += _joint(state, state.laid_out(known), columns)
    measures = of_broken(measures, _broken(state, columns, current))
    counts = {week.place: week.claims for week in state.span.weeks}
    if job.contract.roles.event_time:
        measures.append(quality.volume(state.span.usual, [counts.get(place, 0) for place in weeks]))
    measures.append(quality.repeated(state.repeated(), state.repeated(weeks)))
    if newest_one:
        limits = job.contract.file.reject_limit, job.contract.drift.min_claims
        measures += quality.sources(reference.sources(job), *limits)
    probability = state.model.fraud_probability(known, job.settings.threads)
    return measures + watched(job, state.found, window.start, window.end, claims, probability)


def _joint(state: Watch, rows: joint.Rows, columns: list[Column]) -> list[Measure]:
    drift = state.job.contract.drift
    auc = joint.auc(state.learnt, rows, state.job.settings.threads)
    rate = drift.false_alarm_rate / 2 / (len(columns) + 1)
    limit = max(drift.least_shift, joint.limit(state.past_aucs, (len(state.learnt), len(rows)), rate))
    value = max(shift_of_auc(auc), 0.0)
    verdict = judged(value, limit)
    reason = f"all columns together have shifted ({value:.2f}, limit {limit:.2f}, told apart with an AUC of {auc:.2f})"
    even = 1 / len(columns)
    return [
        Measure(WHOLE, SHIFT, value, limit, verdict, None if verdict == "ok" else reason, weight=even),
        Measure(WHOLE, "auc", auc, None, "ok"),
    ]


def _broken(state: Watch, columns: list[Column], weeks: Mapping[str, Summary]) -> list[Measure]:
    return [fault for fault in quality.broken(columns, weeks) if fault.feature not in state.accepted]


def _faults(state: Watch) -> list[Measure]:
    """What is broken in the newest claims, whether or not their window is over."""
    job = state.job
    weeks = newest(state.span.later, job.contract.drift.min_claims)
    faults = []
    if weeks and state.span.learnt:
        columns = state.columns(weeks)
        faults += _broken(state, columns, state.summed_up(columns, weeks))
    if job.contract.roles.event_time:  # else a claim's week is that of its file
        faults += quality.hardly_any(state.span.usual, state.last_week)
    told = quality.sources(reference.sources(job), job.contract.file.reject_limit, job.contract.drift.min_claims)
    return faults + [measure for measure in told if measure.verdict == "stop"]


def _ask(state: Watch, over: list[Window]) -> None:
    job, found = state.job, state.found
    told, last = said(job, found.version, over)
    wanting = asks(told, last, state.length)
    if wanting is not None:
        window = next(window for window in over if window.start == wanting.window_start)
        # Before the event, since train looks for it; should the event be lost, the weekly training finds it.
        record(job, found, over[-1], [Measure(WHOLE, ASKED, wanting.severity, None, "retrain")])
        job.put_event("DriftDetected", model_version=found.version, window_end=window.end)
