"""Compare what came after training with what the champion learnt from, by windows; ask for a new model if need be."""

from __future__ import annotations

from jobs.drift.stop import OPTIONS, settle
from shared.champion import champion, check
from shared.job import Job, run


def work(job: Job) -> str:
    """Measure each whole window that was not yet; tell train if a new model is wanted; stop score for broken input."""
    if not job.contract.labelled:
        return "the contract names no outcomes, so there is no champion to watch; nothing measured"
    found = champion(job.database, job.as_of)
    if found is None:
        return "no champion yet; nothing measured"
    # Most runs of a line without a champion end here; numpy is for those that go on.
    from jobs.drift.measure import SEVERITY
    from jobs.drift.review import review

    told = review(job, found)
    settle(job, found.version, told.open.end, told.verdict, told.reason)
    job.figures(
        "windows judged", windows=told.measured, verdict=SEVERITY.index(told.verdict), worst_shift=told.severity
    )
    if told.verdict == "stop":
        return f"{told.measured} windows measured; the newest claims are broken, scoring is stopped: {told.reason}"
    if told.window is None or not told.measured:
        return "no new whole window since the champion's training; nothing to do"
    return f"{told.measured} windows measured; the newest, to {told.window.end:%Y-%m-%d}: {told.verdict}, {told.reason}"


if __name__ == "__main__":
    run("drift", __doc__, work, check, OPTIONS)
