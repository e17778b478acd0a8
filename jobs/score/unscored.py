"""Gather the claims that a model has not scored, and apply what was decided about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from shared.access import log_scoring
from shared.claims import Extra, claim_batches
from shared.job import Job

BATCH = 50_000

Decide = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True)
class Scores:
    """A table that holds each claim once a model, and the condition under which its row ``p`` counts.

    Attributes
    ----------
    joins, asked : str
        What the claims ``c`` are joined to, and the condition on those that are to be scored at all.
    extra : mapping
        Columns that are read with them.
    values : mapping
        Parameters of these.
    """

    table: str
    counts: str
    joins: str = ""
    asked: str = "true"
    extra: Extra = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def missing(self) -> str:
        """Condition on claims ``c``: those that a model has not scored."""
        return (
            f"NOT EXISTS (SELECT FROM {self.table} p "
            f"WHERE p.claim_id = c.claim_id AND p.model_version = %(version)s AND {self.counts})"
        )


ANOMALIES = Scores("anomalies", "true")


def score_all(job: Job, scores: Scores, version: int, decider: Callable[[], Decide]) -> int:
    """Score batch by batch, each in its own transaction, until a last look finds none; return how many were scored.

    Parameters
    ----------
    decider : callable
        Reads the model and gives what scores a batch; asked only where there is something to score.
    """
    scored, decide = 0, None
    rest = f"{scores.joins} WHERE {scores.asked} AND {scores.missing}"
    values = {"as_of": job.as_of, "version": version, **scores.values}
    while _waiting(job, rest, values):
        decide = decide or decider()
        for claims in claim_batches(job.database, job.contract, rest, values, scores.extra, BATCH):
            _record(job, scores, version, decide(claims), first=not scored)
            scored += claims.height
    return scored


def _waiting(job: Job, rest: str, values: dict[str, Any]) -> bool:
    # Without statistics, as after a first load, Postgres would hold each claim against each score.
    job.database.rows("SET enable_nestloop = off")
    query = f"SELECT EXISTS (SELECT FROM claims_as_of(%(as_of)s) c {rest}) AS waiting"
    return bool(job.database.rows(query, values)[0]["waiting"])


def _record(job: Job, scores: Scores, version: int, decided: pl.DataFrame, *, first: bool) -> None:
    """Append scores, all of them or none."""
    stamps = {"model_version": version, "scored_as_of": job.as_of.isoformat(), "run_id": job.run_id}
    with job.database.transaction():
        job.database.append(scores.table, decided.with_columns(**{name: pl.lit(v) for name, v in stamps.items()}))
        job.record(rows_in=decided.height, rows_out=decided.height)
        if first:
            log_scoring(job, version)
