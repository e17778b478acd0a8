"""Learn from the claims whose outcome is known: try many models, track them all, register the best as challenger."""

from __future__ import annotations

from functools import partial

from jobs.train.check import check
from jobs.train.clock import all_after_the_clock
from jobs.train.engine import LOCAL, engine_of, engine_option
from jobs.train.snapshot import book, identity, labelled_times, learnt_already, reason_to_train, share_kept, snapshot
from shared.child import in_child
from shared.job import Job, run


def work(job: Job, engine: str = LOCAL) -> str:
    """Train if there is something new to learn, and tell who is waiting for it."""
    reason = reason_to_train(job)
    if reason is None:
        return "nothing new to learn; the last model stands"
    return all_after_the_clock(job) or (_search(job, reason, engine) if job.contract.labelled else _rank(job, reason))


def _search(job: Job, reason: str, engine: str) -> str:
    # Most runs end above; numpy is for those that go on.
    from jobs.train import resume, windows
    from jobs.train.apply import register
    from jobs.train.search import SEED, search

    cut = windows.cut(labelled_times(job), job.contract, share_kept(job))
    if isinstance(cut, str):
        return f"no model: {cut}"
    grown = engine_of(engine, job.settings)
    claims = snapshot(job, cut)
    learnt_from = identity(claims, job.contract, job.settings)
    if (same := learnt_already(job, learnt_from)) is not None:
        return f"model {same} learnt from the same claims; nothing new to learn"
    done, heard = resume.finished(job, tried := f"{learnt_from} {engine}"), partial(resume.keep, job, tried)
    job.log("training", reason=reason, claims=claims.height, train_end=cut.train_end, trials_done=len(done))
    found = in_child(search, claims, job.contract, job.settings.threads, SEED, done, grown, heard=heard)
    if isinstance(found, str):
        return f"no model: {found}"
    job.put_event("ModelTrained", model_version=(version := register(job, claims, cut, found)))
    return f"model {version} ({found.model.family}) registered as challenger, trained because: {reason}"


def _rank(job: Job, reason: str) -> str:
    from jobs.train.apply import register_histograms
    from jobs.train.histogram import histograms

    claims = book(job)
    found = in_child(histograms, claims, job.contract)
    if isinstance(found, str):
        return f"no model: {found}"
    job.put_event("RankingTrained", model_version=(version := register_histograms(job, claims, found)))
    return f"model {version} ranks claims by how unusual they are, for want of outcomes; trained because: {reason}"


if __name__ == "__main__":
    run("train", __doc__, work, check, [engine_option(work)])
