"""Compare what came after training with what the champion learnt from, by windows; ask for a new model if need be."""

from __future__ import annotations

from collections.abc import Set
from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.drift.stop import OPTIONS, settle
from jobs.drift.windows import claims_of, measured, record, reference, windows_since
from shared.champion import Champion, champion, check
from shared.job import Job, run

if TYPE_CHECKING:
    from jobs.drift.due import Window
    from jobs.drift.measure import Measure


def work(job: Job) -> str:
    """Measure every whole window that was not measured yet; tell train if the newest asks for it."""
    if not job.contract.labelled:
        return "the contract names no outcomes, so there is no champion to watch; nothing measured"
    found = champion(job.database, job.as_of)
    if found is None:
        return "no champion yet; nothing measured"
    done = measured(job, found.version)
    verdicts = [
        (window.end, _measure(job, found, window, done.get(window.start, set())))
        for window in windows_since(job, found.train_end, timedelta(days=job.contract.drift.window_days))
        if window.due(done.get(window.start, set()), job.contract.drift.min_claims)
    ]
    if not verdicts:
        return "no new whole window since the champion's training; nothing to do"
    end, newest = verdicts[-1]
    if newest.verdict == "retrain":
        job.put_event("DriftDetected", model_version=found.version, window_end=end)
    settle(job, found.version, end, newest.verdict, newest.reason or "")
    return f"{len(verdicts)} windows measured; the newest, to {end:%Y-%m-%d}: {newest.verdict}, {newest.reason}"


def _measure(job: Job, found: Champion, window: Window, done: Set[str]) -> Measure:
    # Most runs find none to measure; numpy is for those that do.
    from jobs.drift.measure import compare, overall, performance

    claims, model = claims_of(job, window), found.model
    known = model.known(claims)
    probability = model.fraud_probability(known, job.settings.threads)
    labelled = claims["is_fraud"].is_not_null().to_numpy()
    y = claims["is_fraud"].drop_nulls().to_numpy().astype(float)
    measures = compare(reference(found), known, probability, job.contract.drift)
    measures += performance(y, probability[labelled], found.metrics["ranking"]["roc_auc"]["low"])
    summary = overall(measures)
    new = [measure for measure in measures if measure.metric not in done]
    record(job, found.version, window, [*new, summary], first="psi" not in done)
    return summary


if __name__ == "__main__":
    run("drift", __doc__, work, check, OPTIONS)
