"""Gather the claims that a model has not scored, and apply what was decided about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from shared.claims import read_claims
from shared.draws import AUDIT_DRAW
from shared.job import Job

BATCH = 50_000

Decide = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True)
class Scores:
    """A table that holds each claim once a model, and the condition under which its row ``p`` counts."""

    table: str
    counts: str

    @property
    def missing(self) -> str:
        """All of a query from FROM on: claims ``c`` that a model has not scored."""
        return (
            f"FROM claims_as_of(%(as_of)s) c WHERE NOT EXISTS (SELECT FROM {self.table} p "
            f"WHERE p.claim_id = c.claim_id AND p.model_version = %(version)s AND {self.counts})"
        )


PREDICTIONS = Scores("predictions", "p.variant = 'champion'")
ANOMALIES = Scores("anomalies", "true")


def score_all(job: Job, scores: Scores, version: int, decider: Callable[[], Decide]) -> int:
    """Score batch by batch, each in its own transaction, until a last look finds none; return how many were scored.

    Parameters
    ----------
    decider : callable
        Reads the model and gives what scores a batch; asked only where there is something to score.
    """
    scored, decide = 0, None
    while _waiting(job, scores, version):
        decide, last = decide or decider(), ""
        while not (claims := _batch(job, scores, version, last)).is_empty():
            _record(job, scores, version, decide(claims))
            scored, last = scored + claims.height, claims["claim_id"][-1]
    return scored


def _waiting(job: Job, scores: Scores, version: int) -> bool:
    # Without statistics, as after a first load, Postgres would hold each claim against each score.
    job.database.rows("SET enable_nestloop = off")
    values = {"as_of": job.as_of, "version": version}
    return bool(job.database.rows(f"SELECT EXISTS (SELECT {scores.missing}) AS waiting", values)[0]["waiting"])


def _batch(job: Job, scores: Scores, version: int, last: str) -> pl.DataFrame:
    """Unscored claims behind one, by id: ``claim_id``, ``event_time``, ``draw`` (for audits) and the stored columns."""
    return read_claims(
        job.database,
        job.contract,
        f"{scores.missing} AND c.claim_id > %(last)s ORDER BY c.claim_id LIMIT {BATCH}",
        {"as_of": job.as_of, "version": version, "last": last},
        {"draw": (AUDIT_DRAW, "integer")},
    )


def _record(job: Job, scores: Scores, version: int, decided: pl.DataFrame) -> None:
    """Append scores, all of them or none."""
    stamps = {"model_version": version, "scored_as_of": job.as_of.isoformat(), "run_id": job.run_id}
    with job.database.transaction():
        job.database.append(scores.table, decided.with_columns(**{name: pl.lit(v) for name, v in stamps.items()}))
        job.record(rows_in=decided.height, rows_out=decided.height)
