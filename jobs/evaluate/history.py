"""Gather what is to be judged, and apply the verdict: ``model_history`` is the truth, MLflow's aliases mirror it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from shared.champion import Champion, folder_of
from shared.claims import read_claims
from shared.contract import Contract
from shared.errors import ModelError
from shared.job import Job

if TYPE_CHECKING:
    from jobs.evaluate.judge import Judgement
    from shared.features import Floats
    from shared.model import Model

ACTOR = "evaluate"


@dataclass(frozen=True)
class Challenger:
    """A registered model that has no verdict yet."""

    version: int
    family: str
    folder: Path
    train_end: datetime


def unjudged(job: Job) -> list[Challenger]:
    """Challengers without a verdict, the oldest first."""
    rows = job.database.rows(
        "SELECT model_version, family, artifact_uri, train_end FROM models m WHERE as_of <= %s AND NOT EXISTS "
        "(SELECT FROM model_history h WHERE h.model_version = m.model_version) ORDER BY model_version",
        [job.as_of],
    )
    return [
        Challenger(row["model_version"], row["family"], folder_of(row["artifact_uri"]), row["train_end"])
        for row in rows
    ]


def window(job: Job, after: datetime) -> pl.DataFrame:
    """Claims later than a moment, with their outcome where it is known; none that was there at that moment.

    Returns
    -------
    polars.DataFrame
        ``claim_id``, ``event_time``, ``is_fraud`` (null where unknown) and the stored columns.
    """
    return read_claims(
        job.database,
        job.contract,
        "FROM claims_as_of(%(as_of)s) c LEFT JOIN outcomes_as_of(%(as_of)s) o USING (claim_id) "
        # A correction may have moved a claim that was learnt from to a later day.
        "WHERE c.event_time > %(after)s AND c.claim_id NOT IN (SELECT e.claim_id FROM claims_as_of(%(after)s) e "
        "WHERE e.superseded_at IS NOT NULL) ORDER BY c.claim_id",
        {"as_of": job.as_of, "after": after},
        {"is_fraud": ("o.is_fraud", "boolean")},
    )


def weeks_of(claims: pl.DataFrame, after: datetime) -> float:
    """Length of a window, from the moment it opens to its last claim; a day at least."""
    last = claims["event_time"].max()
    return max((last - after) / timedelta(weeks=1), 1 / 7) if isinstance(last, datetime) else 1 / 7


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
    used = {source for feature in found.features for source in feature.sources}
    return (suspected & used) - set(contract.features.allow)


def rival(job: Job, standing: Champion | None, labelled: pl.DataFrame) -> Floats | None:
    """What the champion says of the judged claims; None where there is none that still can.

    A champion whose files are gone, or which looks at a column that the contract gave up, must not keep its successor
    out.
    """
    if standing is None:
        return None
    try:
        return standing.model.score(labelled, job.settings.threads)
    except ModelError as error:
        job.log("the champion cannot be compared with", model_version=standing.version, reason=str(error))
        return None


def record_verdict(
    job: Job,
    challenger: Challenger,
    standing: Champion | None,
    judgement: Judgement,
    claims: pl.DataFrame,
    threshold: float,
    document: dict[str, Any],
) -> None:
    """Append the verdict, and let MLflow say the same.

    Killed or refused by MLflow before the commit, nothing has been said, and the next run judges anew.

    Parameters
    ----------
    document : dict
        The judgement's figures, ready for JSON.
    """
    from jobs.evaluate.judge import gates_as_document
    from shared.registry import Registry

    registry = Registry(job.settings.mlflow_tracking_uri, job.settings.artifacts, job.contract.name)
    before = standing.version if standing else None
    labelled = claims.filter(pl.col("is_fraud").is_not_null())
    with job.database.transaction():
        job.database.rows(
            "INSERT INTO model_history (model_version, alias, from_version, to_version, actor, reason, threshold, "
            "judged_start, judged_end, metrics, gates, as_of, run_id) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                challenger.version,
                "champion" if judgement.promoted else "refused",
                before,
                challenger.version if judgement.promoted else before,
                ACTOR,
                judgement.reason,
                threshold,
                labelled["event_time"].min(),
                labelled["event_time"].max(),
                json.dumps(document),
                json.dumps(gates_as_document(judgement)),
                job.as_of,
                job.run_id,
            ],
        )
        job.record(rows_in=claims.height, rows_out=labelled.height)
        aliases = {"champion": challenger.version, "previous_champion": before} if judgement.promoted else {}
        waiting = unjudged(job)
        registry.mirror(aliases | {"challenger": waiting[-1].version if waiting else None})
