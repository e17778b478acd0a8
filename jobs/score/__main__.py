"""Give every claim that the champion has not scored its fraud probability, and the reasons where someone will look."""

from __future__ import annotations

from jobs.score.unscored import batch, record, waiting
from shared.champion import champion
from shared.job import Job, run


def work(job: Job) -> str:
    """Score batch by batch, each in its own transaction, until a last look finds none."""
    found = champion(job.database, job.as_of)
    if found is None:
        return "no champion yet; nothing scored"
    scored = 0
    while waiting(job, found):
        # Most runs find none; numpy is for those that do.
        from jobs.score.predict import audit_share, predict

        model, last = found.model, ""
        audited = audit_share(job.contract.review.capacity_per_week, found.metrics["claims_per_week"])
        while not (claims := batch(job, found, last)).is_empty():
            record(job, found, predict(claims, model, found.threshold, audited, job.settings.threads))
            scored, last = scored + claims.height, claims["claim_id"][-1]
    return f"{scored:,} claims scored by model {found.version}" if scored else "every claim is scored; nothing to do"


if __name__ == "__main__":
    run("score", __doc__, work)
