"""Gather: whether there is a claim that the clock lets train see."""

from __future__ import annotations

from shared.job import Job


def all_after_the_clock(job: Job) -> str | None:
    """Say so where every claim is dated after the clock, before which no stage sees it."""
    found = job.database.rows(
        "SELECT count(*) AS n, min(event_time) AS first, max(event_time) AS last FROM claims "
        "WHERE superseded_at IS NULL HAVING min(event_time) > %s",
        [job.as_of],
    )
    if not found:
        return None
    n, first, last = found[0].values()
    column = job.contract.roles.event_time
    mend = f", or look at the format of {column}" if column else ""
    return (
        f"no model: all {n:,} claims are dated after the clock, {job.as_of:%Y-%m-%d}: {first:%Y-%m-%d} to "
        f"{last:%Y-%m-%d}; set the clock (AS_OF) later, or wait{mend}"
    )
