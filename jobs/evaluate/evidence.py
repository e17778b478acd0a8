"""Gather what a challenger is judged by: claims that it never saw, and what it and the champion make of them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

import polars as pl

from shared.champion import ANOMALY, Champion, Judged, Kept
from shared.claims import read_claims
from shared.contract import Contract
from shared.draws import DRAWS, SPLIT_DRAW
from shared.errors import ModelError
from shared.job import Job

if TYPE_CHECKING:
    from jobs.evaluate.judge import Evidence, Split
    from shared.features import Floats
    from shared.model import Model

TIMED_CLAIMS, TIMED_RUNS = 1000, 3
MEGABYTE = 1e6


@dataclass(frozen=True)
class Challenger(Kept):
    """A registered model that has no verdict yet."""

    family: str
    train_end: datetime
    judged_share: float | None

    @property
    def split(self) -> Split:
        """What told the claims it learnt from and those that judge it apart."""
        return "time" if self.judged_share is None else "random"


@dataclass(frozen=True)
class Unlearnt:
    """Claims that none of some models learnt from, so that they may judge them.

    Attributes
    ----------
    after : datetime or None
        Where a model was split by time: only claims later than its training.
    below : float or None
        Where a model was split by a draw: only claims drawn below its share.
    """

    after: datetime | None
    below: float | None

    @classmethod
    def of(cls, challenger: Challenger | Judged, standing: Champion | None) -> Self:
        """Claims that both models may be judged by."""
        models = [model for model in (challenger, standing) if model]
        ends = [model.train_end for model in models if model.judged_share is None]
        shares = [model.judged_share for model in models if model.judged_share is not None]
        return cls(max(ends, default=None), min(shares, default=None))


def unjudged(job: Job) -> list[Challenger]:
    """Challengers without a verdict, the oldest first."""
    rows = job.database.rows(
        "SELECT model_version AS version, family, artifact_uri, files_sha256, train_end, judged_share FROM models m "
        "WHERE as_of <= %s AND family <> %s AND NOT EXISTS "
        "(SELECT FROM model_history h WHERE h.model_version = m.model_version) ORDER BY model_version",
        [job.as_of, ANOMALY],
    )
    return [Challenger(**row) for row in rows]


def window(job: Job, unlearnt: Unlearnt) -> pl.DataFrame:
    """Claims to judge by, with their outcome where it is known; none that was there before the window opened.

    Returns
    -------
    polars.DataFrame
        ``claim_id``, ``event_time``, ``is_fraud`` (null where unknown), the stored columns and those of the past.
    """
    return read_claims(
        job.database,
        job.contract,
        "LEFT JOIN outcomes_as_of(%(as_of)s) o USING (claim_id) "
        # A correction may have moved a claim that was learnt from to a later day.
        "WHERE (%(after)s::timestamptz IS NULL OR (c.event_time > %(after)s AND c.claim_id NOT IN "
        "(SELECT e.claim_id FROM claims_as_of(%(after)s) e WHERE e.superseded_at IS NOT NULL))) "
        f"AND {SPLIT_DRAW} < %(below)s",
        {"as_of": job.as_of, "after": unlearnt.after, "below": (unlearnt.below or 1.0) * DRAWS},
        {"is_fraud": ("o.is_fraud", "boolean")},
    )


def weekly_claims(claims: pl.DataFrame, unlearnt: Unlearnt) -> float:
    """Volume of the line in claims a week, from those of a window.

    By time, the window lasts from the moment it opens to its last claim, a day at least. Where no column dates the
    claims, all that is known is when they were loaded: they count as those of the time between the first load and the
    last, a week at least.
    """
    first, last = claims["event_time"].min(), claims["event_time"].max()
    opens, least = (first, 1.0) if unlearnt.after is None else (unlearnt.after, 1 / 7)
    lasts = (last - opens) / timedelta(weeks=1) if isinstance(last, datetime) and isinstance(opens, datetime) else 0.0
    return claims.height / (unlearnt.below or 1.0) / max(lasts, least)


def gather(job: Job, challenger: Challenger, standing: Champion | None) -> tuple[pl.DataFrame, Evidence]:
    """Read the claims that judge, and let both models look at them.

    Raises
    ------
    ModelError
        The challenger cannot be read.
    """
    from jobs.evaluate.judge import Evidence
    from shared.fairness import grouped
    from shared.importance import importance
    from shared.model import load

    found, threads = load(challenger.folder), job.settings.threads
    unlearnt = Unlearnt.of(challenger, standing)
    claims = window(job, unlearnt)
    theirs = _of_champion(job, standing, claims)
    return claims, Evidence(
        claims["is_fraud"].cast(pl.Float64).fill_null(float("nan")).to_numpy(),
        found.score(claims, threads),
        theirs[0] if theirs else None,
        weekly_claims(claims, unlearnt),
        _amount(claims, job.contract),
        grouped(claims, job.contract),
        importance(found, claims, threads),
        theirs[1] if theirs else None,
        leaks(challenger, found, job.contract),
        _milliseconds(found, claims, threads),
        sum(file.stat().st_size for file in challenger.folder.rglob("*") if file.is_file()) / MEGABYTE,
        challenger.split,
    )


def leaks(challenger: Challenger, found: Model, contract: Contract) -> set[str]:
    """Suspected leaks among a challenger's features that the contract does not let in.

    Raises
    ------
    ModelError
        What train wrote of them cannot be read.
    """
    try:
        training = json.loads((challenger.folder / "training.json").read_text())
        suspected = {finding["column"] for finding in training["findings"] if finding["kind"] == "leak"}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"model {challenger.folder}: cannot be read ({error}); train a new one") from error
    used = {name for feature in found.features for name in (feature.name, *feature.sources)}
    return (suspected & used) - set(contract.features.allow)


def _of_champion(job: Job, standing: Champion | None, claims: pl.DataFrame) -> tuple[Floats, dict[str, float]] | None:
    """What the champion says of the claims with an outcome, and how much its features weigh there; or None.

    A champion whose files are gone, or which looks at a column that the contract gave up, must not keep its successor
    out.
    """
    from shared.importance import importance

    if standing is None:
        return None
    try:
        model, threads = standing.model, job.settings.threads
        labelled = claims.filter(pl.col("is_fraud").is_not_null())
        return model.score(labelled, threads), importance(model, claims, threads)
    except ModelError as error:
        job.log("the champion cannot be compared with", model_version=standing.version, reason=str(error))
        return None


def _amount(claims: pl.DataFrame, contract: Contract) -> Floats | None:
    name = contract.roles.amount
    return None if name is None else claims[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _milliseconds(model: Model, claims: pl.DataFrame, threads: int) -> float:
    """Time to score 1,000 claims, the fastest of three runs; NaN without claims, which of few are the same again."""
    if claims.is_empty():
        return float("nan")
    batch = claims[[place % claims.height for place in range(TIMED_CLAIMS)]]
    took = []
    for _ in range(TIMED_RUNS):
        began = time.perf_counter()
        model.score(batch, threads)
        took.append(time.perf_counter() - began)
    return min(took) * 1000
