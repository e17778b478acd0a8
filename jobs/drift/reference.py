"""Gather what a champion's windows are held against: profile, weights, samples of claims, the sources' ledger."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby, pairwise

import polars as pl

from jobs.drift.joint import MOST_CLAIMS
from jobs.drift.quality import Source
from shared.champion import Champion
from shared.claims import read_claims
from shared.draws import DRAWS
from shared.errors import ModelError
from shared.features import Feature
from shared.job import Job
from shared.profile import Profile

SAMPLE_DRAW = "hashtextextended(c.claim_id, 4) & 4294967295"
"""Lot for the samples: always the same claims, however often one is drawn."""
FEWEST_LOADS = 5
"""Loads of a source from which the time between them tells when it is late."""
DAY = timedelta(days=1)


def levels(found: Champion) -> dict[str, tuple[str, ...]]:
    """Levels that the champion learnt from, by category, the most frequent first.

    Raises
    ------
    ModelError
        What train wrote of it cannot be read.
    """
    try:
        profile = Profile.of_document(json.loads((found.folder / "profile.json").read_text()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"model {found.folder}: cannot be read ({error}); train a new one") from error
    return {column.name: column.bins.levels for column in profile.columns}


def weights(job: Job, version: int, features: Sequence[Feature]) -> dict[str, float]:
    """Share of each feature in the importance of all; even ones where evaluate told none."""
    rows = job.database.rows(
        # As it was judged: on later claims what a column weighs may have changed with what is to be found.
        "SELECT feature, value FROM importance WHERE model_version = %(version)s AND as_of <= %(as_of)s "
        "AND run_id = (SELECT min(run_id) FROM importance WHERE model_version = %(version)s AND as_of <= %(as_of)s)",
        {"version": version, "as_of": job.as_of},
    )
    told = {row["feature"]: row["value"] for row in rows}
    total = sum(told.get(feature.name, 0.0) for feature in features)
    even = 1 / max(len(features), 1)
    return {feature.name: told.get(feature.name, 0.0) / total if total else even for feature in features}


def judged(job: Job, version: int) -> tuple[datetime, datetime] | None:
    """First and last event of the claims that judged the champion; None where a person promoted it unjudged."""
    rows = job.database.rows(
        "SELECT judged_start, judged_end FROM model_history WHERE model_version = %s AND as_of <= %s "
        "AND judged_start IS NOT NULL AND judged_end IS NOT NULL ORDER BY entry_id DESC LIMIT 1",
        [version, job.as_of],
    )
    return (rows[0]["judged_start"], rows[0]["judged_end"]) if rows else None


def accepted(job: Job, version: int, columns: Sequence[str]) -> set[str]:
    """Columns that a person called right as they are, by clearing a stop of this champion that named them."""
    rows = job.database.rows(
        "SELECT s.reason FROM stops s JOIN stops c USING (model_version, window_end) WHERE model_version = %s "
        "AND s.action = 'stop' AND c.action = 'clear' AND c.actor <> 'drift' AND c.as_of <= %s",
        [version, job.as_of],
    )
    told = [reason for row in rows for reason in row["reason"].split("; ")]
    return {
        name
        for name in columns
        if any(reason.startswith((f"{name} is ", f"{name} has ", f"{name} lies ")) for reason in told)
    }


def sample(job: Job, start: datetime, end: datetime, claims: int) -> pl.DataFrame:
    """Draw claims of a stretch of time, with ``is_fraud`` where it is known: about 5,000, or all there are."""
    share = min(MOST_CLAIMS / max(claims, 1), 1.0)
    return read_claims(
        job.database,
        job.contract,
        "LEFT JOIN outcomes_as_of(%(as_of)s) o USING (claim_id) "
        f"WHERE c.event_time > %(start)s AND c.event_time <= %(end)s AND {SAMPLE_DRAW} < %(below)s",
        {"as_of": job.as_of, "start": start, "end": end, "below": share * DRAWS},
        {"is_fraud": ("o.is_fraud", "boolean")},
    )


def sources(job: Job) -> list[Source]:
    """How the newest files and pulls of each kind came, by etl's ledger."""
    rows = job.database.rows(
        "SELECT kind, loaded_at, rows_in, quarantined FROM ingest_files WHERE status <> 'replaced' "
        "AND loaded_at <= %s ORDER BY kind, loaded_at DESC, file_id DESC",
        [job.as_of],
    )
    found = []
    for kind, loads in groupby(rows, key=lambda row: str(row["kind"])):
        newest, rejected, moments = 0, 0, list[datetime]()
        for load in loads:
            if newest < job.contract.drift.min_claims:
                newest, rejected = newest + load["rows_in"], rejected + load["quarantined"]
            if load["loaded_at"] not in moments[-1:]:
                moments.append(load["loaded_at"])
        gaps = [(later - earlier) / DAY for later, earlier in pairwise(moments)]
        longest = max(gaps) if len(moments) >= FEWEST_LOADS else None
        found.append(Source(kind, newest, rejected, (job.as_of - moments[0]) / DAY, longest))
    return found
