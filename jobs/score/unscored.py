"""Gather the claims that a model has not scored, and apply its predictions."""

from __future__ import annotations

import polars as pl

from shared.champion import Champion
from shared.claims import read_claims
from shared.job import Job

BATCH = 50_000
_UNSCORED = (
    "FROM claims_as_of(%(as_of)s) c WHERE NOT EXISTS (SELECT FROM predictions p WHERE p.claim_id = c.claim_id "
    "AND p.model_version = %(version)s AND p.variant = 'champion')"
)


def waiting(job: Job, found: Champion) -> bool:
    """Whether there is a claim that the champion has not scored."""
    # Without statistics, as after a first load, Postgres would hold each claim against each prediction.
    job.database.rows("SET enable_nestloop = off")
    values = {"as_of": job.as_of, "version": found.version}
    return bool(job.database.rows(f"SELECT EXISTS (SELECT {_UNSCORED}) AS waiting", values)[0]["waiting"])


def batch(job: Job, found: Champion, last: str) -> pl.DataFrame:
    """Unscored claims behind one, by id.

    Returns
    -------
    polars.DataFrame
        ``claim_id``, ``event_time``, ``draw`` (a hash of the id, from 0 to 2^32) and the stored columns.
    """
    return read_claims(
        job.database,
        job.contract,
        f"{_UNSCORED} AND c.claim_id > %(last)s ORDER BY c.claim_id LIMIT {BATCH}",
        {"as_of": job.as_of, "version": found.version, "last": last},
        {"draw": ("hashtextextended(c.claim_id, 0) & 4294967295", "integer")},
    )


def record(job: Job, found: Champion, predictions: pl.DataFrame) -> None:
    """Append predictions, all of them or none."""
    stamps = {"model_version": found.version, "scored_as_of": job.as_of.isoformat(), "run_id": job.run_id}
    with job.database.transaction():
        job.database.append("predictions", predictions.with_columns(**{name: pl.lit(v) for name, v in stamps.items()}))
        job.record(rows_in=predictions.height, rows_out=predictions.height)
