"""Give every claim that the champion has not scored its fraud probability, and the reasons where someone will look.

Where no outcomes are known, it says how unusual each claim is instead.
"""

from __future__ import annotations

from jobs.score.announce import announce
from jobs.score.export import EXPORT
from jobs.score.stopped import refuse_stopped
from jobs.score.trial import Pair
from jobs.score.unscored import ANOMALIES, Done, Scorer, score_all
from shared.challenger import contender
from shared.champion import Ranking, champion, check, ranking
from shared.job import Job, run


def work(job: Job) -> str:
    """Score with the champion; where the contract names no outcomes, rank claims by how unusual they are."""
    refuse_stopped(job)
    if job.contract.labelled:
        standing = champion(job.database, job.as_of)
        if standing is None:
            return "no champion yet; nothing scored"
        beside = contender(job.database, standing, job.as_of)
        pair = Pair(job, standing, beside)
        scored, shadows = pair.champion(), pair.challenger()
        announce(job, standing.version)
        job.figures("no claim waits", waiting=0, wait_hours=0)
        told = _told(scored, standing.version)
        return (
            f"{told}; {shadows.scored:,} by its challenger, model {beside.version}"
            if beside and shadows.scored
            else told
        )
    newest = ranking(job.database, job.as_of)
    if newest is None:
        return "no model to rank claims by yet; nothing scored"
    return _told(score_all(job, ANOMALIES, newest.version, lambda: _ranking(job, newest)), newest.version)


def _told(done: Done, version: int) -> str:
    if done == Done():
        return "every claim is scored; nothing to do"
    rest = f"; {done.unscorable:,} cannot be scored: see unscorable_claims" if done.unscorable else ""
    return f"{done.scored:,} claims scored by model {version}{rest}"


# Most runs find nothing to score; numpy and the model are for those that do.
def _ranking(job: Job, newest: Ranking) -> Scorer:
    from jobs.score.rank import rank
    from shared.features import sources

    model, contract = newest.model, job.contract
    return Scorer(lambda claims: rank(claims, model, contract), sources(model.features))


if __name__ == "__main__":
    run("score", __doc__, work, check, [EXPORT])
