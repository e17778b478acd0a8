"""Gather: whether there is something new to learn, and the claims to learn it from."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import polars as pl

from shared.claims import read_claims
from shared.contract import Contract
from shared.draws import DRAWS, SPLIT_DRAW
from shared.job import Job
from shared.settings import Settings

if TYPE_CHECKING:
    from jobs.train.windows import Windows

GROWTH = 0.2
"""Where no outcomes are known: share by which the claims must have grown since the last model."""
LEARNT_FROM = f"JOIN outcomes_as_of(%(as_of)s) o USING (claim_id) WHERE {SPLIT_DRAW} >= %(first)s"
"""Claims ``c`` that are learnt from, with the outcome ``o`` of each."""
MOST_SOURCES = 10
MOST_PEERS = 200_000
"""Claims of the window that tell what is usual; of a tenth of them, a share of 1 % is 1 % to within 0.14 points."""


def reason_to_train(job: Job) -> str | None:
    """Say why a model should be trained now, or None: what was learnt last still stands."""
    found = job.database.rows(
        "SELECT outcomes_known, claims, contract_hash, git_sha, run_id FROM models WHERE as_of <= %s "
        "ORDER BY model_version DESC LIMIT 1",
        [job.as_of],
    )
    if not found:
        return "no model yet"
    last = found[0]
    if last["contract_hash"] != job.contract.hash:
        return "the contract changed"
    if last["git_sha"] != job.settings.git_sha:
        return "the code changed"
    return _new_outcomes(job, last) if job.contract.labelled else _new_claims(job, last)


def _new_outcomes(job: Job, last: dict[str, Any]) -> str | None:
    new = outcomes_known(job) - last["outcomes_known"]
    if new >= job.contract.training.min_new_outcomes:
        return f"{new:,} new outcomes"
    # Later by the ledger and not by the clock: within one run of all stages, the clock stands still.
    drifted = job.database.rows(
        "SELECT 1 FROM drift_metrics WHERE feature = '*' AND metric = 'asked' AND run_id > %s AND as_of <= %s LIMIT 1",
        [last["run_id"], job.as_of],
    )
    return "drift asks for it" if drifted else None


def _new_claims(job: Job, last: dict[str, Any]) -> str | None:
    learnt = last["claims"]
    new = job.database.rows("SELECT count(*) AS n FROM claims_as_of(%s)", [job.as_of])[0]["n"] - learnt
    return f"{new:,} new claims beside {learnt:,}" if new >= GROWTH * learnt else None


def outcomes_known(job: Job) -> int:
    """Number of claims whose outcome is known."""
    return int(job.database.rows("SELECT count(*) AS n FROM outcomes_as_of(%s)", [job.as_of])[0]["n"])


def labelled_times(job: Job) -> pl.DataFrame:
    """``event_time``, ``is_fraud`` and ``draw`` of every claim whose outcome is known now, by time."""
    return job.database.frame(
        f"SELECT c.event_time, o.is_fraud, {SPLIT_DRAW} AS draw FROM claims_as_of(%(as_of)s) c "
        "JOIN outcomes_as_of(%(as_of)s) o USING (claim_id) ORDER BY c.event_time, c.claim_id",
        {"event_time": "datetime", "is_fraud": "boolean", "draw": "integer"},
        {"as_of": job.as_of},
    )


def share_kept(job: Job) -> float | None:
    """Share of the draws that judged the line's first model without dates, or None: there was none."""
    found = job.database.rows(
        "SELECT judged_share FROM models WHERE judged_share IS NOT NULL AND as_of <= %s ORDER BY model_version LIMIT 1",
        [job.as_of],
    )
    return found[0]["judged_share"] if found else None


