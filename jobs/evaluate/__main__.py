"""Judge every challenger not yet judged on claims it never saw, and promote it if it passes the contract's gates."""

from __future__ import annotations

from jobs.evaluate.history import Challenger, leaks, record_verdict, rival, unjudged, weeks_of, window
from shared.champion import champion
from shared.errors import ModelError
from shared.job import Job, run


def work(job: Job) -> str:
    """Judge, look again, and tell score of a promotion.

    Raises
    ------
    ModelError
        Challengers could not be read; the others were judged all the same.
    """
    verdicts, unreadable = [], dict[int, str]()
    while waiting := [challenger for challenger in unjudged(job) if challenger.version not in unreadable]:
        for challenger in waiting:
            try:
                verdicts.append(_judge(job, challenger))
            except ModelError as error:
                unreadable[challenger.version] = str(error)
    if unreadable:
        raise ModelError(*unreadable.values())
    return "; ".join(verdicts) or "no challenger to judge; nothing to do"


def _judge(job: Job, challenger: Challenger) -> str:
    # Most runs find none to judge; numpy is for those that do.
    from jobs.evaluate.judge import as_document, flag_threshold, judge
    from shared.model import load

    found, standing = load(challenger.folder), champion(job.database, job.as_of)
    opens = max(challenger.train_end, standing.train_end) if standing else challenger.train_end
    claims = window(job, opens)
    labelled = claims["is_fraud"].is_not_null()
    probability = found.fraud_probability(found.known(claims), job.settings.threads)
    judgement = judge(
        claims["is_fraud"].drop_nulls().to_numpy().astype(float),
        probability[labelled.to_numpy()],
        rival(job, standing, claims.filter(labelled)),
        leaks(challenger, found, job.contract),
        job.contract.gates,
    )
    weeks = weeks_of(claims, opens)
    threshold = flag_threshold(probability, weeks, job.contract.review.capacity_per_week)
    document = as_document(judgement, probability, claims.height / weeks)
    record_verdict(job, challenger, standing, judgement, claims, threshold, document)
    if judgement.promoted:
        job.put_event("ModelPromoted", model_version=challenger.version)
    said = f"promoted: {judgement.reason}" if judgement.promoted else judgement.reason
    return f"model {challenger.version} ({challenger.family}) {said}"


if __name__ == "__main__":
    run("evaluate", __doc__, work)
