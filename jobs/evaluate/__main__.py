"""Judge every challenger not yet judged on claims it never saw, and promote it if it passes the contract's gates."""

from __future__ import annotations

from jobs.evaluate.cards import publish
from jobs.evaluate.check import check
from jobs.evaluate.evidence import Challenger, gather, unjudged
from jobs.evaluate.history import mirror, record_verdict
from jobs.evaluate.standing import OPTIONS
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
    mirror(job)
    publish(job)
    if unreadable:
        raise ModelError(*unreadable.values())
    return "; ".join(verdicts) or "no challenger to judge; nothing to do"


def _judge(job: Job, challenger: Challenger) -> str:
    # Most runs find none to judge; numpy is for those that do.
    from jobs.evaluate.analysis import analyse, keep, write_card
    from jobs.evaluate.document import as_document
    from jobs.evaluate.judge import judge

    standing = champion(job.database, job.as_of)
    claims, evidence = gather(job, challenger, standing)
    judgement = judge(evidence, job.contract.gates, job.contract.review)
    found = analyse(job, challenger, claims, evidence, judgement)
    document = as_document(judgement, evidence) | {"errors": found.errors}
    with job.database.transaction():
        record_verdict(job, challenger, standing, judgement, evidence, claims, document)
        keep(job, challenger.version, found)
        write_card(job, challenger.version, found)
    said = f"model {challenger.version} ({challenger.family})"
    if not judgement.promoted:
        return f"{said} {judgement.reason}"
    job.put_event("ModelPromoted", model_version=challenger.version)
    return f"{said} promoted: {judgement.reason}"


if __name__ == "__main__":
    run("evaluate", __doc__, work, check, OPTIONS)
