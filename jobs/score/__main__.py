"""Give every claim that the champion has not scored its fraud probability, and the reasons where someone will look.

Where no outcomes are known, it says how unusual each claim is instead.
"""

from __future__ import annotations

from jobs.score.unscored import ANOMALIES, PREDICTIONS, Decide, score_all
from shared.champion import Champion, Ranking, champion, check, ranking
from shared.job import Job, run
from shared.stops import refuse_stopped


def work(job: Job) -> str:
    """Score with the champion; where the contract names no outcomes, rank claims by how unusual they are."""
    refuse_stopped(job)
    if job.contract.labelled:
        standing = champion(job.database, job.as_of)
        if standing is None:
            return "no champion yet; nothing scored"
        scored = score_all(job, PREDICTIONS, standing.version, lambda: _predicting(job, standing))
        return _told(scored, standing.version)
    newest = ranking(job.database, job.as_of)
    if newest is None:
        return "no model to rank claims by yet; nothing scored"
    return _told(score_all(job, ANOMALIES, newest.version, lambda: _ranking(newest)), newest.version)


def _told(scored: int, version: int) -> str:
    return f"{scored:,} claims scored by model {version}" if scored else "every claim is scored; nothing to do"


# Most runs find nothing to score; numpy and the model are for those that do.
def _predicting(job: Job, standing: Champion) -> Decide:
    from jobs.score.predict import audit_share, predict

    model, threads = standing.model, job.settings.threads
    audited = audit_share(job.contract.review.capacity_per_week, standing.metrics["claims_per_week"])
    return lambda claims: predict(claims, model, standing.threshold, audited, threads)


def _ranking(newest: Ranking) -> Decide:
    from jobs.score.rank import rank

    model = newest.model
    return lambda claims: rank(claims, model)


if __name__ == "__main__":
    run("score", __doc__, work, check)
