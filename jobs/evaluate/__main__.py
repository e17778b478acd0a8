"""Judge every challenger not yet judged on claims it never saw, and promote it if it passes the contract's gates."""

from __future__ import annotations

from jobs.evaluate.check import check
from jobs.evaluate.history import Challenger, Unlearnt, leaks, record_verdict, rival, unjudged, weekly_claims, window
from shared.champion import champion
from shared.errors import ModelError
from shared.job import Job, run


def work(job: Job) -> str:
    """Judge, look again, and tell score of a promotion; a challenger that cannot be read keeps no other waiting."""
    if not job.contract.labelled:
        return "the contract names no outcomes, so there is nothing to judge a model by; nothing to do"
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
    unlearnt = Unlearnt.of(challenger, standing)
    claims = window(job, unlearnt)
    labelled = claims["is_fraud"].is_not_null()
    probability = found.fraud_probability(found.known(claims), job.settings.threads)
    judgement = judge(
        claims["is_fraud"].drop_nulls().to_numpy().astype(float),
        probability[labelled.to_numpy()],
        rival(job, standing, claims.filter(labelled)),
        leaks(challenger, found, job.contract),
        job.contract.gates,
        challenger.split,
    )
    weekly = weekly_claims(claims, unlearnt)
    threshold = flag_threshold(probability, claims.height / max(weekly, 1e-9), job.contract.review.capacity_per_week)
    document = as_document(judgement, probability, weekly)
    record_verdict(job, challenger, standing, judgement, claims, threshold, document)
    said = f"model {challenger.version} ({challenger.family})"
    if not judgement.promoted:
        return f"{said} {judgement.reason}"
    job.put_event("ModelPromoted", model_version=challenger.version)
    return f"{said} promoted: {judgement.reason}"


if __name__ == "__main__":
    run("evaluate", __doc__, work, check)
