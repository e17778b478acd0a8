"""The table ``model_history``, which is the truth of what stands and stood; MLflow's aliases mirror it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from shared.aliases import stored_aliases
from shared.champion import ANOMALY, Champion
from shared.job import Job
from shared.successions import ENTRIES, SUCCESSION

if TYPE_CHECKING:
    from jobs.evaluate.evidence import Challenger
    from jobs.evaluate.judge import Evidence, Judgement

ACTOR = "evaluate"
END_OF_TIME = datetime.max.replace(tzinfo=UTC)


def record_verdict(
    job: Job,
    challenger: Challenger,
    standing: Champion | None,
    judgement: Judgement,
    evidence: Evidence,
    claims: pl.DataFrame,
    document: Mapping[str, Any],
) -> None:
    """Append the verdict; killed before the commit, nothing has been said, and the next run judges anew.

    Parameters
    ----------
    claims : polars.DataFrame
        Those that judged.
    document : mapping
        The judgement's figures, ready for JSON.
    """
    from jobs.evaluate.document import gates_as_document

    labelled = claims.filter(pl.col("is_fraud").is_not_null())
    opens, closes = labelled["event_time"].min(), labelled["event_time"].max()
    with job.database.transaction():
        append(
            job,
            {
                "model_version": challenger.version,
                "alias": "champion" if judgement.promoted else "refused",
                "action": "judged",
                "actor": ACTOR,
                "reason": judgement.reason,
                "threshold": judgement.threshold,
                "judged_start": opens,
                "judged_end": closes,
                "metrics": json.dumps(document),
                "gates": json.dumps(gates_as_document(judgement)),
            },
            standing.version if standing else None,
        )
        if opens is not None:
            for feature, value in evidence.importance.items():
                job.database.rows(
                    "INSERT INTO importance VALUES (%s, %s, %s, %s, %s, %s, %s)",
                    [challenger.version, opens, closes, feature, value, job.as_of, job.run_id],
                )
        job.record(rows_in=claims.height, rows_out=labelled.height)


def append(job: Job, entry: Mapping[str, Any], before: int | None) -> None:
    """Append an entry; `before` is the champion so far, who stays where the entry is a refusal."""
    after = entry["model_version"] if entry["alias"] == "champion" else before
    row = {**entry, "from_version": before, "to_version": after, "as_of": job.as_of, "run_id": job.run_id}
    job.database.rows(
        f"INSERT INTO model_history ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})", list(row.values())
    )


def succession(job: Job, until: datetime | None = None) -> list[int]:
    """Versions that led to the champion of a moment (the clock's), which is the last."""
    versions: list[int] = job.database.rows(SUCCESSION, [until or job.as_of])[0]["versions"]
    return versions


def entries(job: Job) -> list[dict[str, Any]]:
    """Every entry known by the clock's moment, in order; with ``live_until``, None for what still stands."""
    return job.database.rows(ENTRIES, [job.as_of])


def mirror(job: Job) -> None:
    """Let MLflow's aliases say what the table says; where they do, MLflow is not even imported.

    They say what stands now, also while a run looks at an earlier day.
    """
    database = job.database
    known = database.rows("SELECT max(model_version) AS newest FROM models WHERE family <> %s", [ANOMALY])
    if known[0]["newest"] is None:
        return
    waiting = database.rows(
        "SELECT max(model_version) AS version FROM models m WHERE family <> %s AND NOT EXISTS "
        "(SELECT FROM model_history h WHERE h.model_version = m.model_version)",
        [ANOMALY],
    )
    before, champion = (None, None, *succession(job, END_OF_TIME))[-2:]
    wanted = {"champion": champion, "previous_champion": before, "challenger": waiting[0]["version"]}
    settings = job.settings
    stored = stored_aliases(settings.mlflow_tracking_uri, job.contract.name)
    if stored is not None and all(stored.get(alias) == version for alias, version in wanted.items()):
        return
    from shared.registry import Registry

    Registry(settings.mlflow_tracking_uri, settings.artifacts, job.contract.name).mirror(wanted)


def table(found: Iterable[Mapping[str, Any]]) -> str:
    """Entries as a table to be read, one a line, the reason last since it may be long."""
    rows = [("model", "live from", "until", "by", "how", "why")]
    for entry in found:
        live = entry["alias"] == "champion"
        until = "now" if entry["live_until"] is None else _moment(entry["live_until"])
        since = _moment(entry["as_of"])
        how = entry["action"] if live else "refused"
        rows.append(
            (str(entry["model_version"]), since, until if live else "never", entry["actor"], how, entry["reason"])
        )
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
    return "\n".join("  ".join([*map(str.ljust, row, widths), row[-1]]) for row in rows)


def live_on(found: Iterable[Mapping[str, Any]], day: date) -> list[Mapping[str, Any]]:
    """Champions that were live at some time of a day (UTC)."""
    begins = datetime.combine(day, datetime.min.time(), UTC)
    ends = begins + timedelta(days=1)
    return [
        entry
        for entry in found
        if entry["alias"] == "champion"
        and entry["as_of"] < ends
        and (entry["live_until"] is None or max(begins, entry["as_of"]) < entry["live_until"])
    ]


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
