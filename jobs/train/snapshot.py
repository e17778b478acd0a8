"""Gather: whether there is something new to learn, and the claims to learn it from."""

from __future__ import annotations

import hashlib
from datetime import datetime

import polars as pl

from shared.claims import read_claims
from shared.contract import Contract
from shared.database import Database
from shared.job import Job


def reason_to_train(job: Job) -> str | None:
    """Say why a model should be trained now, or None: what was learnt last still stands."""
    trained = job.database.rows(
        "SELECT outcomes_known, contract_hash, git_sha, run_id FROM models WHERE as_of <= %s "
        "ORDER BY model_version DESC LIMIT 1",
        [job.as_of],
    )
    if not trained:
        return "no model yet"
    last = trained[0]
    if last["contract_hash"] != job.contract.hash:
        return "the contract changed"
    if last["git_sha"] != job.settings.git_sha:
        return "the code changed"
    new = outcomes_known(job) - last["outcomes_known"]
    if new >= job.contract.training.min_new_outcomes:
        return f"{new:,} new outcomes"
    # Later by the ledger and not by the clock: within one run of all stages, the clock stands still.
    drifted = job.database.rows(
        "SELECT 1 FROM drift_metrics WHERE verdict = 'retrain' AND run_id > %s AND as_of <= %s LIMIT 1",
        [last["run_id"], job.as_of],
    )
    return "drift asks for it" if drifted else None


def outcomes_known(job: Job) -> int:
    """Number of claims whose outcome is known."""
    return int(job.database.rows("SELECT count(*) AS n FROM outcomes_as_of(%s)", [job.as_of])[0]["n"])


def labelled_times(job: Job) -> pl.DataFrame:
    """``event_time`` and ``is_fraud`` of every claim whose outcome is known now, by time."""
    return job.database.frame(
        "SELECT c.event_time, o.is_fraud FROM claims_as_of(%(as_of)s) c "
        "JOIN outcomes_as_of(%(as_of)s) o USING (claim_id) ORDER BY c.event_time, c.claim_id",
        {"event_time": "datetime", "is_fraud": "boolean"},
        {"as_of": job.as_of},
    )


def snapshot(database: Database, contract: Contract, moment: datetime) -> pl.DataFrame:
    """Read the claims whose outcome was known at a moment, as they were known then.

    Returns
    -------
    polars.DataFrame
        ``claim_id``, ``revision``, ``event_time``, ``is_fraud``, ``known_at`` (of the outcome) and the stored columns.
    """
    return read_claims(
        database,
        contract,
        "FROM claims_as_of(%(as_of)s) c JOIN outcomes_as_of(%(as_of)s) o USING (claim_id) "
        "ORDER BY c.event_time, c.claim_id",
        {"as_of": moment},
        {
            "revision": ("c.revision", "integer"),
            "is_fraud": ("o.is_fraud", "boolean"),
            "known_at": ("o.known_at", "datetime"),
        },
    )


def learnt_already(job: Job, claims: pl.DataFrame) -> int | None:
    """Version of the model that the same code learnt from the same claims, or None."""
    found = job.database.rows(
        "SELECT max(model_version) AS version FROM models WHERE snapshot = %s AND git_sha = %s AND as_of <= %s",
        [identity(claims, job.contract), job.settings.git_sha, job.as_of],
    )
    return found[0]["version"]  # type: ignore[no-any-return]


def identity(claims: pl.DataFrame, contract: Contract) -> str:
    """SHA-256 over the contract and over which claims, in which revision and with which outcome, were learnt from.

    The order of rows takes no part: it goes by the database's collation.
    """
    digest = hashlib.sha256(contract.hash.encode())
    keys = claims.select(pl.concat_str("claim_id", "revision", "is_fraud", separator="\x1f")).to_series()
    for key in keys.sort():
        digest.update(key.encode() + b"\x1e")
    return digest.hexdigest()
