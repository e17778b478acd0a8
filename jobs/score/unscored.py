"""Gather the claims that a model has not scored, and apply what was decided about them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from shared.access import log_scoring
from shared.ahead import ahead
from shared.claims import Extra, claim_batches
from shared.database import Database
from shared.job import Job

BATCH = 50_000
READING = (
    # Without statistics, as after a first load, Postgres would hold each claim against each score.
    "SET enable_nestloop = off; "
    # The ids of a million scores, so that claims need not go by way of its disk to be held against them.
    "SET work_mem = '64MB'; "
    "SET jit = off; "  # compiling costs more than it saves
    # It sends only as fast as claims are scored, which is no sign that this side is gone.
    "SET tcp_user_timeout = 0"
)


OLDEST = "SELECT pg_snapshot_xmin(pg_current_snapshot())::xid::text AS xid"
"""The first transaction that may not have ended: what those before it wrote, whatever is asked from now on sees."""
WRITTEN = "SELECT EXISTS (SELECT FROM claims WHERE age(xmin) <= age(%(xid)s::xid)) AS written"
"""Whether one from then on wrote claims. To look through them for that takes a fraction of holding each against each
score; a row so old that its number has come round again costs one such look."""


@dataclass(frozen=True)
class Scorer:
    """A model at work.

    Attributes
    ----------
    decide : callable
        Scores claims; ``unscorable`` says why it cannot, null where it has.
    looks_at : collection of str
        Columns of the claims that it needs, beside the extra ones of the scores; of others it is not given any.
    """

    decide: Callable[[pl.DataFrame], pl.DataFrame]
    looks_at: Collection[str]


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
        """Condition on claims ``c``: those that a model has not scored, nor found of this version that it cannot."""
        of_model = "p.claim_id = c.claim_id AND p.model_version = %(version)s"
        return (
            f"NOT EXISTS (SELECT FROM {self.table} p WHERE {of_model} AND {self.counts}) "
            f"AND NOT EXISTS (SELECT FROM unscorable_claims p WHERE {of_model} AND p.revision = c.revision)"
        )


CHAMPIONS = Scores("predictions", "p.variant = 'champion'")
ANOMALIES = Scores("anomalies", "true")


@dataclass(frozen=True)
class Done:
    """How many claims were scored, and of how many it was found that they cannot be."""

    scored: int = 0
    unscorable: int = 0

    def __add__(self, other: Done) -> Done:
        return Done(self.scored + other.scored, self.unscorable + other.unscorable)


def score_all(job: Job, scores: Scores, version: int, load: Callable[[], Scorer]) -> Done:
    """Score batch by batch, each in its own transaction, until a last look finds none that came meanwhile.

    Claims are read in one pass, by a session of their own: one batch is read and the next one scored while a third is
    written.

    Parameters
    ----------
    load : callable
        Reads the model; called only where there is something to score.
    """
    done, scorer = Done(), None
    rest = f"{scores.joins} WHERE {scores.asked} AND {scores.missing} AND {job.shard.condition}"
    values = {"as_of": job.as_of, "version": version, **scores.values}
    extra: Extra = {"revision": ("c.revision", "integer"), **scores.extra}
    with job.beside() as reader:
        reader.rows(READING)
        while _waiting(reader, rest, values):
            scorer = scorer or load()
            (before,) = reader.rows(OLDEST)
            read = claim_batches(reader, job.contract, rest, values, extra, BATCH, scorer.looks_at)
            with closing(ahead(_each(scorer.decide, ahead(read)))) as decided:
                for batch in decided:
                    done += _record(job, scores, version, batch, first=done == Done())
            if not reader.rows(WRITTEN, before)[0]["written"]:
                break
    return done


def _each(decide: Callable[[pl.DataFrame], pl.DataFrame], read: Generator[pl.DataFrame]) -> Generator[pl.DataFrame]:
    with closing(read):
        for claims in read:
            yield decide(claims).with_columns(claims["revision"])


def _waiting(reader: Database, rest: str, values: dict[str, Any]) -> bool:
    query = f"SELECT EXISTS (SELECT FROM claims_as_of(%(as_of)s) c {rest}) AS waiting"
    return bool(reader.rows(query, values)[0]["waiting"])


def _record(job: Job, scores: Scores, version: int, decided: pl.DataFrame, *, first: bool) -> Done:
    """Append a batch's scores, and the claims that have none, all of them or none."""
    stamps = {"model_version": version, "run_id": job.run_id}
    decided = decided.with_columns(**{name: pl.lit(value) for name, value in stamps.items()})
    as_of, why = pl.lit(job.as_of.isoformat()), pl.col("unscorable")
    scored = decided.filter(why.is_null()).drop("unscorable", "revision").with_columns(scored_as_of=as_of)
    rest = decided.filter(why.is_not_null()).select("claim_id", "revision", *stamps, reason=why, as_of=as_of)
    with job.database.transaction():
        job.database.append(scores.table, scored)
        job.database.append("unscorable_claims", rest)
        job.record(rows_in=decided.height, rows_out=scored.height, quarantined=rest.height)
        if first:
            log_scoring(job, version)
    return Done(scored.height, rest.height)
