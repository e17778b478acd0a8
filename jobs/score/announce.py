"""Tell others what was scored: counts, and how many claims are large enough for somebody to hear of them at once."""

from __future__ import annotations

from shared.database import quoted
from shared.job import Job

UNTOLD = """
SELECT run_id FROM job_runs WHERE stage = 'score' AND line = %(line)s AND run_id <= %(run)s
AND shard = (SELECT shard FROM job_runs WHERE run_id = %(run)s)
AND run_id > coalesce((
    SELECT max(before.run_id) FROM job_runs before JOIN job_runs this ON this.run_id = %(run)s
    WHERE before.stage = 'score' AND before.line = this.line AND before.shard = this.shard
    AND before.status = 'done' AND before.run_id < this.run_id
), 0)
"""
"""This run, and those before it that died before they told."""
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


def announce(job: Job, version: int, scored: int) -> None:
    """Put ``ClaimsScored``, if this run scored anything, or one before it that was killed before it could tell.

    Parameters
    ----------
    version : int
        The champion.
    scored : int
        Claims that this run scored.
    """
    runs = [row["run_id"] for row in job.database.rows(UNTOLD, {"line": job.contract.name, "run": job.run_id})]
    if not scored and runs == [job.run_id]:
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
    with job.database.transaction():
        # Few claims are flagged: each is looked up, and no table is read as a whole.
        job.database.rows("SET LOCAL enable_nestloop = on")
        return int(job.database.rows(ALERTS.format(amount=quoted(amount)), values)[0]["alerts"])
