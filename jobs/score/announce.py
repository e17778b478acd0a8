"""Tell others what was scored: counts, and how many claims are large enough for somebody to hear of them at once."""

from __future__ import annotations

from shared.database import quoted
from shared.job import Job

UNTOLD = """
UPDATE job_runs SET told = true WHERE run_id IN (
    SELECT run_id FROM job_runs
    WHERE stage = 'score' AND line = %(line)s AND NOT told AND rows_out > 0
    AND (run_id = %(run)s OR status <> 'running')
    FOR UPDATE SKIP LOCKED
) RETURNING run_id
"""
"""This run, and those of any shard that ended before they told, but for such as another run is about to tell of."""
COUNTS = """
SELECT count(*) AS claims, count(*) FILTER (WHERE flagged) AS flagged, count(*) FILTER (WHERE audited) AS audited
FROM predictions WHERE run_id = ANY(%(runs)s) AND variant = arm
"""
ALERTS = """
SELECT count(*) AS alerts FROM predictions p JOIN claims_as_of(%(as_of)s) c USING (claim_id)
WHERE p.run_id = ANY(%(runs)s) AND p.variant = p.arm AND p.flagged AND c.{amount} > %(alert)s
AND NOT EXISTS (
    SELECT FROM predictions e
    WHERE e.claim_id = p.claim_id AND e.variant = e.arm AND e.flagged AND e.run_id < p.run_id
)
"""
"""A claim is told of once, by the run that flagged it first; not again where a later model flags it too."""


def announce(job: Job, version: int) -> None:
    """Put ``ClaimsScored``, if this run scored anything, or one before it that ended before it could tell.

    A run counts as told once the event is put: one that dies between the two is told again, and none is forgotten.

    Parameters
    ----------
    version : int
        The champion.
    """
    with job.database.transaction():
        runs = [row["run_id"] for row in job.database.rows(UNTOLD, {"line": job.contract.name, "run": job.run_id})]
        if not runs:
            return
        values = {"runs": runs, "as_of": job.as_of, "alert": job.contract.review.alert_amount}
        (counts,) = job.database.rows(COUNTS, values)
        if counts["claims"]:
            told = counts | {"alerts": _alerts(job, values)}
            job.put_event("ClaimsScored", model_version=version, **told)
            job.figures("claims scored", scored=told.pop("claims"), **told)


def _alerts(job: Job, values: dict[str, object]) -> int:
    amount = job.contract.roles.amount
    if job.contract.review.alert_amount is None or amount is None:
        return 0
    # Few claims are flagged: each is looked up, and no table is read as a whole.
    job.database.rows("SET LOCAL enable_nestloop = on")
    return int(job.database.rows(ALERTS.format(amount=quoted(amount)), values)[0]["alerts"])
