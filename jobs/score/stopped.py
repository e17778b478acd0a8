"""Go no further under a stop of drift's, and tell how many claims wait."""

from __future__ import annotations

from jobs.score.unscored import CHAMPIONS
from shared.champion import champion
from shared.errors import ModelError
from shared.job import Job
from shared.stops import standing_stop


def refuse_stopped(job: Job) -> None:
    """Raise if drift stopped score for broken input, and nobody cleared that.

    Raises
    ------
    ModelError
        A stop stands; says what is broken, since when, and how to clear it.
    """
    standing = standing_stop(job.database, job.as_of)
    if standing is None:
        return
    found = champion(job.database, job.as_of)
    # Without statistics, as after a first load, Postgres would hold each claim against each score.
    job.database.rows("SET enable_nestloop = off")
    (waiting,) = job.database.rows(
        "SELECT count(*) AS claims, extract(epoch FROM %(as_of)s - min(c.known_at))::float8 / 3600 AS hours "
        f"FROM claims_as_of(%(as_of)s) c WHERE {CHAMPIONS.missing}",
        {"as_of": job.as_of, "version": found.version if found else standing.model_version},
    )
    job.figures("claims wait to be scored", waiting=waiting["claims"], wait_hours=round(waiting["hours"] or 0.0, 3))
    raise ModelError(
        f"{standing.told(job.contract.name)}; {waiting['claims']:,} claims wait. Mend what is sent, or say that it is "
        'right as it is: python -m jobs.drift --clear "why" --actor you'
    )