def snapshot(job: Job, cut: Windows) -> pl.DataFrame:
    """Read the claims to learn from, as they were known when the training window closed.

    Without dates, that is now, and the claims drawn to judge are left out.

    Returns
    -------
    polars.DataFrame
        ``claim_id``, ``revision``, ``event_time``, ``is_fraud``, ``known_at`` (of the outcome), ``draw``, the stored
        columns and those of the past.
    """
    return read_claims(
        job.database,
        job.contract,
        LEARNT_FROM,
        _known(job, cut),
        {
            "draw": (SPLIT_DRAW, "integer"),
            "revision": ("c.revision", "integer"),
            "is_fraud": ("o.is_fraud", "boolean"),
            "known_at": ("o.known_at", "datetime"),
        },
        order="c.event_time, c.claim_id",
    )


def window(job: Job, cut: Windows, columns: Collection[str]) -> pl.DataFrame:
    """Read some columns of the training window's claims, with an outcome or without, as the snapshot knows them.

    They tell what is usual; those with an outcome are what investigators chose. Of more than `MOST_PEERS` it is a
    sample, by the same lot that keeps claims back to judge.
    """
    rest = (
        f"WHERE c.event_time >= %(start)s AND c.event_time <= %(end)s AND {SPLIT_DRAW} >= %(first)s "
        f"AND {SPLIT_DRAW} < %(below)s"
    )
    values = {**_known(job, cut), "start": cut.train_start, "end": cut.train_end, "below": DRAWS}
    claims = job.database.rows(f"SELECT count(*) AS n FROM claims_as_of(%(as_of)s) c {rest}", values)[0]["n"]
    drawn = (DRAWS - values["first"]) * min(MOST_PEERS / max(claims, 1), 1.0)
    return read_claims(job.database, job.contract, rest, values | {"below": values["first"] + drawn}, columns=columns)


def outcome_sources(job: Job, cut: Windows) -> list[dict[str, Any]]:
    """Who decided about the claims that are learnt from: ``source``, ``claims``, ``frauds``; those with most first.

    Beyond `MOST_SOURCES` they are told together, without a name.
    """
    found = job.database.rows(
        "SELECT o.source, count(*) AS claims, count(*) FILTER (WHERE o.is_fraud) AS frauds "
        f"FROM claims_as_of(%(as_of)s) c {LEARNT_FROM} GROUP BY o.source ORDER BY claims DESC, o.source",
        _known(job, cut),
    )
    rest = found[MOST_SOURCES:]
    others = {name: sum(row[name] for row in rest) for name in ("claims", "frauds")}
    return found[:MOST_SOURCES] + ([{"source": f"{len(rest)} others", **others}] if rest else [])


def _known(job: Job, cut: Windows) -> dict[str, Any]:
    drawn = cut.judged_share is not None
    return {"as_of": job.as_of if drawn else cut.train_end, "first": (cut.judged_share or 0.0) * DRAWS}


def book(job: Job) -> pl.DataFrame:
    """Read all claims, for want of outcomes: ``claim_id``, ``revision``, ``event_time`` and the stored columns."""
    return read_claims(
        job.database,
        job.contract,
        "",
        {"as_of": job.as_of},
        {"revision": ("c.revision", "integer")},
        order="c.event_time, c.claim_id",
    )


def learnt_already(job: Job, snapshot: str) -> int | None:
    """Version of the model that the same code learnt from the same claims, or None."""
    found = job.database.rows(
        "SELECT max(model_version) AS version FROM models WHERE snapshot = %s AND as_of <= %s", [snapshot, job.as_of]
    )
    return found[0]["version"]  # type: ignore[no-any-return]


def identity(claims: pl.DataFrame, contract: Contract, settings: Settings) -> str:
    """SHA-256 over contract, code and image, and over how many and which claims, in which revision, with which outcome.

    The order of rows takes no part: it goes by the database's collation.
    """
    told = [name for name in ("claim_id", "revision", "is_fraud") if name in claims.columns]
    frauds = int(claims["is_fraud"].sum()) if "is_fraud" in told else 0
    made_by = (contract.hash, settings.git_sha, settings.image_digest, str(claims.height), str(frauds))
    digest = hashlib.sha256("\x1f".join(made_by).encode())
    keys = claims.select(pl.concat_str(told, separator="\x1f")).to_series()
    for key in keys.sort():
        digest.update(key.encode() + b"\x1e")
    return digest.hexdigest()
